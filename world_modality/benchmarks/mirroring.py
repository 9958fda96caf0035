"""A mirror image drawn of what it shows alone, by software that draws on the processor.

MuJoCo draws a scene with a mirror twice, the first time mirrored and cut out by a stencil. A mesh whose mirror image is
not seen takes as long as any other: its vertices are computed before anything is cut. Here its display list is made
conditional on a query that finds something only in the second drawing, where there is no stencil, so pixels stay what
they are. Meshes are picked by ``MjvGeom.dataid``: an even one is the mesh, the odd one after it its convex hull, which
is never drawn; those lists are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SOFTWARE = b"llvmpipe"
OPAQUE = 0.995  # MuJoCo draws what is more transparent last


class Mirroring:
    """Conditional meshes of one MjrContext, whose OpenGL context is the current one whenever a method is called."""

    def __init__(self, drawn: Any, meshes: int) -> None:
        """Make the lists of so many meshes conditional, in the place of their convex hulls."""
        from OpenGL import GL

        self._base = int(drawn.baseMesh)
        self._query = int(np.ravel(GL.glGenQueries(1))[0])
        self._asking: int | None = None  # the mesh whose list asks first
        self._question = int(GL.glGenLists(1))
        GL.glNewList(self._question, GL.GL_COMPILE)
        self._ask()
        GL.glEndList()
        for mesh in range(meshes):
            self._make_conditional(mesh)

    @staticmethod
    def helps() -> bool:
        """Whether the current OpenGL context draws by software: a GPU gains nothing and would wait for the query."""
        from OpenGL import GL

        return SOFTWARE in GL.glGetString(GL.GL_RENDERER)

    def leave_out(self, scene: Any, mirrored: NDArray[np.bool_]) -> None:
        """Of an updated MjvScene, draw those of ``mirrored`` [ngeom], geoms of the model, only where no mirror is."""
        import mujoco

        meshes = [
            geom
            for geom in scene.geoms[: scene.ngeom]
            if geom.type == mujoco.mjtGeom.mjGEOM_MESH and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM
        ]
        first = next((geom for geom in meshes if geom.rgba[3] >= OPAQUE), None)
        if first is None:
            return
        mesh = first.dataid // 2
        self._let_ask(mesh)
        for geom in meshes:
            if geom is first or (mirrored[geom.objid] and geom.dataid // 2 != mesh):
                geom.dataid += 1

    def _let_ask(self, mesh: int) -> None:
        """Make the list of ``mesh`` ask, and then draw the mesh."""
        from OpenGL import GL

        if mesh == self._asking:
            return
        if self._asking is not None:
            self._make_conditional(self._asking)
        self._asking = mesh
        GL.glNewList(self._base + 2 * mesh + 1, GL.GL_COMPILE)
        GL.glCallList(self._question)
        GL.glCallList(self._base + 2 * mesh)
        GL.glEndList()

    def _make_conditional(self, mesh: int) -> None:
        from OpenGL import GL

        GL.glNewList(self._base + 2 * mesh + 1, GL.GL_COMPILE)
        GL.glBeginConditionalRender(self._query, GL.GL_QUERY_WAIT)
        GL.glCallList(self._base + 2 * mesh)
        GL.glEndConditionalRender()
        GL.glEndList()

    def _ask(self) -> None:
        """Count the samples of a triangle that is drawn nowhere and that no stencil lets pass."""
        from OpenGL import GL

        GL.glPushAttrib(GL.GL_ALL_ATTRIB_BITS)
        GL.glStencilFunc(GL.GL_NEVER, 0, 0xFF)
        GL.glColorMask(False, False, False, False)
        GL.glDepthMask(False)
        for each in (GL.GL_DEPTH_TEST, GL.GL_CULL_FACE, GL.GL_LIGHTING, GL.GL_TEXTURE_2D, GL.GL_BLEND):
            GL.glDisable(each)
        for matrix in (GL.GL_PROJECTION, GL.GL_MODELVIEW):
            GL.glMatrixMode(matrix)
            GL.glPushMatrix()
            GL.glLoadIdentity()
        GL.glBeginQuery(GL.GL_SAMPLES_PASSED, self._query)
        GL.glBegin(GL.GL_TRIANGLES)
        for corner in ((-0.5, -0.5), (0.5, -0.5), (0.0, 0.5)):
            GL.glVertex3f(*corner, 0.5)
        GL.glEnd()
        GL.glEndQuery(GL.GL_SAMPLES_PASSED)
        for matrix in (GL.GL_PROJECTION, GL.GL_MODELVIEW):
            GL.glMatrixMode(matrix)
            GL.glPopMatrix()
        GL.glPopAttrib()
