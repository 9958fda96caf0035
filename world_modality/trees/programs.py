"""What remotes have in common that another program reaches: it is there or not, and it fails with a last word."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from world_modality.errors import UserError, in_one_line
from world_modality.trees.names import SEAL, done_name
from world_modality.trees.remote import Item, Remote, RemoteError, Told

_CREDENTIALS = re.compile(r"//[^/@\s]+:[^/@\s]+@")


def require_program(program: str, remote: str) -> str:
    """The path of a program; UserError if it is not installed."""
    found = shutil.which(program)
    if found is None:
        raise UserError(
            f"{remote} is reached with {program}, which is not installed: install it (Debian: apt-get install "
            f"{program}), or name a folder or an s3:// bucket"
        )
    return found


def call(title: str, command: Sequence[str], given: bytes = b"", *, missing: Sequence[int] = ()) -> bytes | None:
    """What a program prints; None for an exit status that says that there is no such file; RemoteError for others.

    ``given`` is what it reads. It ends with this process, also at Ctrl-C.
    """
    result = subprocess.run(command, input=given, capture_output=True, check=False)
    if result.returncode in missing:
        return None
    if result.returncode:
        said = in_one_line("\n".join(result.stderr.decode(errors="replace").strip().splitlines()[-3:]))
        raise RemoteError(f"{title}: {_CREDENTIALS.sub('//', said)} (exit status {result.returncode})")
    return result.stdout


def names_given(names: Sequence[str]) -> bytes:
    """Names for a program that reads them line by line; none of ours has a line's end in it."""
    return "".join(f"{name}\n" for name in names).encode()


def seal_by_parts(
    remote: Remote, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told
) -> bool:
    """``Remote.seal`` where no folder can be renamed: nobody looks at files of a stage whose DONE.json is missing."""
    remote.put(root, items, told)
    remote.write(f"{stage}/{key}/{SEAL}", data)
    remote.write(done_name(stage, key), data)
    return True
