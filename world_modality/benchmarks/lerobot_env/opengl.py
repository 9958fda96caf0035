"""The renderers of gymnasium and MuJoCo, made safe beside others in one process.

gymnasium's draws into whichever OpenGL context is current, so a second environment spoils the pictures of the first.
Both free meshes and textures in whichever is, so closing one environment blackens another.
"""

from __future__ import annotations

from typing import Any


def share_opengl() -> None:
    """From now on every such renderer draws and frees in the context that is its own; a second call does nothing."""
    import mujoco
    from gymnasium.envs.mujoco import mujoco_rendering

    viewers: Any = mujoco_rendering.OffScreenViewer
    if viewers.free is _free_viewer:
        return
    draw = viewers.render

    def render(viewer: Any, *arguments: Any, **named: Any) -> Any:
        viewer.make_context_current()
        return draw(viewer, *arguments, **named)

    viewers.render, viewers.free = render, _free_viewer
    mujoco.Renderer.close = _close_renderer


def _free_viewer(viewer: Any) -> None:
    context, viewer.opengl_context = getattr(viewer, "opengl_context", None), None
    _free_in(context, getattr(viewer, "con", None))


def _close_renderer(renderer: Any) -> None:
    context, renderer._gl_context = renderer._gl_context, None
    drawn, renderer._mjr_context = renderer._mjr_context, None
    _free_in(context, drawn)


def _free_in(context: Any, drawn: Any) -> None:
    from world_modality.benchmarks.renderer import free  # which brings MuJoCo

    free(context, drawn)
