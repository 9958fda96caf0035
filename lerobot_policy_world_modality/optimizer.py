"""AdamW that clips every parameter group by its own norm, so that one group's gradients never rescale another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lerobot.optim import OptimizerConfig


class GroupClippedAdamW(torch.optim.AdamW):
    """AdamW whose :meth:`step` first clips each group's gradients to that group's ``max_norm`` (0: no clipping)."""

    def __init__(self, params: Iterable[Any], *, max_norm: float, **adamw: Any) -> None:
        super().__init__(params, **adamw)
        self.defaults["max_norm"] = max_norm
        for group in self.param_groups:
            group.setdefault("max_norm", max_norm)
        self._norms: list[torch.Tensor] = []

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Clip and update; returns what ``closure`` returned, which is called before the clipping."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        clip = torch.nn.utils.clip_grad_norm_
        self._norms = [clip(group["params"], group["max_norm"] or float("inf")) for group in self.param_groups]
        super().step()
        return loss

    def gradient_norms(self) -> dict[str, float]:
        """``grad_norm_<name>`` of each group at the last step, before clipping; groups without a name are left out."""
        named = zip(self.param_groups, self._norms, strict=False)  # no norms before the first step
        return {f"grad_norm_{group['name']}": norm.item() for group, norm in named if "name" in group}


@OptimizerConfig.register_subclass("adamw_group_clipped")
@dataclass
class GroupClippedAdamWConfig(OptimizerConfig):  # type: ignore[misc]  # LeRobot is not typed
    """LeRobot's choice ``adamw_group_clipped``; ``grad_clip_norm`` is LeRobot's own clip over all groups, 0 = off."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 1e-10
    grad_clip_norm: float = 0.0
    group_clip_norm: float = 10.0  # of every group that does not bring its own ``max_norm``

    def build(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        """The optimizer over parameters or parameter groups; a group may bring its own ``lr`` and ``max_norm``."""
        return GroupClippedAdamW(
            params,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            max_norm=float(self.group_clip_norm),
        )
