"""A training that is cut into parts, each from the sealed one before, is the training that was never cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny_cell import cell_context, train_spec

from world_modality.errors import UserError
from world_modality.store.files import files_below
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import BEFORE, TrainSpec
from world_modality.training import stage
from world_modality.training.metrics import read_metrics

Inputs = dict[str, tuple[Path, ...]]
STEPS, STOP = 14, 6


def part(memory: str, *, stop: int = 0) -> TrainSpec:
    return train_spec(memory, steps=STEPS).model_copy(update={"stop": stop})


def going_on(root: Path, inputs: Inputs, memory: str, before: Path) -> StageContext:
    context = cell_context(root, inputs, memory=memory)
    return replace(context, inputs={**context.inputs, BEFORE: (before,)})


@pytest.fixture(scope="module")
def early(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of the first steps of the training that ``trained`` does in one go."""
    context = cell_context(tmp_path_factory.mktemp("early"), inputs, memory="pred")
    facts = stage.run(part("pred", stop=STOP), context)
    assert facts["steps"] == STOP
    return context.artifact


def contents(artifact: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files_below(artifact)}


def test_two_parts_are_the_whole_to_the_last_byte(
    trained: Callable[[str], Path], early: Path, inputs: Inputs, tmp_path: Path
) -> None:
    """Weights, the optimiser's state, metrics and judgements."""
    context = going_on(tmp_path, inputs, "pred", early)
    stage.run(part("pred"), context)
    whole, parts = contents(trained("pred")), contents(context.artifact)
    assert whole.keys() == parts.keys()
    assert [name for name in whole if whole[name] != parts[name]] == []
    assert [line["step"] for line in read_metrics(context.artifact / stage.METRICS)] == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_a_part_that_is_stopped_midway_goes_on_with_the_schedule_of_the_whole(
    early: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    context = cell_context(tmp_path, inputs, memory="pred")

    class Stops(Progress):
        def update(self, done: int, *rest: object, **more: object) -> None:
            if done == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.run(part("pred", stop=STOP), replace(context, progress=Stops("train")))
    assert any((context.work / "run" / "checkpoints").iterdir())
    stage.run(part("pred", stop=STOP), context)
    assert contents(context.artifact) == contents(early)


def test_a_part_of_another_device_is_not_gone_on_from(early: Path, inputs: Inputs, tmp_path: Path) -> None:
    other = shutil.copytree(early, tmp_path / "other")
    arm = json.loads((other / "arm.json").read_text())
    arm["policy"]["device"] = "cuda"
    (other / "arm.json").write_text(json.dumps(arm))
    with pytest.raises(UserError, match="its earlier part was trained on cuda, and this one would be on cpu"):
        stage.run(part("pred"), going_on(tmp_path / "own", inputs, "pred", other))
