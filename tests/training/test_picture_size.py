"""A training's checkpoint says how large the pictures were that it was trained on, whatever policy it began with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def sizes(pretrained_model: Path) -> dict[str, list[int]]:
    features = json.loads((pretrained_model / "config.json").read_text())["input_features"]
    return {name: feature["shape"] for name, feature in features.items() if feature["type"] == "VISUAL"}


@pytest.mark.parametrize("memory", ["disabled", "zero"])
def test_checkpoints_know_the_datasets_picture_size(
    trained: Callable[[str], Path], inputs: dict[str, tuple[Path, ...]], memory: str
) -> None:
    cameras = "observation.images.image", "observation.images.image2"
    (policy,) = inputs["policy"]
    assert sizes(policy) == {name: [3, 256, 256] for name in cameras}
    assert sizes(trained(memory) / "pretrained_model") == {name: [3, 32, 32] for name in cameras}
