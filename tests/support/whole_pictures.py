"""Pictures of LIBERO's scenes of which MuJoCo draws everything, seen or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from world_modality.benchmarks.libero import view
from world_modality.benchmarks.libero.sight import Unseen


def nothing_unseen(model: Any, *_: Any) -> Unseen:
    """In the place of ``out_of_sight``."""
    none = np.zeros(model.ngeom, dtype=bool)
    return Unseen(none, none)


@contextmanager
def whole_pictures(render: str) -> Iterator[None]:
    """While it lasts. A picture must have been drawn before, since MuJoCo is imported once its drawer is chosen.

    With ``render: stock`` shadows and mirrors are left to MuJoCo, whatever is thought of the scene's; the other styles
    have neither.
    """
    import mujoco

    from world_modality.benchmarks.renderer import Renderer

    effects, drawn = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION), Renderer.render

    def with_effects(renderer: Any, *arguments: Any, **named: Any) -> Any:
        for effect in effects:
            renderer.scene.flags[effect] = render == "stock"
        return drawn(renderer, *arguments, **named)

    with (
        patch.object(view, "out_of_sight", nothing_unseen),
        patch.object(Renderer, "leave_out_of_mirrors", lambda *_: None),
        patch.object(Renderer, "render", with_effects),
    ):
        yield
