from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker

from world_modality.errors import UserError
from world_modality.training.metrics import TIMED, Line, MetricsLog, log_interval, read_metrics, rewind, summarise


def tracker(step: int, loss: float, **extra: float) -> MetricsTracker:
    found = MetricsTracker(4, 40, 2, {"loss": AverageMeter("loss")}, initial_step=step)
    found.loss = loss
    found.update_metrics(extra)
    return found


def logger(path: Path, seen: list[Line]) -> logging.Logger:
    log = logging.Logger("test")
    log.addHandler(MetricsLog(path, path.with_name("timings.jsonl"), seen.append))
    return log


def test_every_tracker_becomes_a_line_and_nothing_else_does(tmp_path: Path) -> None:
    seen: list[Line] = []
    log = logger(tmp_path / "metrics.jsonl", seen)
    log.info("Creating dataset")
    log.info(tracker(5, 0.5, world_cos=0.25, losses_after_forward=0.7))
    log.info(tracker(10, 0.25))
    assert seen == read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in seen] == [5, 10]
    assert seen[0]["world_cos"] == 0.25
    assert "losses_after_forward" not in seen[0]


def test_what_tells_of_the_machine_goes_into_a_file_of_its_own(tmp_path: Path) -> None:
    log = logger(tmp_path / "metrics.jsonl", [])
    log.info(tracker(5, 0.5, update_s=0.3, dataloading_s=0.1))
    (line,), (times,) = (read_metrics(tmp_path / name) for name in ("metrics.jsonl", "timings.jsonl"))
    assert line["loss"] == 0.5
    assert not line.keys() & set(TIMED)
    assert {"step": 5, "update_s": 0.3, "dataloading_s": 0.1}.items() <= times.items()


def test_a_figure_is_in_the_lines_whose_window_measured_it(tmp_path: Path) -> None:
    seen: list[Line] = []
    handler = MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "timings.jsonl", seen.append)
    own = tracker(5, 0.5, rare=3.0)
    handler.emit(logging.makeLogRecord({"msg": own}))
    own.reset_averages()
    own.loss = 0.25
    handler.more = lambda: {"grad_norm_base": 2.0}
    handler.emit(logging.makeLogRecord({"msg": own}))
    assert seen[0]["rare"] == 3.0
    assert "grad_norm_base" not in seen[0]
    assert "rare" not in seen[1]
    assert seen[1]["grad_norm_base"] == 2.0


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_diverged_training_stops(tmp_path: Path, loss: float) -> None:
    with pytest.raises(UserError, match=r"at step 3: lower training\.lr"):
        logger(tmp_path / "metrics.jsonl", []).info(tracker(3, loss))
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_rewind_drops_later_lines_and_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rewind(path, 0)
    assert path.read_text() == ""
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "lo')
    rewind(path, 2)
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


@given(st.integers(1, 200_000))
def test_the_last_step_has_a_line(steps: int) -> None:
    interval = log_interval(steps)
    assert steps % interval == 0
    assert 1 <= interval <= 100
    assert steps // interval >= min(steps, 50)


def test_interval_and_summary() -> None:
    assert [log_interval(steps) for steps in (1, 12, 299, 300, 500, 50_000)] == [1, 1, 1, 6, 10, 100]
    assert summarise({"loss": 0.0824}) == "loss 0.0824"
    line = {"loss": 1.0, "world_cos": 0.414, "world_cos_persistence": 0.38, "world_gate": 0.0061}
    assert summarise(line) == "loss 1  world_cos 0.41 (persistence 0.38)  gate 0.0061"
