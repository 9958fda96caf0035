"""What people see of the store: links and progress lines."""

from __future__ import annotations

import io
from pathlib import Path

from world_modality.store.layout import stage_folder
from world_modality.store.links import link_all, link_stage, linked_key
from world_modality.store.lock import exclusive
from world_modality.store.progress import Progress, format_seconds


def test_links_are_relative_and_replaced(tmp_path: Path) -> None:
    for key in ("a" * 16, "b" * 16):
        artifact = stage_folder(tmp_path / "results", "train", key).artifact
        artifact.mkdir(parents=True)
        (artifact / "name").write_text(key)
        link = link_stage(tmp_path / "results", "study", "train/E0-seed0", "train", key)
        assert (link / "name").read_text() == key
    moved = (tmp_path / "results").rename(tmp_path / "elsewhere")
    assert (moved / "by-name" / "study" / "train" / "E0-seed0" / "name").read_text() == "b" * 16
    assert [each.name for each in (moved / "by-name" / "study" / "train").iterdir()] == ["E0-seed0"]


def test_report_files_lie_beside_the_links(tmp_path: Path) -> None:
    artifact = stage_folder(tmp_path, "report", "a" * 16).artifact
    artifact.mkdir(parents=True)
    (artifact / "table.md").write_text("table")
    link_all(tmp_path, "study", {"report": ("report", "a" * 16)}, unfold="report")
    assert (tmp_path / "by-name" / "study" / "table.md").read_text() == "table"
    assert (tmp_path / "by-name" / "study" / "report" / "table.md").read_text() == "table"


def test_stages_of_any_name_are_linked_and_their_links_removed(tmp_path: Path) -> None:
    for stage in ("prophet_v2", "encoder2", "score-sheet"):
        stage_folder(tmp_path, stage, "a" * 16).artifact.mkdir(parents=True)
        link_all(tmp_path, "study", {"some/name": (stage, "a" * 16)}, unfold="report")
        assert linked_key(tmp_path, "study", "some/name") == "a" * 16
        link_all(tmp_path, "study", {}, unfold="report")
        assert not (tmp_path / "by-name" / "study" / "some").exists()


def test_the_report_s_times_are_linked_beside_its_files(tmp_path: Path) -> None:
    report = stage_folder(tmp_path, "report", "a" * 16)
    for folder in (report.artifact, report.volatile):
        folder.mkdir(parents=True)
    (report.volatile / "timing.json").write_text("{}")
    (report.volatile / "run.json").write_text("{}")
    for _ in range(2):
        link_all(tmp_path, "study", {"report": ("report", "a" * 16)}, unfold="report")
        assert {path.name for path in (tmp_path / "by-name" / "study").iterdir()} == {"report", "timing.json"}
    link_all(tmp_path, "study", {}, unfold="report")
    assert list((tmp_path / "by-name" / "study").iterdir()) == []


def test_names_that_no_longer_hold_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "by-name" / "study"
    keys = {name: key * 16 for name, key in zip(("E0", "E1", "report"), "abc", strict=True)}
    for key in keys.values():
        for stage in ("train", "report"):
            artifact = stage_folder(tmp_path, stage, key).artifact
            artifact.mkdir(parents=True)
            (artifact / "table.md").write_text(key)
    before = {f"train/{name}": ("train", keys[name]) for name in ("E0", "E1")}
    link_all(tmp_path, "study", {**before, "old/deep/E0": ("train", keys["E0"])}, unfold="report")
    link_all(tmp_path, "study", {**before, "report": ("report", keys["report"])}, unfold="report")
    assert (folder / "table.md").read_text() == keys["report"]
    assert not (folder / "old").exists()

    mine = folder / "train" / "best"
    mine.symlink_to("E0")
    (folder / "elsewhere").symlink_to(tmp_path)
    (folder / "train" / "notes.txt").write_text("mine")
    (folder / "train" / ".E0.0123abcd").symlink_to("../../../train/" + keys["E0"] + "/artifact")  # left by a kill
    link_all(tmp_path, "study", {"train/E0": ("train", keys["E1"])}, unfold="report")
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == ["elsewhere", "train", "train/E0", "train/best", "train/notes.txt"]
    assert (folder / "train" / "E0").resolve().parent.name == keys["E1"]
    assert (stage_folder(tmp_path, "report", keys["report"]).artifact / "table.md").exists()


def test_a_name_may_become_a_folder(tmp_path: Path) -> None:
    artifact = stage_folder(tmp_path, "train", "a" * 16).artifact
    artifact.mkdir(parents=True)
    link_all(tmp_path, "study", {"train": ("train", "a" * 16)}, unfold="report")
    link_all(tmp_path, "study", {"train/E0": ("train", "a" * 16)}, unfold="report")
    assert not (tmp_path / "by-name" / "study" / "train").is_symlink()
    assert list(artifact.iterdir()) == []


def test_progress_is_throttled_and_estimates_from_this_attempt(tmp_path: Path) -> None:
    stream, now = io.StringIO(), [0.0]
    progress = Progress("train E2/0", stream=stream, clock=lambda: now[0], last_line=tmp_path / "last")
    progress.update(100, 200, "steps")  # done by an earlier attempt
    for done in range(101, 111):
        now[0] += 1.0
        progress.update(done, 200, "steps", "loss 0.1")
    progress.update(200, 200, "steps")
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["100/200 steps", "ETA 1:35", "ETA 1:30", "200/200 steps"]
    assert (tmp_path / "last").read_text().strip() == lines[-1]


def test_durations() -> None:
    assert [format_seconds(value) for value in (0.4, 65, 7389)] == ["0:00", "1:05", "2:03:09"]


def test_a_stage_s_name_waits_for_nobody(tmp_path: Path) -> None:
    """A process that was stopped while it made names must not stop every job that ends."""
    with exclusive(tmp_path / "by-name" / ".lock", lambda: None):
        link = link_stage(tmp_path, "study", "train/E0", "train", "0" * 16)
    assert link.is_symlink()
