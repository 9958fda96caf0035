"""An unfinished training that came from elsewhere names no code to run, and no other work than its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from support.given_inputs import edit_json
from support.tiny_cell import cell_context, train_spec

from world_modality.errors import UserError
from world_modality.offline.judged import _processors
from world_modality.policies.checkpoint import load_config
from world_modality.store.stage import StageContext
from world_modality.training import stage
from world_modality.training.prophet import _in_units_of

Inputs = dict[str, tuple[Path, ...]]
Trained = Callable[[str], Path]
EVIL = r"a step is of subprocess\.Popen, which is no processor step of LeRobot"
PREPROCESSOR = "policy_preprocessor.json"


def spoil(folder: Path, trace: Path) -> None:
    evil = {"class": "subprocess.Popen", "config": {"args": ["touch", str(trace)]}}
    edit_json(folder / PREPROCESSOR, lambda found: found["steps"].insert(0, evil))


@pytest.fixture
def copied(inputs: Inputs, trained: Trained, tmp_path: Path) -> StageContext:
    """A training whose work and artifact were copied here when it was at its last step."""
    done = trained("pred")
    context = cell_context(tmp_path / "here", inputs, memory="pred")
    shutil.rmtree(context.artifact)
    shutil.copytree(done.parent / "work", context.work, dirs_exist_ok=True, symlinks=True)
    shutil.copytree(done, context.artifact)
    context.volatile.mkdir()
    shutil.copytree(done.parent / "volatile", context.volatile, dirs_exist_ok=True)
    return context


def checkpoint_of(context: StageContext) -> Path:
    return context.work / "run" / "checkpoints" / "000014" / "pretrained_model"


def resume(context: StageContext, steps: int = 14) -> None:
    stage.run(train_spec("pred", steps=steps), context)


@pytest.mark.parametrize("place", ["checkpoint", "start"])
def test_a_class_that_its_processors_name_is_not_called(copied: StageContext, tmp_path: Path, place: str) -> None:
    spoilt = checkpoint_of(copied) if place == "checkpoint" else copied.work / "start"
    spoil(spoilt, tmp_path / "trace")
    for folder in (checkpoint_of(copied).parent, copied.work / "start"):  # so that they do not count as damaged
        (folder / "digests.json").unlink()
    with pytest.raises(UserError, match=EVIL) as refused:
        resume(copied)
    assert str(spoilt / PREPROCESSOR) in str(refused.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "digests.json"])
def test_a_damaged_start_policy_is_made_again(copied: StageContext, file: str) -> None:
    weights, damaged = copied.work / "start" / "model.safetensors", copied.work / "start" / file
    whole = weights.read_bytes()
    damaged.write_bytes(damaged.read_bytes()[:-10])
    resume(copied)
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("file", ["artifact/arm.json", "work/arm.json"])
def test_a_damaged_description_is_written_again(copied: StageContext, file: str) -> None:
    described, damaged = copied.artifact / "arm.json", copied.artifact.parent / file
    whole = described.read_bytes()
    damaged.write_bytes(damaged.read_bytes().replace(b"1", b"7"))
    resume(copied)
    assert described.read_bytes() == whole


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"wandb": {"enable": True}}, "wandb.enable is true, which no training here sets"),
        ({"job": {"target": "a100"}}, 'job.target is "a100"'),
        ({"env": {"type": "libero"}}, 'env is {"type": "libero"}'),
        ({"policy": {"push_to_hub": True}}, "policy.push_to_hub is true"),
        (None, "holds no settings of a training"),
    ],
)
def test_nor_is_work_done_that_its_settings_ask_for(copied: StageContext, settings: Any, told: str) -> None:
    file = checkpoint_of(copied) / "train_config.json"
    (checkpoint_of(copied).parent / "digests.json").unlink()
    file.write_text("env: {}" if settings is None else json.dumps(json.loads(file.read_text()) | settings))
    with pytest.raises(UserError) as refused:
        resume(copied)
    assert f"{file}" in str(refused.value)
    assert told in str(refused.value)
    assert str(checkpoint_of(copied).parent) in str(refused.value)


@pytest.mark.parametrize("builder", ["LeRobot's script", "offline evaluation"])
def test_whoever_builds_processors_looks_at_them(
    copied: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builder: str
) -> None:
    """Also where nobody looked before: in the processes that share a training, and at a sealed one."""
    monkeypatch.setattr(stage, "_require_harmless", lambda *_: None)
    if builder == "LeRobot's script":
        shutil.rmtree(copied.work / "run")
        spoil(copied.work / "start", tmp_path / "trace")
        (copied.work / "start" / "digests.json").unlink()
    else:
        spoil(checkpoint_of(copied), tmp_path / "trace")
        (checkpoint_of(copied).parent / "digests.json").unlink()
    with pytest.raises(UserError, match=EVIL):
        resume(copied)
    assert not (tmp_path / "trace").exists()


def test_nor_is_it_called_where_a_sealed_training_is_judged(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "pretrained_model"
    shutil.copytree(trained("pred") / "pretrained_model", folder)
    config = load_config(folder, "cpu", None, None, None)
    assert len(_processors(config, folder)) == 2
    spoil(folder, tmp_path / "trace")
    for build in (
        lambda: _processors(config, folder),
        lambda: _in_units_of(_Policy(config), folder, torch.zeros(1, 7)),
    ):
        with pytest.raises(UserError, match=EVIL):
            build()
    assert not (tmp_path / "trace").exists()


@dataclass
class _Policy:
    config: Any
