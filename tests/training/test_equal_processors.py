"""Every arm's checkpoint normalises, tokenises and unnormalises by the same processors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from world_modality.policies.checkpoint import load_config, load_processors

PROCESSORS = ("policy_preprocessor*", "policy_postprocessor*")


def processors(artifact: Path) -> dict[str, bytes]:
    folder = artifact / "pretrained_model"
    return {file.name: file.read_bytes() for pattern in PROCESSORS for file in folder.glob(pattern)}


@pytest.mark.defect("B9")
def test_processors_of_all_arms_are_the_same_bytes(trained: Callable[[str], Path]) -> None:
    plain, zero, predicted = (processors(trained(memory)) for memory in ("disabled", "zero", "pred"))
    assert plain == zero == predicted
    states = [name for name in plain if name.endswith(".safetensors")]
    assert len(states) == 2  # what normalises the input and what unnormalises the action
    assert {"policy_preprocessor.json", "policy_postprocessor.json"} <= plain.keys()


@pytest.mark.defect("B9")
@pytest.mark.parametrize("memory", ["disabled", "zero", "pred"])
def test_a_rollout_has_the_statistics_that_were_trained_with(
    trained: Callable[[str], Path], inputs: dict[str, tuple[Path, ...]], memory: str
) -> None:
    folder = trained(memory) / "pretrained_model"
    preprocess, unnormalise = load_processors(folder, load_config(folder, "cpu", None, None, None))
    stats = json.loads((inputs["dataset"][0] / "meta" / "stats.json").read_text())
    mean, spread = (torch.tensor(stats["action"][name]) for name in ("mean", "std"))
    torch.testing.assert_close(unnormalise(torch.full((1, 7), 2.0))[0], mean + 2 * spread, rtol=1e-4, atol=1e-5)
    state = torch.tensor(stats["observation.state"]["mean"])[None]
    batch = preprocess({"observation.state": state, "task": ["pick up the bowl"]})
    assert batch["observation.state"].abs().max() < 1e-4
