"""A checkpoint's every tensor is in the policy, or it is refused by names: LeRobot itself would go on, pi0 silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from safetensors.torch import load_file, save_file
from support.other_policies import CONFIGS, SIZE, other_checkpoint
from support.tiny_checkpoints import plain_checkpoint, world_checkpoint
from support.tiny_pi0 import tiny_pi0

from lerobot_policy_world_modality.adapters.pi0 import small_sizes
from world_modality.errors import UserError
from world_modality.policies.checkpoint import load_config
from world_modality.policies.host import host_of

Tensors = dict[str, torch.Tensor]
KINDS = ("smolvla", "smolvla_world", "pi0", "pi0_world", *CONFIGS)


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of each kind; stock pi0 is built small meanwhile."""
    folder, kind = tmp_path_factory.mktemp(request.param) / "policy", request.param
    with ExitStack() as stack:
        if kind == "pi0":
            tiny_pi0(SIZE).save_pretrained(folder)
            stack.enter_context(small_sizes("pi0-tiny"))
        elif kind in CONFIGS:
            other_checkpoint(kind, folder)
        else:
            plain = plain_checkpoint(folder.parent / "plain", architecture=f"{kind.removesuffix('_world')}-tiny")
            folder = plain if kind == "smolvla" else world_checkpoint(folder, plain, "pred")
        yield folder


def load(folder: Path) -> Any:
    config = load_config(folder, "cpu", None, None, None)
    return host_of(config.type).load(folder, config)


def changed(checkpoint: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    PreTrainedConfig.from_pretrained(checkpoint).save_pretrained(folder)
    save_file(change(load_file(checkpoint / "model.safetensors")), folder / "model.safetensors")
    return folder


def test_every_tensor_is_taken_over(checkpoint: Path) -> None:
    held = load(checkpoint).state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in load_file(checkpoint / "model.safetensors").items())


def half(tensors: Tensors) -> Tensors:
    return dict(sorted(tensors.items())[: len(tensors) // 2])


def renamed(tensors: Tensors) -> Tensors:
    return {f"policy.{name}": tensor for name, tensor in tensors.items()}


def one_more(tensors: Tensors) -> Tensors:
    return {**tensors, "stranger": torch.zeros(1)}


def reshaped(tensors: Tensors) -> Tensors:
    name = max(tensors, key=lambda each: tensors[each].numel())
    return {**tensors, name: tensors[name].flatten()[1:].clone()}


@pytest.mark.parametrize("change", [half, renamed, one_more, reshaped])
def test_weights_that_do_not_fit_are_refused(
    checkpoint: Path, tmp_path: Path, change: Callable[[Tensors], Tensors]
) -> None:
    with pytest.raises(UserError, match=r"do not fit its config\.json"):
        load(changed(checkpoint, tmp_path / "changed", change))


@pytest.mark.parametrize("kind", ["pi0_world"])
def test_the_message_names_tensors(kind: str, tmp_path: Path) -> None:
    plain = plain_checkpoint(tmp_path / "plain", architecture="pi0-tiny")
    folder = changed(plain, tmp_path / "half", half)
    with pytest.raises(UserError, match=r"missing model\.\S+, model\.\S+, model\.\S+ and \d+ more, unexpected none"):
        load(folder)


def test_a_checkpoint_without_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    PreTrainedConfig.from_pretrained(checkpoint).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        load(tmp_path)


def test_damaged_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    PreTrainedConfig.from_pretrained(checkpoint).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"do not fit|cannot be read"):
        load(tmp_path)


def test_narrower_floats_are_rounded_and_other_kinds_refused(tmp_path: Path) -> None:
    plain = plain_checkpoint(tmp_path / "plain", architecture="pi0-tiny")
    floats = lambda to: lambda tensors: {n: t.to(to) if t.is_floating_point() else t for n, t in tensors.items()}  # noqa: E731
    narrow = changed(plain, tmp_path / "narrow", floats(torch.bfloat16))
    kept = load_file(narrow / "model.safetensors")
    assert all(torch.equal(load(narrow).state_dict()[name], t.to(torch.float32)) for name, t in list(kept.items())[:3])
    with pytest.raises(UserError, match=r"is torch.int32 \[.*where the policy has torch.float32"):
        load(changed(plain, tmp_path / "whole", floats(torch.int32)))


def test_infinite_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    def infinite(tensors: Tensors) -> Tensors:
        name = next(name for name in sorted(tensors) if name.endswith("weight") and tensors[name].is_floating_point())
        tensors[name].view(-1)[-1] = torch.inf
        return tensors

    with pytest.raises(UserError, match="hold no numbers in"):
        load(changed(checkpoint, tmp_path / "changed", infinite))
