"""Is every tensor of a checkpoint's file in the policy, and every one of the policy's from the file?

LeRobot itself loads leniently: a renamed module keeps its random weights, and pi0 goes on without any weights where
they do not fit, whatever ``strict`` says. So the file is compared with what became of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from world_modality.checks.tensors import WEIGHTS as WEIGHTS
from world_modality.checks.tensors import few
from world_modality.errors import UserError

OwnNames = Callable[[Any, Mapping[str, Tensor]], Mapping[str, Tensor]]
"""``(policy, tensors by their names in a file) -> tensors by the names that the policy has for them``."""


def require_loaded(
    policy: Any, file: Path, own_names: OwnNames | None = None, added: Callable[[str], bool] | None = None
) -> None:
    """UserError that names tensors unless the policy has all of the file's, no others, and equal values.

    ``added`` says of a name whether the policy may have it of its own. Of tensors that share their memory one is
    enough. A float may be stored wider or narrower than the policy has it, as its config decides; values are compared
    after that rounding.
    """
    held = {name: tensor for name, tensor in policy.state_dict().items() if added is None or not added(name)}
    try:
        with safe_open(file, framework="pt") as stored:
            header = {name: _described(stored.get_slice(name)) for name in stored.keys()}  # noqa: SIM118  # no mapping
            named = dict(own_names(policy, header) if own_names else header)
            _require_names(file, held, named)
            masks = held.keys() - {name for name, _ in policy.named_parameters(remove_duplicate=False)}
            sources = {id(tensor): name for name, tensor in header.items()}
            for name, tensor in named.items():
                _require_alike(file, name, held[name], tensor)
                if id(tensor) in sources:  # else LeRobot made a second name for it, of memory that is shared
                    _require_equal(file, name, held[name], stored.get_tensor(sources[id(tensor)]), name in masks)
    except (OSError, SafetensorError) as error:  # no such file, or damaged
        raise UserError(f"the weights in {file} cannot be read ({error}); they are missing or damaged") from error


def _described(part: Any) -> Tensor:
    """A tensor without numbers, of the shape and type that the file's header states."""
    names = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    whole = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8}
    dtype = (names | whole | {"BOOL": torch.bool}).get(part.get_dtype(), torch.complex64)
    return torch.empty(part.get_shape(), dtype=dtype, device="meta")


def _require_names(file: Path, held: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> None:
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for name, tensor in held.items():
        groups[(tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else (name,)].append(name)
    missing = sorted(names[0] for names in groups.values() if not named.keys() & set(names))
    unexpected = sorted(named.keys() - held.keys())
    if missing or unexpected:
        raise UserError(
            f"the weights in {file} do not fit its config.json: missing {few(missing)}, unexpected "
            f"{few(unexpected)}; copy the checkpoint anew"
        )


def _require_alike(file: Path, name: str, held: Tensor, stored: Tensor) -> None:
    rounded = held.is_floating_point() and stored.is_floating_point()
    if held.shape != stored.shape or (held.dtype != stored.dtype and not rounded):
        raise UserError(
            f"the weights in {file} do not fit its config.json: {name} is {stored.dtype} {list(stored.shape)}, where "
            f"the policy has {held.dtype} {list(held.shape)}; copy the checkpoint anew"
        )


def _require_equal(file: Path, name: str, held: Tensor, stored: Tensor, mask: bool) -> None:
    """``mask``: it is no parameter, and may be a mask of attention, which holds negative infinity."""
    if stored.is_floating_point():
        odd = ~stored.isfinite()
        if (odd & ~stored.isneginf() if mask else odd).any():
            raise UserError(
                f"the weights in {file} hold no numbers in {name} (NaN or infinity); copy the checkpoint anew"
            )
    if not torch.equal(stored.to(held.dtype), held.detach().cpu()):
        raise UserError(f"the weights in {file} were not taken over: {name} holds other numbers in the policy")
