"""Whose fault it is when a copy fails, who wins when two push at once, and which remotes can be shared at all."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disks import small_disk
from support.small_trees import FILES, STAGE, contents, make, request_of, sealed

from world_modality.errors import UserError
from world_modality.store.layout import StageFolder, incoming_folder, stage_folder
from world_modality.store.progress import Progress
from world_modality.trees import transfer
from world_modality.trees.claims import Claims
from world_modality.trees.identity import tree_name
from world_modality.trees.names import done_name
from world_modality.trees.remote import (
    Item,
    Refused,
    Remote,
    RemoteError,
    SharedRemote,
    open_remote,
    open_shared,
    require_exclusive,
)
from world_modality.trees.share import Share
from world_modality.trees.sync import Copied, Syncing, repeat
from world_modality.trees.transfer import artifact_items, pull_sealed, push_sealed

OTHER = {**FILES, "weights.bin": b"v" * 300_000}
PASSWORD = "not-to-be-repeated"


def ignore(_size: int) -> None:
    pass


def syncing(depot: str, root: Path) -> Syncing:
    return Syncing(open_remote(depot), root, None, Progress("copy", stream=sys.stderr))


@pytest.mark.parametrize("any_depot", ["rsync"], indirect=True)
def test_of_what_rsync_fails_only_the_absence_of_what_was_asked_for_is_absence(any_depot: str, tmp_path: Path) -> None:
    remote, name = open_remote(any_depot), done_name(STAGE, "0123456789abcdef")
    assert remote.read(name) is None
    assert remote.read("tree.json") is None
    assert remote.files(f"{STAGE}/") == {}
    (tmp_path / "depot" / STAGE).symlink_to(STAGE)  # as little to be read as a folder without permission
    for ask in (remote.read, remote.files):
        with pytest.raises(RemoteError, match=r"Too many levels of symbolic links \(40\)"):
            ask(name)


def test_a_full_disk_here_is_told_as_that(any_depot: str, tmp_path: Path) -> None:
    make(tmp_path / "one", 0)
    syncing(any_depot, tmp_path / "one").push()
    with small_disk(tmp_path / "disk", 64) as disk:
        (disk / "two").mkdir()
        with pytest.raises(UserError, match=r"the disk of the results folder .*/disk/two is full .* free some room"):
            syncing(any_depot, disk / "two").pull()
    assert syncing(any_depot, tmp_path / "three").pull().sealed == 1


def test_errors_here_are_not_those_of_a_remote(depot: str, tmp_path: Path) -> None:
    remote = open_remote(depot)
    with pytest.raises(FileNotFoundError):
        remote.put(tmp_path / "one", [Item("lost", 3)], ignore)
    folder = make(tmp_path / "one", 0)
    push_sealed(remote, tmp_path / "one", STAGE, folder.path.name, ignore)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "incoming").write_text("no folder")
    with pytest.raises(UserError, match=r"/two/incoming/.* cannot be read or written \(Not a directory\): mend that"):
        syncing(depot, tmp_path / "two").pull()


def test_errors_there_are_those_of_the_remote(tmp_path: Path) -> None:
    (tmp_path / "depot").mkdir()
    (tmp_path / "depot" / "incoming").write_text("no folder")
    folder = make(tmp_path / "one", 0)
    with pytest.raises(RemoteError, match=r"depot: Not a directory"):
        push_sealed(open_remote(str(tmp_path / "depot")), tmp_path / "one", STAGE, folder.path.name, ignore)


def test_whoever_shares_a_study_does_not_wait_for_a_remote_when_its_own_disk_fails(depot: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "one", 0)
    push_sealed(open_remote(depot), tmp_path / "one", STAGE, folder.path.name, ignore)
    shared, two = open_shared(depot), tmp_path / "two"
    two.mkdir()
    (two / "incoming").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        Share(shared, two, Claims(shared, two), poll_s=0.01).make(request_of(0), lambda: pytest.fail("made"), print)
    assert shared.files("claims/") == {}


def test_every_few_seconds_each_error_is_told_of_once_and_nothing_ends(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "weights.bin")
    plain, said = UserError("set AWS_REGION"), list[str]()
    done = Copied(sealed=1, refused=["it is not whole"])
    passes: Iterator[Copied | Exception] = iter([full, full, plain, Refused("it leads out"), plain, done])

    def once() -> Copied:
        found = next(passes, None)
        if isinstance(found, Copied):
            return found
        raise found or KeyboardInterrupt

    remote = open_remote(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        repeat(once, "push", remote, 0.001, said.append)
    assert [line.removeprefix("push         ").partition("; tried again")[0] for line in said] == [
        "weights.bin cannot be written, since its disk is full: free some room, and run the same command again: what "
        "is sealed stays, and the rest goes on where it was",
        "set AWS_REGION",
        "it leads out",
        "it is not whole",
        f"1 sealed, 0 unfinished, 0 plans: {tmp_path}; 1 NOT copied",
    ]
    for error in (full, plain):
        passes = iter([error])
        with pytest.raises(UserError):
            repeat(once, "push", remote, None, said.append)
    passes = iter([Copied(refused=["it is not whole"])])
    assert repeat(once, "push", remote, None, said.append) == 1


def while_it_looks(monkeypatch: pytest.MonkeyPatch, push: Callable[[], object]) -> None:
    """The next push of all does something after it has looked whether the stage is sealed in the remote."""
    look, left = transfer.damage, [push]

    def damage(folder: StageFolder) -> Any:
        if left:
            left.pop()()
        return look(folder)

    monkeypatch.setattr(transfer, "damage", damage)


@pytest.mark.parametrize("files", [OTHER, FILES])
def test_whoever_is_second_with_a_stage_spoils_nothing(
    any_depot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    key = make(one, 0).path.name
    make(two, 0, files)
    while_it_looks(monkeypatch, lambda: push_sealed(open_remote(any_depot), one, STAGE, key, ignore))
    if files == FILES:
        assert not push_sealed(open_remote(any_depot), two, STAGE, key, ignore)
    else:
        with pytest.raises(Refused, match=r"holds another result than .*/two/.*: weights\.bin"):
            push_sealed(open_remote(any_depot), two, STAGE, key, ignore)
    assert pull_sealed(open_remote(any_depot), three, STAGE, key, ignore)
    assert contents(stage_folder(three, STAGE, key)) == FILES


@pytest.mark.parametrize("depot", ["s3"], indirect=True)
@pytest.mark.parametrize("moment", ["first file", "record"])
def test_of_two_who_push_at_once_the_first_record_s_files_stay(
    depot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The one who wins writes all of its files after the other's first one, or is overwritten before its record."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    folder, other = make(one, 0), make(two, 0, OTHER)
    key, winner, loser = folder.path.name, open_shared(depot), open_remote(depot)

    def push() -> bool:
        return push_sealed(winner, one, STAGE, key, ignore)

    if moment == "first file":
        put, left = loser.put, [push]

        def put_and_be_late(*given: Any) -> None:
            put(*given)
            if left:
                assert left.pop()()

        monkeypatch.setattr(loser, "put", put_and_be_late)
    else:
        create = winner.create

        def be_overwritten_and_create(*given: Any) -> Any:
            loser.put(two, artifact_items(sealed(two)[f"{STAGE}/{key}"]), ignore)
            return create(*given)

        monkeypatch.setattr(winner, "create", be_overwritten_and_create)
        assert push()
    with pytest.raises(Refused, match=r"holds another result than .*: weights\.bin"):
        push_sealed(loser, two, STAGE, key, ignore)
    assert contents(other) == OTHER
    assert pull_sealed(winner, three, STAGE, key, ignore)
    assert contents(stage_folder(three, STAGE, key)) == FILES


def test_a_draft_of_what_the_stage_was_before_is_copied_anew(tmp_path: Path) -> None:
    """A push was killed, and the stage was made anew with other bytes before the next one."""
    one, depot = tmp_path / "one", tmp_path / "depot"
    depot.mkdir()
    folder = make(one, 0)
    draft = StageFolder(incoming_folder(depot, tree_name(one)) / STAGE / folder.path.name)
    for now, before in ((folder.artifact / "weights.bin", draft.artifact / "weights.bin"), (folder.run, draft.run)):
        before.parent.mkdir(parents=True)
        before.write_bytes(b"x" * now.stat().st_size)
    assert push_sealed(open_remote(str(depot)), one, STAGE, folder.path.name, ignore)
    copy = stage_folder(depot, STAGE, folder.path.name)
    assert contents(copy) == FILES
    assert copy.run.read_bytes() == folder.run.read_bytes()


@pytest.mark.parametrize(
    "name", ["rsync://me:{}@host/module", "s3://me:{}@bucket/prefix", "me:{}@host:path", "ws://:{}@host"]
)
def test_an_address_with_a_password_is_refused_and_not_repeated(name: str) -> None:
    for opened in (open_remote, open_shared):
        with pytest.raises(UserError, match="the remote's address holds a password") as told:
            opened(name.format(PASSWORD))
        assert PASSWORD not in "".join(map(str, told.value.args))


@pytest.mark.parametrize("name", ["rsync://me@host/module", "me@host:path"])
def test_a_user_is_no_password(name: str) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    assert open_remote(name).title == name


def passes_over(header: str) -> Callable[[Remote, pytest.MonkeyPatch], None]:
    """A server that does not know a condition."""

    def spoil(remote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def drop(params: dict[str, Any], **_more: Any) -> None:
            params["headers"].pop(header, None)

        remote._client.meta.events.register("before-call.s3.PutObject", drop)

    return spoil


def link_by(link: Callable[..., object]) -> Callable[[Remote, pytest.MonkeyPatch], None]:
    return lambda _remote, monkeypatch: monkeypatch.setattr(os, "link", link)


def no_links(*_paths: Path) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_remote_that_can_be_shared_is_left_as_it_was(depot: str) -> None:
    remote = open_shared(depot)
    require_exclusive(remote)
    assert remote.files("") == {}


@pytest.mark.parametrize(
    ("depot", "spoil"),
    [
        ("folder", link_by(no_links)),
        ("folder", link_by(shutil.copyfile)),
        ("s3", passes_over("If-None-Match")),
        ("s3", passes_over("If-Match")),
    ],
    indirect=["depot"],
)
def test_a_remote_that_refuses_nothing_is_not_shared(
    depot: str, spoil: Callable[[Remote, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote: SharedRemote = open_shared(depot)
    (tmp_path / "one").mkdir()
    share = Share(remote, tmp_path / "one", Claims(remote, tmp_path / "one"))
    spoil(remote, monkeypatch)
    with pytest.raises(UserError, match=r"--share: .* so two machines could begin the same stage: share a folder on"):
        share.make(request_of(0), lambda: pytest.fail("made"), print)
    assert remote.files("") == {}
