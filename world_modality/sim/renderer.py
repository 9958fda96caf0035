"""MuJoCo's renderer, safe beside others in one process."""

from __future__ import annotations

import sys
from typing import Any

import mujoco


class Renderer(mujoco.Renderer):  # type: ignore[misc]  # mujoco is not typed
    """Frees what is its own and nothing else's.

    OpenGL names meshes and textures by small numbers that every context counts for itself, and frees them in the
    context that happens to be current. MuJoCo's own ``close`` destroys its context first, so it frees the numbers of
    another simulator's, whose pictures are noise from then on.
    """

    _gl_context: Any
    _mjr_context: Any
    _ending = staticmethod(sys.is_finalizing)  # when Python ends, the names of modules are gone before objects are

    def close(self) -> None:
        """Free meshes, textures and the OpenGL context; nothing when Python itself ends, which frees them anyway."""
        if self._ending():
            return
        if self._gl_context and self._mjr_context:
            self._gl_context.make_current()
            self._mjr_context.free()
            self._mjr_context = None
        super().close()
