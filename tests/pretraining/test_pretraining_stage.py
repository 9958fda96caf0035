import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from support.data_stages import stage_context
from support.toy_footage import SMALL, toy_reel

from world_modality.errors import UserError
from world_modality.pretraining import stage
from world_modality.pretraining.objectives import build_objective
from world_modality.pretraining.specs import MODEL, PretrainingSpec
from world_modality.pretraining.stage import CHECKPOINT, METRICS, Training, learning_rate, run
from world_modality.store.stage import StageContext


def spec(objective: Literal["masked", "temporal"] = "masked", **changes: Any) -> PretrainingSpec:
    fields = {
        "steps": 6,
        "batch_size": 8,
        "lr": 1e-3,
        "warmup_steps": 2,
        "weight_decay": 0.04,
        "momentum": (0.9, 0.99),
        "seed": 0,
        "threads": 1,
    }
    return PretrainingSpec.model_validate({"network": SMALL, "objective": objective, **fields, **changes})


@pytest.fixture(scope="module")
def reels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("reels")
    return tuple(toy_reel(folder / str(task), 4, task=task) for task in range(2))


def artifact(context: StageContext) -> dict[str, bytes]:
    files = [path for path in sorted(context.artifact.rglob("*")) if path.is_file()]
    return {str(path.relative_to(context.artifact)): path.read_bytes() for path in files}


class Killed(Exception):
    pass


@pytest.mark.parametrize("objective", ["masked", "temporal"])
def test_a_training_that_was_killed_gives_the_same_bytes(
    objective: Literal["masked", "temporal"], tmp_path: Path, reels: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = (stage_context(tmp_path / name, footage=reels) for name in ("whole", "broken"))
    run(spec(objective), whole)
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    advance = Training.advance

    def until_killed(self: Training, corpus: Any) -> None:
        if self.step == 3:
            raise Killed
        advance(self, corpus)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "advance", until_killed)
        with pytest.raises(Killed):
            run(spec(objective), broken)
    assert (broken.work / CHECKPOINT).is_file()
    facts = run(spec(objective), broken)
    assert artifact(broken) == artifact(whole)
    assert facts["last"]["step"] == 6
    lines = [json.loads(line) for line in (broken.artifact / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines] == [6]


def test_without_a_step_the_weights_are_those_that_the_seed_draws(tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    run(spec(steps=0), context)
    drawn = build_objective(spec(steps=0)).network.state_dict()
    saved = load_file(context.artifact / MODEL / "model.safetensors")
    assert saved
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in saved.items())


@pytest.mark.parametrize("objective", ["masked", "temporal"])
def test_an_objective_is_learned(
    objective: Literal["masked", "temporal"], tmp_path: Path, reels: tuple[Path, ...]
) -> None:
    context = stage_context(tmp_path, footage=reels)
    run(spec(objective, steps=150, lr=3e-3, warmup_steps=10), context)
    losses = [json.loads(line)["loss"] for line in (context.artifact / METRICS).read_text().splitlines()]
    assert len(losses) == 3
    assert losses[-1] < 0.95 * losses[0]


def test_a_loss_that_is_no_number_is_told(tmp_path: Path, reels: tuple[Path, ...]) -> None:
    with pytest.raises(UserError, match=r"the loss of step \d+ is no number: lower training\.lr"):
        run(spec(lr=1e30, warmup_steps=0), stage_context(tmp_path, footage=reels))


def test_the_learning_rate_rises_and_falls() -> None:
    of = spec(steps=100, warmup_steps=10)
    rates = [learning_rate(step, of) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[10] == pytest.approx(1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1e-5, rel=0.1)
