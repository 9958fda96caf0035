from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from world_modality.errors import UserError
from world_modality.training import checkpoints
from world_modality.training.checkpoints import (
    KEEP_VARIABLE,
    SaveClock,
    Saving,
    complete_checkpoints,
    kept_checkpoints,
    pointing_atomically,
    recover,
    saving_atomically,
)


class Crash(Exception):
    pass


def save(checkpoint_dir: Path, step: int, crash: bool = False) -> None:
    (checkpoint_dir / "pretrained_model").mkdir(parents=True)
    (checkpoint_dir / "pretrained_model" / "model").write_text(str(step))
    if crash:
        raise Crash
    (checkpoint_dir / "training_state").write_text(str(step))


@pytest.mark.parametrize(
    ("keep", "kept"), [(1, ["000100"]), (2, ["000010", "000100"]), (9, ["000008", "000009", "000010", "000100"])]
)
def test_only_the_newest_are_kept(tmp_path: Path, keep: int, kept: list[str]) -> None:
    for step in (8, 9, 10, 100):
        saving_atomically(save, keep)(checkpoint_dir=tmp_path / f"{step:06d}", step=step)
    assert [path.name for path in complete_checkpoints(tmp_path)] == kept
    newest = recover(tmp_path)
    assert newest is not None
    assert (newest / "training_state").read_text() == "100"


def test_a_crash_while_saving_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    atomically = saving_atomically(save)
    atomically(checkpoint_dir=tmp_path / "000001", step=1)
    with pytest.raises(Crash):
        atomically(checkpoint_dir=tmp_path / "000002", step=2, crash=True)
    assert recover(tmp_path) == tmp_path / "000001"
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]
    atomically(checkpoint_dir=tmp_path / "000002", step=2)
    assert recover(tmp_path) == tmp_path / "000002"


def test_all_are_kept_if_wanted(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        saving_atomically(save, keep=None)(checkpoint_dir=tmp_path / f"{step:06d}", step=step)
    assert len(complete_checkpoints(tmp_path)) == 4


def test_a_training_that_went_on_from_an_older_checkpoint_replaces_newer_ones(tmp_path: Path) -> None:
    atomically = saving_atomically(save)
    atomically(checkpoint_dir=tmp_path / "000002", step=2)
    with pytest.raises(Crash):
        atomically(checkpoint_dir=tmp_path / "000002", step=3, crash=True)
    assert (tmp_path / "000002" / "training_state").read_text() == "2"
    atomically(checkpoint_dir=tmp_path / "000002", step=4)
    assert (tmp_path / "000002" / "training_state").read_text() == "4"
    assert [path.name for path in tmp_path.iterdir()] == ["000002"]


@pytest.mark.parametrize(("step", "kept"), [("000001", ["000001", "000002"]), ("000002", ["000001", "000002"])])
def test_a_crash_while_replacing_leaves_the_checkpoint_that_was_to_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kept: list[str]
) -> None:
    def rename(self: Path, target: Path) -> Path:
        if self.name == f"{step}.partial":
            raise Crash
        return original(self, target)

    original, atomically = Path.rename, saving_atomically(save)
    for number in (1, 2):
        atomically(checkpoint_dir=tmp_path / f"{number:06d}", step=number)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(Crash):
            atomically(checkpoint_dir=tmp_path / step, step=7)
    assert not (tmp_path / step).exists()
    assert recover(tmp_path) == tmp_path / "000002"
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert (tmp_path / step / "training_state").read_text() == str(int(step))


def test_a_crash_after_replacing_leaves_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: Path) -> None:
        raise Crash

    atomically = saving_atomically(save)
    atomically(checkpoint_dir=tmp_path / "000002", step=2)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.shutil, "rmtree", crash)
        with pytest.raises(Crash):
            atomically(checkpoint_dir=tmp_path / "000002", step=7)
    assert recover(tmp_path) == tmp_path / "000002"
    assert [path.name for path in tmp_path.iterdir()] == ["000002"]
    assert (tmp_path / "000002" / "training_state").read_text() == "7"


def test_several_processes_may_recover_at_once(tmp_path: Path) -> None:
    for attempt in range(20):
        root = tmp_path / str(attempt)
        save(root / "000001.replaced.partial", step=1)
        save(root / "000002.partial", step=2)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(recover, [root] * 4))
        assert found == [root / "000001"] * 4
        assert (root / "000001" / "training_state").read_text() == "1"


def test_the_link_to_the_last_checkpoint_leads_somewhere_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lerobot.common.train_utils import update_last_checkpoint

    seen: list[str] = []

    def watched(checkpoint_dir: Path) -> Path:
        link = tmp_path / "last"
        seen.append(link.resolve(strict=True).name if link.is_symlink() else "none yet")
        result: Path = update_last_checkpoint(checkpoint_dir)
        seen.append(link.resolve(strict=True).name if link.is_symlink() else "none yet")
        return result

    for name in ("000001", "000002"):
        (tmp_path / name).mkdir()
        assert pointing_atomically(watched)(tmp_path / name) == tmp_path / "last"
    assert seen == ["none yet", "none yet", "000001", "000001"]
    assert (tmp_path / "last").resolve() == tmp_path / "000002"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001", "000002", "last"]


def test_a_crash_while_deleting_leaves_nothing_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path) -> None:
        (path / "training_state").unlink()
        raise Crash

    atomically = saving_atomically(save)
    for step in (1, 2):
        atomically(checkpoint_dir=tmp_path / f"{step:06d}", step=step)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.shutil, "rmtree", crash)
        with pytest.raises(Crash):
            atomically(checkpoint_dir=tmp_path / "000003", step=3)
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["000002", "000003"]
    assert recover(tmp_path) == tmp_path / "000003"


def test_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(tmp_path / "none") is None
    (tmp_path / "last").symlink_to("000007")
    assert recover(tmp_path) is None


def test_the_environment_says_how_many_are_kept() -> None:
    assert kept_checkpoints({}) == 2
    assert kept_checkpoints({KEEP_VARIABLE: "7"}) == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_no_checkpoint_at_all_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"^{KEEP_VARIABLE} is '{text}': set it to .* at least 1$"):
        kept_checkpoints({KEEP_VARIABLE: text})


def test_clock_is_due_after_its_seconds_or_when_saving_is_dear() -> None:
    now = [0.0]
    clock = SaveClock(Saving(seconds=10), clock=lambda: now[0])

    def slow(**_: Any) -> None:
        now[0] += 2

    now[0] = 9.9
    assert not clock.due()
    now[0] = 10
    assert clock.due()
    clock.timed(slow)()
    assert not clock.due()
    now[0] += 10
    assert not clock.due()  # saving took 2 seconds: the next is worth it after 40
    now[0] += 30
    assert clock.due()


@pytest.mark.parametrize("file", ["pretrained_model/model", "training_state", "digests.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path, file: str, damage: str) -> None:
    atomically = saving_atomically(save)
    for step in (1, 2):
        atomically(checkpoint_dir=tmp_path / f"{step:06d}", step=step)
    path = tmp_path / "000002" / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:] if damage == "flipped" else content[:-2])
    spared = file == "digests.json" and damage == "gone"  # as one that was taken from a sealed result
    assert recover(tmp_path) == tmp_path / ("000002" if spared else "000001")
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["000001", "000002"][: 2 if spared else 1]
