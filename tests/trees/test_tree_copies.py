"""Sealed stages to a remote and back: whole or not at all, whatever ends the copy, and nothing that is spoilt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_trees import FILES, STAGE, contents, make, sealed

from world_modality.store.layout import StageFolder, incoming_folder, stage_folder
from world_modality.store.progress import Progress
from world_modality.store.verify import damage
from world_modality.trees.copying import part_of
from world_modality.trees.identity import tree_name
from world_modality.trees.names import done_name, is_safe, place_of
from world_modality.trees.remote import Refused, Remote, RemoteError, open_remote
from world_modality.trees.sync import Syncing, repeat
from world_modality.trees.transfer import pull_sealed, push_sealed

TESTS = Path(__file__).parents[1]


def ignore(_size: int) -> None:
    pass


def syncing(depot: str, root: Path, only: frozenset[tuple[str, str]] | None = None) -> Syncing:
    return Syncing(open_remote(depot), root, only, Progress("copy", stream=sys.stderr))


def copy_and_be_killed(way: str, root: Path, depot: str, folder: StageFolder, size: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-m", "support.small_trees", way, str(root), depot, folder.path.name, size]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr


def test_what_is_pushed_from_one_tree_is_pulled_into_another(any_depot: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folders = [make(one, number) for number in range(3)]
    plan = one / "sealed-plans" / "small" / "0123-20261130T000000Z.json"
    plan.parent.mkdir(parents=True)
    plan.write_text('{"digest": "0123"}')
    pushed = syncing(any_depot, one).push()
    assert (pushed.sealed, pushed.plans, pushed.refused) == (3, 1, [])
    pulled = syncing(any_depot, two).pull()
    assert (pulled.sealed, pulled.plans, pulled.refused) == (3, 1, [])
    assert sealed(two) == sealed(one)
    for folder in folders:
        copy = stage_folder(two, STAGE, folder.path.name)
        assert contents(copy) == contents(folder) == FILES
        assert damage(copy) == []
        assert copy.run.read_bytes() == folder.run.read_bytes()
        assert copy.attempts.read_text() == folder.attempts.read_text()
    assert (two / plan.relative_to(one)).read_text() == plan.read_text()
    again = syncing(any_depot, one).push()
    assert (again.sealed, again.plans, again.refused) == (0, 0, [])
    again = syncing(any_depot, two).pull()
    assert (again.sealed, again.plans, again.refused) == (0, 0, [])


def test_only_the_stages_that_are_named_are_copied(tmp_path: Path) -> None:
    one, depot = tmp_path / "one", tmp_path / "depot"
    depot.mkdir()
    folders = [make(one, number) for number in range(2)]
    only = frozenset({(STAGE, folders[1].path.name)})
    assert syncing(str(depot), one, only).push().sealed == 1
    assert list(sealed(depot)) == [f"{STAGE}/{folders[1].path.name}"]


def test_a_push_that_is_killed_leaves_nothing_to_be_seen_and_the_next_goes_on(
    depot: str, remote: Remote, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    big = {f"{number}.bin": bytes([number]) * 200_000 for number in range(3)}
    folder = make(one, 0, big)
    copy_and_be_killed("push", one, depot, folder, "300001")
    assert remote.read(done_name(STAGE, folder.path.name)) is None
    assert syncing(depot, two).pull().sealed == 0
    assert not sealed(two)
    assert syncing(depot, one).push().sealed == 1
    assert syncing(depot, two).pull().sealed == 1
    assert contents(stage_folder(two, STAGE, folder.path.name)) == big


@pytest.mark.parametrize("size", ["300001", "before-its-record"])
def test_a_pull_that_is_killed_leaves_nothing_to_be_seen_and_the_next_goes_on(
    depot: str, remote: Remote, tmp_path: Path, size: str
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    big = {f"{number}.bin": bytes([number]) * 200_000 for number in range(3)}
    folder = make(one, 0, big)
    syncing(depot, one).push()
    copy_and_be_killed("pull", two, depot, folder, size)
    copy = stage_folder(two, STAGE, folder.path.name)
    assert not copy.done.exists()
    assert not copy.seal.exists()
    there = incoming_folder(two, tree_name(two)) / STAGE / folder.path.name / "artifact"
    kept = {path.name: path.stat().st_ino for path in there.glob("*.bin")}
    assert bool(kept) == (size == "300001")
    assert syncing(depot, two).pull().sealed == 1
    assert contents(copy) == big
    assert kept.items() <= {path.name: path.stat().st_ino for path in copy.artifact.glob("*.bin")}.items()
    assert not there.exists()


def test_half_a_file_is_gone_on_with(depot: str, remote: Remote, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make(one, 0)
    syncing(depot, one).push()
    drafts = incoming_folder(two, tree_name(two))
    part = part_of(drafts / STAGE / folder.path.name / "artifact" / "weights.bin")
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES["weights.bin"][:1000])
    told: list[int] = []
    pull_sealed(remote, two, STAGE, folder.path.name, told.append)
    assert 1000 in told
    assert contents(stage_folder(two, STAGE, folder.path.name)) == FILES
    # Half a file of another content is found out, and the next call begins it anew.
    three = tmp_path / "three"
    part = part_of(incoming_folder(three, tree_name(three)) / STAGE / folder.path.name / "artifact" / "weights.bin")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    with pytest.raises(Refused, match=r"artifact/weights\.bin has other contents"):
        pull_sealed(remote, three, STAGE, folder.path.name, ignore)
    assert not sealed(three)
    assert pull_sealed(remote, three, STAGE, folder.path.name, ignore)
    assert contents(stage_folder(three, STAGE, folder.path.name)) == FILES


def test_what_was_tampered_with_is_named_and_taken_neither_way(depot: str, remote: Remote, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    good, bad = make(one, 0), make(one, 1)
    syncing(depot, one).push()
    remote.write(f"{STAGE}/{bad.path.name}/artifact/weights.bin", b"v" * 300_000)
    pulled = syncing(depot, two).pull()
    assert pulled.sealed == 1
    (said,) = pulled.refused
    assert f"{STAGE}/{bad.path.name} (encoder 1) is not as it was sealed" in said
    assert "artifact/weights.bin has other contents" in said
    assert list(sealed(two)) == [f"{STAGE}/{good.path.name}"]
    worse = make(one, 2)
    (worse.artifact / "deeper/config.json").write_bytes(b"[]")
    (said,) = syncing(depot, one).push().refused
    assert f"{worse.path} (encoder 2) is not as it was sealed, so it is not pushed: artifact/deeper/config.json" in said
    assert remote.read(done_name(STAGE, worse.path.name)) is None


def test_files_that_the_remote_lost_are_told_of(depot: str, remote: Remote, tmp_path: Path) -> None:
    folder = make(tmp_path / "one", 0)
    syncing(depot, tmp_path / "one").push()
    remote.delete([f"{STAGE}/{folder.path.name}/artifact/weights.bin"])
    (said,) = syncing(depot, tmp_path / "one").push().refused
    assert f"{STAGE}/{folder.path.name} (encoder 0) lacks files that it was sealed with" in said


def test_two_results_under_one_key_disagree_and_neither_replaces_the_other(depot: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    make(one, 0)
    other = make(two, 0, {**FILES, "weights.bin": b"v" * 300_001})
    syncing(depot, one).push()
    for copied in (syncing(depot, two).push(), syncing(depot, two).pull()):
        (said,) = copied.refused
        assert "holds another result than" in said
        assert said.count("weights.bin") == 1
    assert contents(other)["weights.bin"] == b"v" * 300_001


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/", "a\\b", "c:d", "a\nb", "x" * 300, "a/./b"]
)
def test_names_that_lead_out_of_the_tree_are_known(name: str) -> None:
    assert not is_safe(name)
    assert place_of(f"{STAGE}/0123456789abcdef/{name}") is None


def test_names_that_stay_in_the_tree_are_known() -> None:
    assert is_safe("meta/tasks one.parquet")
    assert place_of(f"{STAGE}/0123456789abcdef/artifact/a.b") == (STAGE, "0123456789abcdef", "artifact/a.b")
    assert place_of("nothing/0123456789abcdef/artifact/a") is None
    assert place_of(f"{STAGE}/../artifact/a") is None


def test_a_record_that_names_files_elsewhere_is_refused(depot: str, remote: Remote, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make(one, 0)
    syncing(depot, one).push()
    record = json.loads(folder.done.read_bytes())
    entry = record["files"].pop("empty")
    record["files"]["../../../../escaped"] = entry
    from world_modality.store.done import FileEntry, content_digest

    record["content_digest"] = content_digest({name: FileEntry(**each) for name, each in record["files"].items()})
    remote.write(done_name(STAGE, folder.path.name), json.dumps(record).encode())
    (said,) = syncing(depot, two).pull().refused
    assert "names a file '../../../../escaped', which could lead out of the tree: not taken" in said
    assert not sealed(two)
    remote.write(done_name(STAGE, folder.path.name), b"{")
    assert "is not a whole record" in syncing(depot, two).pull().refused[0]
    for name, value in {"label": "other", "key": "0" * 16}.items():
        changed = json.loads(folder.done.read_bytes()) | {name: value}
        remote.write(done_name(STAGE, folder.path.name), json.dumps(changed).encode())
        assert len(syncing(depot, tmp_path / name).pull().refused) == (name == "key")


def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    one, two, depot = tmp_path / "one", tmp_path / "two", tmp_path / "depot"
    depot.mkdir()
    folder = make(one, 0)
    syncing(str(depot), one).push()
    secret = tmp_path / "secret"
    secret.write_bytes(FILES["weights.bin"])
    weights = depot / STAGE / folder.path.name / "artifact" / "weights.bin"
    weights.unlink()
    weights.symlink_to(secret)
    (said,) = syncing(str(depot), two).pull().refused
    assert "leads out of" in said
    plans = depot / "sealed-plans" / "small"
    plans.mkdir(parents=True)
    (plans / "plan.json").symlink_to(secret)
    assert "sealed-plans/small/plan.json" not in open_remote(str(depot)).files("")
    assert not sealed(two)


def test_a_stage_that_somebody_works_on_is_left_to_him(tmp_path: Path) -> None:
    from world_modality.store.lock import exclusive

    one, two, depot = tmp_path / "one", tmp_path / "two", tmp_path / "depot"
    depot.mkdir()
    folder = make(one, 0)
    syncing(str(depot), one).push()
    copy = stage_folder(two, STAGE, folder.path.name)
    with exclusive(copy.lock, lambda: None):
        pulled = syncing(str(depot), two).pull()
    assert (pulled.sealed, pulled.busy) == (0, 1)
    assert not copy.artifact.exists()
    assert syncing(str(depot), two).pull().sealed == 1


def test_a_remote_that_fails_is_told_of_once_and_tried_again(tmp_path: Path) -> None:
    one, depot, away = tmp_path / "one", tmp_path / "depot", tmp_path / "away"
    depot.mkdir()
    folder = make(one, 0)
    remote, passes, said = open_remote(str(depot)), 0, list[str]()
    copying = Syncing(remote, one, None, Progress("push", stream=sys.stderr))

    def push():
        nonlocal passes
        passes += 1
        if passes == 1:
            depot.rename(away)
        if passes == 4:
            away.rename(depot)
        return copying.push()

    def say(text: str) -> None:
        said.append(text)
        if "1 sealed" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeat(push, "push", remote, 0.01, say)
    assert passes == 4
    assert said[0].endswith(f"{depot} is not there any more; tried again every 0.01 s")
    assert said[1].endswith(f"{depot} answers again")
    assert len(said) == 3
    assert sealed(depot).keys() == {f"{STAGE}/{folder.path.name}"}


def test_a_remote_that_fails_in_the_middle_of_a_stage_shows_none_of_it(
    depot: str, remote: Remote, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make(one, 0)

    def fail(_size: int) -> None:
        raise RemoteError("the line broke")

    with pytest.raises(RemoteError):
        push_sealed(remote, one, STAGE, folder.path.name, fail)
    assert remote.read(done_name(STAGE, folder.path.name)) is None
    assert push_sealed(remote, one, STAGE, folder.path.name, ignore)
    with pytest.raises(RemoteError):
        pull_sealed(remote, two, STAGE, folder.path.name, fail)
    assert not sealed(two)
    assert pull_sealed(remote, two, STAGE, folder.path.name, ignore)


def test_a_copied_tree_has_a_name_of_its_own(tmp_path: Path) -> None:
    import shutil

    one = tmp_path / "one"
    one.mkdir()
    name = tree_name(one)
    assert tree_name(one) == name
    shutil.copytree(one, tmp_path / "two")
    assert tree_name(tmp_path / "two") != name
    one.rename(tmp_path / "elsewhere")
    assert tree_name(tmp_path / "elsewhere") == name
