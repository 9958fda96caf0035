"""MuJoCo's renderer, safe beside others in one process."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import mujoco


class Renderer(mujoco.Renderer):  # type: ignore[misc]  # mujoco is not typed
    """Frees what is its own and nothing else's: when it is closed, forgotten, or left until Python ends.

    OpenGL names meshes and textures by small numbers that every context counts for itself, and frees them in the
    context that happens to be current. MuJoCo's own ``close`` destroys its context first, so it frees the numbers of
    another simulator's, whose pictures are noise from then on.
    """

    _gl_context: Any
    _mjr_context: Any

    def __init__(self, model: Any, height: int, width: int, max_geom: int) -> None:
        super().__init__(model, height, width, max_geom)
        self._freed = weakref.finalize(self, free, self._gl_context, self._mjr_context)

    def close(self) -> None:
        """Free meshes, textures and the OpenGL context."""
        if self._mjr_context is not None:
            self._freed()
        self._gl_context = self._mjr_context = None


def free(context: Any, drawn: Any) -> None:
    """Free what was drawn with in its own OpenGL context, and the context, as far as there are any."""
    if context is None or sys.is_finalizing():  # when Python ends, the libraries are torn down in any order
        return
    context.make_current()
    if drawn is not None:
        drawn.free()
    context.free()
