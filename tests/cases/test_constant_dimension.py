"""Data that move in a dimension in which the start policy's data never did."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from safetensors.torch import load_file
from support.given_inputs import STATISTICS, Episodes, Moment, Tensors, checkpoint_copy, dataset_of, edit_statistics
from support.tiny_cell import cell_context, train_spec

from world_modality.errors import UserError
from world_modality.training import stage
from world_modality.training.metrics import MetricsLog, read_metrics

SANE = 1e3  # of a loss of normalised actions, which begins near 1


def turning(moment: Moment) -> Moment:
    action = moment.action.copy()
    action[3:6] = 0.3 * np.sin(moment.seen.state[:3] * 100)
    return replace(moment, action=action)


def never_turned(statistics: Tensors) -> Tensors:
    deviation = statistics["action.std"].clone()
    deviation[3:6] = 0.0
    return {**statistics, "action.std": deviation}


def test_a_training_refuses_them_or_takes_other_statistics(place: Path, episodes: Episodes) -> None:
    policy = checkpoint_copy(place / "policy")
    edit_statistics(policy, never_turned)
    assert not any(load_file(next(policy.glob(STATISTICS)))["action.std"][3:6])
    inputs = {"policy": (policy,), "dataset": (dataset_of(place / "data", episodes, change=turning),)}
    context = cell_context(place / "stage", inputs, memory="disabled")
    try:
        stage.run(train_spec("disabled", steps=2, batch_size=2), context)
    except UserError as error:
        told = str(error)
        assert "action" in told
        assert "deviation" in told
    else:
        losses = [line["loss"] for line in read_metrics(context.artifact / stage.METRICS)]
        assert all(math.isfinite(loss) and loss < SANE for loss in losses), losses


def test_a_loss_a_million_times_its_start_stops_the_training(place: Path) -> None:
    log = logging.Logger("test")
    log.addHandler(MetricsLog(place / "metrics.jsonl", place / "timings.jsonl", lambda _: None))
    told = ""
    try:
        for step, loss in enumerate((0.5, 0.4, 0.5e7), 1):
            tracker = MetricsTracker(4, 40, 2, {"loss": AverageMeter("loss")}, initial_step=step)
            tracker.loss = loss
            log.info(tracker)
    except UserError as error:
        told = str(error)
    assert "step 3" in told
