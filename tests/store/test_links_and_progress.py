"""What people see of the store: links and progress lines."""

from __future__ import annotations

import io
from pathlib import Path

from world_modality.store.layout import stage_folder
from world_modality.store.links import link_files, link_stage
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
    link_files(tmp_path, "study", "report", "a" * 16)
    assert (tmp_path / "by-name" / "study" / "table.md").read_text() == "table"


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
