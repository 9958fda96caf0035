"""Every optimiser setting of a study arrives where LeRobot's training reads it: none is replaced by a preset."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.contract import reach
from support.tiny_cell import cell_context, train_spec

from world_modality.study.specs import OptimSpec, TrainSpec
from world_modality.training import stage
from world_modality.training.arguments import Places, fresh_arguments, resolve
from world_modality.training.metrics import read_metrics

Inputs = dict[str, tuple[Path, ...]]

ARRIVES: dict[str, tuple[Any, str]] = {  # setting: a value that no default has, where it is read
    "steps": (77, "steps"),
    "batch_size": (5, "batch_size"),
    "lr": (3e-3, "optimizer.lr"),
    "warmup_steps": (9, "scheduler.num_warmup_steps"),
    "decay_steps": (66, "scheduler.num_decay_steps"),
    "decay_lr": (7e-6, "scheduler.decay_lr"),
    "weight_decay": (0.03, "optimizer.weight_decay"),
    "grad_clip": (0.7, "optimizer.group_clip_norm"),
    "world_lr": (0.04, "policy.world_lr"),
    "train_vision": (False, "policy.train_expert_only"),
}


@pytest.fixture(scope="module")
def resolved(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Callable[[TrainSpec], dict[str, Any]]:
    """What LeRobot makes of a spec."""
    root = tmp_path_factory.mktemp("knobs")
    stage._convert(train_spec("pred"), cell_context(root, inputs, memory="pred"), root / "start")
    places = Places(root / "start", inputs["dataset"][0], root / "run", inputs["latents_image"])
    return cache(lambda spec: resolve(fresh_arguments(spec, places, 1)))


@pytest.mark.defect("B17")
@pytest.mark.parametrize("name", [name for name in OptimSpec.model_fields if name != "preset"])  # of other policies
def test_a_setting_arrives_where_training_reads_it(resolved: Callable[[TrainSpec], dict[str, Any]], name: str) -> None:
    value, place = ARRIVES[name]
    spec = train_spec("pred")
    changed = spec.model_copy(update={"optim": spec.optim.model_copy(update={name: value})})
    before, after = resolved(spec), resolved(changed)
    expected = not value if name == "train_vision" else value
    assert reach(after, place) == pytest.approx(expected)
    assert reach(before, place) != reach(after, place)


@pytest.mark.defect("B17")
def test_the_rate_that_was_trained_at_follows_the_schedule(trained: Callable[[str], Path]) -> None:
    optim = train_spec("disabled", steps=14).optim
    rates = [line["lr"] for line in read_metrics(trained("disabled") / "metrics.jsonl")]
    assert max(rates) == pytest.approx(optim.lr, rel=0.1)
    assert rates[0] < 0.9 * optim.lr  # warming up
    assert rates[-1] < 0.05 * optim.lr  # nearly at decay_lr
