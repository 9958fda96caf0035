"""Where a policy computes and in which numbers: a study's words as torch's and LeRobot's settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from lerobot.configs import PreTrainedConfig

from world_modality.errors import UserError


def device_named(asked: str = "auto", setting: str = "device") -> str:
    """torch's name of a device: ``auto`` is the GPU where there is one, else the CPU.

    UserError, which names ``setting``, if the machine does not have the device that is asked for.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[asked]:
        raise UserError(f"{setting}: this machine has no {asked}; run it on one that has, or write cpu")
    return asked


def number_settings(policy_type: str, dtype: str) -> Mapping[str, object]:
    """LeRobot's settings for a policy of a type to compute in ``float32`` or ``bfloat16``, by their names.

    Most types only know whether torch casts by itself (``use_amp``), see :func:`casting_to`.
    """
    fields = PreTrainedConfig.get_choice_class(policy_type).__dataclass_fields__
    return {"dtype": dtype} if "dtype" in fields else {"use_amp": dtype != "float32"}


@contextlib.contextmanager
def casting_to(dtype: str) -> Iterator[None]:
    """Meanwhile torch casts to ``bfloat16`` where a policy asks it to cast: by default it takes float16 on a GPU.

    Nothing for ``float32``, where no policy asks.
    """
    if dtype == "float32":
        yield
        return
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_autocast_dtype("cuda", before)
