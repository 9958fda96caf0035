"""Small sizes for the world modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from world_modality.memory.attachment import Sockets, WorldSizes

SMALL = WorldSizes(
    dim=6,
    hidden=12,
    prefix=16,
    layers=2,
    attention=(4, 2, 3),
    context=3,
    prediction_horizon=4,
    heads=2,
    prophet_layers=2,
    prophet_width=16,
    delta=True,
    gate_init=0.0,
)


def world_sizes(**changes: Any) -> WorldSizes:
    """``SMALL`` with some sizes changed."""
    return replace(SMALL, **changes)


def sockets_of(flow: Any, sizes: WorldSizes) -> Sockets:
    """Those of a model in a test that has no more than a readout."""
    return Sockets(flow, flow.action_out_proj, flow.action_out_proj, (), sizes.hidden, sizes.prefix, sizes.attention)
