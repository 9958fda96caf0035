"""Every memory mode and fusion, from training through the checkpoint to the actions of a rollout."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lerobot_training import Training
from support.rarely import rarely
from support.tiny_policy import BACKBONES, LATENT_DIM, PICTURE, WORLD, TinyWorld, build_tiny_world

from world_modality.benchmarks.contract import Observation
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS, MODES, trainable_modes
from world_modality.policies.chunk_policy import load_policy

ARMS = [(mode, "late") for mode in sorted(trainable_modes())] + [
    ("pred", fusion) for fusion in FUSIONS.names if fusion != "late"
]
OTHERS = [
    (mode, fusion) for mode in sorted(trainable_modes()) for fusion in FUSIONS.names if (mode, fusion) not in ARMS
]
OFTEN = {"disabled", "learned", "nearest_other", "oracle", "pred", "random", "stale", "zero"}
SILENT = ("disabled", "zero", "aux_only")  # nothing reaches the actions
FAST = {"optimizer_lr": 1e-2, "world_lr": 3e-1}  # gates open visibly in few steps


@pytest.fixture(scope="module", params=BACKBONES)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_world"), request.param)


def view() -> Observation:
    rng = np.random.default_rng(0)
    images: Any = {name: rng.integers(0, 256, (PICTURE, PICTURE, 3), dtype=np.uint8) for name in ("image", "image2")}
    return Observation(images, rng.normal(size=8).astype(np.float32))


def trained(tiny: TinyWorld, mode: str, fusion: str, folder: Path) -> Path:
    """A checkpoint after a few steps of LeRobot's own training step."""
    policy = tiny.policy(mode, world_fusion=fusion, **FAST)
    Training(policy).run(tiny, 0, 3)
    policy.save_pretrained(folder)
    for file in tiny.base.glob("policy_*processor*"):
        shutil.copyfile(file, folder / file.name)
    return folder


@pytest.mark.parametrize(
    ("mode", "fusion"),
    rarely([*ARMS, *(arm for arm in OTHERS if arm[0] != "disabled")], lambda arm: arm[0] in OFTEN and arm in ARMS),
)
def test_an_arm_is_trained_and_rolled_out(tiny: TinyWorld, tmp_path: Path, mode: str, fusion: str) -> None:
    checkpoint = trained(tiny, mode, fusion, tmp_path)
    rollout = mode if MODES[mode].rollable else "pred"
    if rollout != mode:
        with pytest.raises(UserError, match="needs the future"):
            load_policy(checkpoint, memory_mode=mode)
    history = np.random.default_rng(1).normal(size=(WORLD["world_context"], 1, LATENT_DIM)).astype(np.float32)
    given = history if MODES[rollout].needs_history else None
    policy = load_policy(checkpoint, memory_mode=rollout, num_steps=2)
    chunk = policy.predict(view(), "move", 7, given)
    assert chunk.shape == (policy.chunk_size, 7)
    assert np.isfinite(chunk).all()
    np.testing.assert_array_equal(policy.predict(view(), "move", 7, given), chunk)
    assert not np.array_equal(policy.predict(view(), "move", 8, given), chunk)
    if mode != "disabled":
        silenced = load_policy(checkpoint, memory_mode="zero", num_steps=2).predict(view(), "move", 7)
        assert np.array_equal(silenced, chunk) == (mode in SILENT)
