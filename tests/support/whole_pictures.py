"""Pictures of LIBERO's scenes of which MuJoCo draws everything, seen or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from world_modality.benchmarks.libero import view
from world_modality.benchmarks.libero.sight import Unseen


def nothing_unseen(model: Any, _data: Any, _camera: str, mirrors: tuple[int, ...]) -> Unseen:
    """In the place of ``out_of_sight``: all is drawn, and mirrored wherever the mirror is."""
    none = np.zeros(model.ngeom, dtype=bool)
    return Unseen(none, none if mirrors else None)


@contextmanager
def whole_pictures() -> Iterator[None]:
    """While it lasts. A picture must have been drawn before, since MuJoCo is imported once its drawer is chosen."""
    from world_modality.benchmarks.renderer import Renderer

    with (
        patch.object(view, "out_of_sight", nothing_unseen),
        patch.object(Renderer, "leave_out_of_mirrors", lambda *_: None),
    ):
        yield
