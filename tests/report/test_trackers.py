"""Curves of what runs: every point once, whoever was killed between two looks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from world_modality.report.trackers import (
    LiveRun,
    Outcomes,
    TensorBoard,
    Trackio,
    WeightsAndBiases,
    last_offline_step,
    last_steps,
    wandb_rows,
)


def lines(count: int) -> list[dict[str, float]]:
    return [{"step": 10.0 * (at + 1), "loss": 1.0 / (at + 1), "world_gate": 0.1 * at} for at in range(count)]


RUN = LiveRun("E2-seed0", "0123456789abcdef", lines(3), {})
ROLLED = replace(RUN, lines=lines(5), success={"E2": Outcomes(4, 3, 8), "E2-zero": Outcomes(8, 2, 8)})
DONE = replace(ROLLED, success={"E2": Outcomes(8, 6, 8), "E2-zero": Outcomes(8, 2, 8)})


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        written = EventAccumulator(str(file), size_guidance={"scalars": 0})
        written.Reload()
        if tag in written.Tags()["scalars"]:
            found += [(event.step, pytest.approx(event.value)) for event in written.Scalars(tag)]
    return found


def test_tensorboard_gets_what_is_new_at_every_look_and_after_a_restart(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path)
    assert tracker.write(RUN) == 6
    assert tracker.write(RUN) == 0
    folder = tmp_path / RUN.name
    # Not closed: this one is killed, while it writes a point.
    (file,) = folder.glob("events.out.tfevents.*")
    with file.open("ab") as torn:
        torn.write(b"\x18\x00\x00")
    other = TensorBoard(tmp_path)
    assert other.write(ROLLED) == 4 + 3
    assert other.write(DONE) == 2
    other.close()
    assert curve(folder, "train/loss") == [(10 * (at + 1), 1.0 / (at + 1)) for at in range(5)]
    assert curve(folder, "rollouts/success_so_far/E2") == [(4, 0.75), (8, 0.75)]
    assert curve(folder, "rollouts/success_so_far/E2-zero") == [(8, 0.25)]
    assert curve(folder, "rollouts/success/E2") == [(50, 0.75)]
    assert last_steps(folder)["train/loss"] == 50
    assert TensorBoard(tmp_path).write(DONE) == 0


def test_a_run_that_has_nothing_yet_leaves_nothing(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path)
    assert tracker.write(replace(RUN, lines=[])) == 0
    assert list(tmp_path.iterdir()) == []


def test_trackio_gets_what_is_new_also_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder per process: Trackio reads where it lies when it is imported."""
    monkeypatch.setenv("TRACKIO_DIR", "")
    tracker = Trackio("toy", tmp_path)
    assert tracker.write(RUN) == 6
    assert tracker.write(RUN) == 0
    again = Trackio("toy", tmp_path)
    assert again.write(ROLLED) == 4 + 3
    assert again.write(DONE) == 2
    assert Trackio("toy", tmp_path).write(DONE) == 0
    rows = again._storage.get_logs("toy", RUN.name)
    losses = [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert losses == [(10 * (at + 1), 1.0 / (at + 1)) for at in range(5)]
    assert [row["step"] for row in rows if "rollouts/success_so_far/E2" in row] == [4, 8]
    assert list(tmp_path.rglob("*.db"))


def test_steps_of_wandb_only_rise() -> None:
    rows = [*wandb_rows(ROLLED), *wandb_rows(DONE)]
    steps = [step for step, _ in rows]
    assert steps[:6] == [10, 20, 30, 40, 50, 62]
    assert steps[-1] == 66
    assert rows[5][1] == {
        "rollouts/success_so_far/E2": 0.75,
        "rollouts/episodes/E2": 4,
        "rollouts/success_so_far/E2-zero": 0.25,
        "rollouts/episodes/E2-zero": 8,
        "rollouts/success/E2-zero": 0.25,
    }


def test_wandb_offline_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "300")  # seconds until its process answers, on a busy machine
    monkeypatch.setitem(os.environ, "WANDB_MODE", "offline")
    first = WeightsAndBiases("toy", tmp_path, offline=True)
    assert first.write(RUN) == 6
    assert first.write(ROLLED) == 4 + 5
    first.close()
    assert last_offline_step(tmp_path, RUN.key) == 62
    second = WeightsAndBiases("toy", tmp_path, offline=True)
    assert second.write(ROLLED) == 0
    assert second.write(DONE) == 6
    second.close()
    assert last_offline_step(tmp_path, RUN.key) == 66
    assert last_offline_step(tmp_path, "f" * 16) == -1
