"""Arms whose hidden states learn to foretell latents, trained by LeRobot's own script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.crashing import Crash, CrashingProgress
from support.tiny_cell import ALIGNED, cell_context, train_spec

from world_modality.errors import UserError
from world_modality.study.specs import latents_role
from world_modality.training import checkpoints, stage
from world_modality.training.metrics import read_metrics, summarise
from world_modality.training.offline import evaluate_offline

Inputs = dict[str, tuple[Path, ...]]


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "pretrained_model" / "model.safetensors")


def test_with_weight_0_the_training_is_the_plain_arms_to_the_last_bit(
    inputs: Inputs, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    spec = train_spec(ALIGNED, steps=14)
    assert spec.world is not None
    spec = spec.model_copy(update={"world": spec.world.model_copy(update={"align_weight": 0.0})})
    context = cell_context(tmp_path, inputs, memory=ALIGNED)
    stage.run(spec, context)
    plain, own = weights(trained("disabled")), weights(context.artifact)
    assert own.keys() - plain.keys() == {name for name in own if name.startswith("alignment.")} != set()
    assert all(torch.equal(own[name], value) for name, value in plain.items())
    told = [read_metrics(artifact / "metrics.jsonl") for artifact in (trained("disabled"), context.artifact)]
    for line, more in zip(*told, strict=True):
        assert {name: more[name] for name in line} == line
        assert more["align_loss"] > 0
    offline = [json.loads((each / "offline.json").read_text()) for each in (trained("disabled"), context.artifact)]
    assert offline[0] == offline[1]


def test_it_learns_tells_what_it_foretells_and_goes_on_after_a_crash(
    inputs: Inputs, trained: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, plain = trained(ALIGNED), trained("disabled")
    lines, config = read_metrics(artifact / "metrics.jsonl"), json.loads((artifact / "arm.json").read_text())["policy"]
    assert lines[-1]["align_loss"] < lines[0]["align_loss"]
    assert {f"align_cos_{k}" for k in (1, 2, 3)} <= lines[-1].keys()
    assert "align_cos 0." in summarise(lines[-1])
    assert lines[-1]["loss"] == pytest.approx(lines[-1]["flow_loss"] + 0.2 * lines[-1]["align_loss"], rel=1e-4)
    assert (config["world_align"], config["world_memory_mode_train"]) == (True, "disabled")
    own, other = weights(artifact), weights(plain)
    assert any(not torch.equal(own[name], value) for name, value in other.items())
    assert list(json.loads((artifact / "offline.json").read_text())["memories"]) == ["disabled"]
    shutil.copytree(artifact / "pretrained_model", tmp_path / "weightless")
    file = tmp_path / "weightless" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"world_align_weight": 0.0}))
    (dataset,), latents = inputs["dataset"], inputs[latents_role("image")]
    judged = [evaluate_offline(each, dataset, latents) for each in (artifact / "pretrained_model", file.parent)]
    assert judged[0] == judged[1]  # the loss of the actions alone
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "WORK_PER_SAVE", 0)
    spec, context = train_spec(ALIGNED, steps=14), cell_context(tmp_path, inputs, memory=ALIGNED)
    with pytest.raises(Crash):
        stage.run(spec, replace(context, progress=CrashingProgress("train")))
    stage.run(spec, context)
    again = weights(context.artifact)
    assert again.keys() == own.keys()
    assert all(torch.equal(again[name], value) for name, value in own.items())
    assert (context.artifact / "metrics.jsonl").read_text() == (artifact / "metrics.jsonl").read_text()


def test_another_difference_than_the_alignment_stops_it(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = stage._describe

    def unequal(spec: Any, *rest: Any) -> dict[str, Any]:
        return {**describe(spec, *rest), **({"batch_size": 99} if spec.world is not None else {})}

    monkeypatch.setattr(stage, "_describe", unequal)
    with pytest.raises(UserError, match=r"the arm aligned and the same arm without alignment differ in more .* 99"):
        stage.run(train_spec(ALIGNED), cell_context(tmp_path, inputs, memory=ALIGNED))
