"""What the memory does to the actions: the policy's velocities with and without it, on the same batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def velocities(flow: nn.Module) -> Iterator[list[Tensor]]:
    """The velocities [B, chunk_size, max_action_dim] that LeRobot's ``VLAFlowMatching`` gives inside the block."""
    seen: list[Tensor] = []
    layer = flow.get_submodule("action_out_proj")
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output.detach().float()))
    try:
        yield seen
    finally:
        handle.remove()


def action_change(with_memory: Tensor, without: Tensor, time: Tensor, actions: int) -> Tensor:
    """How far the memory moves the actions: a scalar, in the units of the normalised actions.

    Velocities [B, chunk_size, >= actions] at flow times [B]. SmolVLA's flow is x_t = t noise + (1 - t) action with
    velocity noise - action, so the action that a velocity v points to is x_t - t v; this is the root mean square of the
    difference between the two, over batch, chunk and the ``actions`` numbers of an action.
    """
    difference = (with_memory - without)[..., :actions] * time.view(-1, 1, 1)
    return difference.square().mean().sqrt()


def plain_pass_due(steps_done: int, every: int) -> bool:
    """Whether the step after ``steps_done`` is one of those, ``every`` so many, that a second pass is spent on."""
    return every > 0 and (steps_done + 1) % every == 0
