"""The world memory as one module: statistics, Prophet and injector, hung onto a linear layer of the base policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from world_modality.memory.injector import Injector
from world_modality.memory.prophet import Prophet
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.standardiser import Standardiser


@dataclass(frozen=True)
class WorldSizes:
    """The sizes of the world modules."""

    dim: int  # D: width of a latent
    hidden: int  # H: width of the action expert
    context: int  # T: latents of history
    horizon: int  # K: latents predicted, slots of the memory
    heads: int
    prophet_layers: int
    prophet_width: int
    delta: bool
    gate_init: float


class WorldMemory(nn.Module):
    """Predicts the latents to come and lets the policy read the memory at one place, while it is being held there.

    Memory and latents inside are standardised (see :class:`Standardiser`).
    """

    def __init__(self, sizes: WorldSizes, seed: int) -> None:
        super().__init__()
        self.sizes = sizes
        self._held: Tensor | None = None
        self.standardiser = Standardiser(sizes.dim)
        with borrowed_generator() as generator:  # or every draw after this would differ from the plain policy's
            generator.manual_seed(seed)
            self.prophet = Prophet(
                dim=sizes.dim,
                context=sizes.context,
                horizon=sizes.horizon,
                width=sizes.prophet_width,
                layers=sizes.prophet_layers,
                heads=sizes.heads,
                delta=sizes.delta,
            )
            self.injector = Injector(
                hidden=sizes.hidden,
                dim=sizes.dim,
                slots=sizes.horizon,
                heads=sizes.heads,
                gate_init=sizes.gate_init,
            )

    def attach(self, layer: nn.Module) -> None:
        """From now on ``layer``'s input passes through the injector whenever a memory is held."""
        # A bound method, not a closure: deepcopy then hangs the copy's own injector onto the copy's layer.
        layer.register_forward_pre_hook(self._before)

    @contextmanager
    def held(self, memory: Tensor | None) -> Iterator[None]:
        """Hold memory [B, K, D], or nothing, for the forward passes inside the ``with`` block."""
        self._held = memory
        try:
            yield
        finally:
            self._held = None

    def _before(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._held is None:
            return None
        return (self.injector(arguments[0], self._held), *arguments[1:])
