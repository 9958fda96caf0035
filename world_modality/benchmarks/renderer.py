"""MuJoCo's renderer, safe beside others in one process."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.mirroring import Mirroring


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
        self._meshes = int(model.nmesh)
        self._mirroring: Mirroring | None = None

    def leave_out_of_mirrors(self, geoms: NDArray[np.bool_]) -> None:
        """Of the scene as it was updated, do not draw these geoms [ngeom] into its mirror; no pixel may show them."""
        self._gl_context.make_current()
        if self._mirroring is None and Mirroring.helps():
            self._mirroring = Mirroring(self._mjr_context, self._meshes)
        if self._mirroring is not None:
            self._mirroring.leave_out(self.scene, geoms)

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
