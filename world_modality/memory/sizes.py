"""The sizes of the world modules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldSizes:
    """Sizes and switches. W = ``dim`` numbers stand for a frame: ``cameras`` latents of W / cameras, side by side."""

    dim: int  # W, of all cameras together
    hidden: int  # width of the action expert
    prefix: int  # width of the tokens that the expert attends to
    layers: int  # of the action expert
    attention: tuple[int, int, int]  # of the action expert: query heads, key and value heads, width of a head
    context: int  # T: frames of history
    horizon: int  # K: frames predicted
    heads: int
    prophet_layers: int
    prophet_width: int
    delta: bool
    gate_init: float
    cameras: int = 1
    hypotheses: int = 1  # N: predictions per history
    fusion: str = "late"
    actions: int = 0  # A: width of the flow's noisy actions, if the Prophet is told them; else 0
    attention_width: int = 0  # inner width of the injector's attention; 0: that of the tokens it feeds

    @property
    def slots(self) -> tuple[int, int, int]:
        """(hypotheses, horizon, cameras): the memory's tokens, in the order in which they lie."""
        return self.hypotheses, self.horizon, self.cameras

    @property
    def latent(self) -> int:
        """Width of one camera's latent."""
        return self.dim // self.cameras
