"""A remote: where results trees meet. What it can do, and which program or service one is reached with by its name."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from world_modality.errors import UserError
from world_modality.redaction import holds_password
from world_modality.trees.names import CLAIMS

Told = Callable[[int], None]
"""Called with a number of bytes whenever that many more are where they belong."""


class RemoteError(Exception):
    """The remote did not do what it can do: it is out of reach, or full. The next try may succeed."""


class Refused(UserError):
    """What is there is not taken, and nothing of it is: it is damaged, or not what it says it is."""


@dataclass(frozen=True)
class Item:
    """One file to copy."""

    name: str  # relative to the results tree, and to the remote
    size: int  # bytes
    sha256: str = ""  # of its content; "" where nobody knows


class Remote(Protocol):
    """Files by relative names with slashes, each there whole or not at all. All methods raise RemoteError when it fails
    them, and OSError when files of this machine do."""

    title: str  # as told to people

    def files(self, prefix: str) -> dict[str, int]:
        """Bytes of every file below ``prefix``, which is "" or ends in a slash, by name. Links out of it are none."""

    def read(self, name: str) -> bytes | None:
        """A small file's content; None if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Make a small file hold ``data``."""

    def delete(self, names: Collection[str]) -> None:
        """Remove files; those that are not there are no error."""

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """Copy files below ``base`` to the remote. What an earlier call got there is not copied again."""

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """Copy files of the remote below ``base``. What an earlier call copied stays; digests are the caller's affair.

        Refused for a file that leads out of the remote.
        """

    def seal(self, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told) -> bool:
        """Make a sealed stage of the tree ``root`` be there: its files, then its record ``data``.

        False if a record is there that another tree wrote, perhaps of another result.
        """


@runtime_checkable
class SharedRemote(Remote, Protocol):
    """A remote on which several can tell who works on what: of those who create or swap at once one succeeds."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; False, and nothing is changed, if it is."""

    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        """Write ``new`` in place of ``old``, whose age then starts anew; False if the file holds something else."""

    def age(self, name: str) -> float | None:
        """Seconds since a file was written, by the remote's own clock; None if there is none."""

    def is_exclusive(self, name: str) -> bool:
        """Whether ``create`` and ``swap`` refuse what they must, tried out with a new file of that name."""


_S3 = "s3://"
_RSYNC = re.compile(r"rsync://.+|[^/:\s]+@[^/:\s]+:.*")
_RCLONE = re.compile(r"[\w.+-][\w.+ -]*:.*")
_WITH_PASSWORD = re.compile(r"[^/:@\s]+:[^/@\s]*@[^/:@\s]+:.*")  # USER:PASSWORD@HOST:PATH


def absolute_name(name: str) -> str:
    """A shared remote's name, a folder's such that it means the same in every working folder; "" stays."""
    return name if not name or "://" in name else str(Path(name).resolve())


def open_remote(name: str) -> Remote:
    """The remote that a person calls ``name``.

    Raises:
        UserError: there is no such folder, the program that is needed is not installed, or the name holds a password.
    """
    if holds_password(name) or _WITH_PASSWORD.fullmatch(name):
        raise UserError(
            "the remote's address holds a password, which whoever sees this machine's processes can read: leave it out "
            "of the address, and give it to rsync as RSYNC_PASSWORD or by a key of ssh, for s3:// by the AWS_ "
            "variables, and to rclone in its configuration"
        )
    # Imported here: a job that shares a folder should not wait for boto3.
    if name.startswith(_S3):
        from world_modality.trees.s3 import S3Remote

        return S3Remote(name)
    if _RSYNC.fullmatch(name):
        from world_modality.trees.rsync import RsyncRemote

        return RsyncRemote(name)
    if _RCLONE.fullmatch(name) and not Path(name).exists():
        from world_modality.trees.rclone import RcloneRemote

        return RcloneRemote(name)
    from world_modality.trees.folder import FolderRemote

    return FolderRemote(Path(name))


def open_shared(name: str) -> SharedRemote:
    """As ``open_remote``, a remote that several trees can make one study through; UserError for any other."""
    remote = open_remote(name)
    if not isinstance(remote, SharedRemote):
        raise UserError(
            f"--share: {remote.title} is reached with a program that cannot create a file only if it is not there, so "
            "two machines could begin the same stage: share a mounted folder or an s3:// bucket, and use `wm sync` here"
        )
    return remote


def require_exclusive(remote: SharedRemote) -> None:
    """Try out whether a remote lets only one of several create a file; a small one is written there and removed.

    Raises:
        UserError: it does not, so two trees could begin the same stage.
        RemoteError: as the remote does.
    """
    name = f"{CLAIMS}/trial-{secrets.token_hex(8)}"
    try:
        exclusive = remote.is_exclusive(name)
    finally:
        with suppress(RemoteError):
            remote.delete([name])
    if not exclusive:
        raise UserError(
            f"--share: {remote.title} lets a second one create a file that is there, or cannot create one only if it "
            "is not, so two machines could begin the same stage: share a folder on a file system with hard links, or a "
            "bucket of a server that knows conditional writes (If-None-Match and If-Match), and use `wm sync` here"
        )


def keeps_what_is_there(remote: SharedRemote, name: str) -> bool:
    """Whether a new file is created once, and neither created anew nor swapped for what it does not hold."""
    return (
        remote.create(name, b"one")
        and not remote.create(name, b"two")
        and not remote.swap(name, b"two", b"three")
        and remote.read(name) == b"one"
    )
