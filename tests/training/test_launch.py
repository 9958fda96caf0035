"""What of LeRobot's training script is hooked: an upgrade that moves one of these names fails here, by name."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.scripts import lerobot_train
from support.tiny_cell import cell_context, train_spec

from world_modality.imports import replaced
from world_modality.training import stage
from world_modality.training.arguments import Places, fresh_arguments, resolve
from world_modality.training.checkpoints import Saving
from world_modality.training.launch import Hooks, sampler_state
from world_modality.training.metrics import MetricsLog

Inputs = dict[str, tuple[Path, ...]]

CALLS = {  # in a training of 3 steps with a log line at each and no time to save in between
    "EpisodeAwareSampler": 1,
    "compute_sampler_state": 0,  # but in a resumed training
    "cycle": 1,
    "init_logging": 1,
    "inside_slurm": 1,
    "make_optimizer_and_scheduler": 1,
    "make_pre_post_processors": 1,
    "make_train_eval_datasets": 1,
    "save_checkpoint": 1,
    "should_save_checkpoint": 3,
    "update_last_checkpoint": 1,
}


def hooks() -> Hooks:
    log = MetricsLog(Path(os.devnull), Path(os.devnull), lambda _: None)
    return Hooks(log=log, saving=Saving(seconds=1e9), statistics={}, decoders=1)


def test_lerobot_calls_each_hook_as_often_as_expected(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    replacements = Hooks.replacements

    def counting(self: Hooks, script: Any) -> dict[str, Callable[..., Any]]:
        def count(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *given, **named: counts.update([name]) or hook(*given, **named)

        return {name: count(name, hook) for name, hook in replacements(self, script).items()}

    before = sys.argv, torch.get_num_threads(), list(logging.getLogger().handlers), vars(lerobot_train).copy()
    monkeypatch.setattr(Hooks, "replacements", counting)
    stage.run(train_spec("disabled", steps=3), cell_context(tmp_path, inputs, memory="disabled"))
    assert counts == {name: count for name, count in CALLS.items() if count}
    after = sys.argv, torch.get_num_threads(), list(logging.getLogger().handlers), vars(lerobot_train).copy()
    assert before == after


def test_hooked_functions_take_the_arguments_that_lerobot_gives() -> None:
    assert hooks().replacements(lerobot_train).keys() == CALLS.keys()
    assert list(inspect.signature(lerobot_train.should_save_checkpoint).parameters) == [
        "step",
        "save_freq",
        "total_steps",
    ]
    assert "checkpoint_dir" in inspect.signature(lerobot_train.save_checkpoint).parameters
    assert list(inspect.signature(lerobot_train.update_last_checkpoint).parameters) == ["checkpoint_dir"]
    assert list(inspect.signature(lerobot_train.cycle).parameters) == ["iterable"]
    assert list(inspect.signature(lerobot_train.make_train_eval_datasets).parameters) == ["cfg"]
    theirs = inspect.signature(lerobot_train.compute_sampler_state)
    assert list(inspect.signature(sampler_state).parameters) == list(theirs.parameters)
    assert list(inspect.signature(lerobot_train.make_optimizer_and_scheduler).parameters) == ["cfg", "policy"]


def test_resolved_configuration_is_complete_and_repeatable(inputs: Inputs, tmp_path: Path) -> None:
    spec = train_spec("disabled", steps=7, seed=3)
    start = tmp_path / "start"
    stage._convert(spec, cell_context(tmp_path, inputs, memory="disabled"), start)
    arguments = fresh_arguments(spec, Places(start, inputs["dataset"][0], tmp_path / "run", ()), 2)
    first, again = resolve(arguments), resolve(arguments)
    assert {**first, "output_dir": ""} == {**again, "output_dir": ""}
    assert first["steps"] == 7
    assert first["seed"] == first["policy"]["world_seed"] == 3
    assert first["policy"]["type"] == "smolvla_world"
    assert first["optimizer"]["grad_clip_norm"] == 0.0
    assert first["optimizer"]["group_clip_norm"] == spec.optim.grad_clip
    assert first["wandb"]["enable"] is first["policy"]["push_to_hub"] is False


def test_replaced_puts_back_and_wants_an_existing_name() -> None:
    class Owner:
        value = 1

    def fail() -> None:
        with replaced(Owner, "value", 2):
            raise KeyError(Owner.value)

    with pytest.raises(KeyError, match="2"):
        fail()
    assert Owner.value == 1
    with pytest.raises(AttributeError), replaced(Owner, "other", 2):
        pass
