"""Weights that do not fit their policy, of every family: LeRobot's pi0 swallows ``strict=True``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.given_inputs import Tensors, checkpoint_copy, edit_tensors
from support.other_policies import CONFIGS, SIZE, other_checkpoint
from support.tiny_pi0 import tiny_pi0

from lerobot_policy_world_modality.adapters.pi0 import small_sizes
from world_modality.errors import UserError
from world_modality.policies.checkpoint import load_config
from world_modality.policies.host import host_of

WEIGHTS = "model.safetensors"


def load(folder: Path) -> Any:
    """The model with the folder's weights, or the sentence that refuses it."""
    try:
        config = load_config(folder, "cpu", None, None, None)
        return host_of(config.type).load(folder, config)
    except UserError as error:
        return str(error)


def equal(found: Any, saved: torch.nn.Module) -> bool:
    return isinstance(found, torch.nn.Module) and all(
        torch.equal(value, saved.state_dict()[name]) for name, value in found.state_dict().items()
    )


@pytest.fixture
def pi0(place: Path) -> Iterator[tuple[Path, torch.nn.Module]]:
    """A folder with a small pi0, and the policy that was saved there; meanwhile all pi0 are as small."""
    policy = tiny_pi0(SIZE)
    policy.save_pretrained(place / "pi0")
    with small_sizes("pi0-tiny"):
        yield place / "pi0", policy


def without_expert(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if "gemma_expert" not in name}


def wrapped(tensors: Tensors) -> Tensors:
    return {f"policy.{name}": value for name, value in tensors.items()}


def test_pi0_with_its_weights_is_what_was_saved(pi0: tuple[Path, torch.nn.Module]) -> None:
    folder, saved = pi0
    assert equal(load(folder), saved)


def test_pi0_without_half_of_its_weights_is_refused(pi0: tuple[Path, torch.nn.Module]) -> None:
    folder, _ = pi0
    edit_tensors(folder / WEIGHTS, without_expert)
    told = load(folder)
    assert isinstance(told, str), "loaded"
    assert "gemma_expert" in told


def test_pi0_with_renamed_weights_is_refused_or_what_was_saved(pi0: tuple[Path, torch.nn.Module]) -> None:
    folder, saved = pi0
    edit_tensors(folder / WEIGHTS, wrapped)
    found = load(folder)
    assert equal(found, saved) or (isinstance(found, str) and "policy." in found)


def test_pi0_without_weights_is_refused(pi0: tuple[Path, torch.nn.Module]) -> None:
    folder, _ = pi0
    (folder / WEIGHTS).unlink()
    told = load(folder)
    assert isinstance(told, str), "loaded"
    assert WEIGHTS in told


@pytest.mark.parametrize("kind", ["smolvla", *CONFIGS])
def test_other_families_are_refused_by_the_tensor_that_lacks(place: Path, kind: str) -> None:
    made: Callable[[Path], Path] = checkpoint_copy if kind == "smolvla" else lambda at: other_checkpoint(kind, at)
    folder = made(place / kind)
    lost: list[str] = []

    def without_one(tensors: Tensors) -> Tensors:
        lost.append(sorted(tensors)[0])
        return {name: value for name, value in tensors.items() if name not in lost}

    edit_tensors(folder / WEIGHTS, without_one)
    told = load(folder)
    assert isinstance(told, str), "loaded"
    assert lost[0] in told
