"""What remotes have in common that another program reaches: it is there or not, and it fails with a last word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from world_modality.errors import UserError, in_one_line
from world_modality.store.room import try_writing
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


Absent = Callable[[int, str], bool]
"""Whether an exit status and what was said with it mean that there is no such file."""


def call(
    title: str, command: Sequence[str], given: bytes = b"", *, absent: Absent = lambda _status, _said: False
) -> bytes | None:
    """What a program prints; None if it fails since there is no such file; RemoteError if it fails otherwise.

    ``given`` is what it reads. It speaks English, and ends with this process, also at Ctrl-C.
    """
    environment = os.environ | {"LC_ALL": "C"}
    result = subprocess.run(command, input=given, capture_output=True, check=False, env=environment)
    told = result.stderr.decode(errors="replace").strip()
    if result.returncode and absent(result.returncode, told):
        return None
    if result.returncode:
        said = in_one_line("\n".join(told.splitlines()[-3:]))
        raise RemoteError(f"{title}: {_CREDENTIALS.sub('//', said)} (exit status {result.returncode})")
    return result.stdout


@contextmanager
def writing_below(base: Path) -> Iterator[None]:
    """Around a program that writes below ``base``: what it fails of is not the remote where nothing can be written
    there, and then OSError."""
    base.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except RemoteError:
        try_writing(base)
        raise


def names_given(names: Sequence[str]) -> bytes:
    """Names for a program that reads them line by line; none of ours has a line's end in it."""
    return "".join(f"{name}\n" for name in names).encode()


def seal_by_parts(
    remote: Remote, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told
) -> bool:
    """``Remote.seal`` where no folder can be renamed: nobody looks at files of a stage whose DONE.json is missing.

    Nor can a record be written only if there is none, so of two who push other results at the same moment one may spoil
    the other's files, which their digests tell.
    """
    done = done_name(stage, key)
    if remote.read(done) is not None:
        return False
    remote.put(root, items, told)
    if remote.read(done) is not None:
        return False
    remote.write(f"{stage}/{key}/{SEAL}", data)
    remote.write(done, data)
    return True
