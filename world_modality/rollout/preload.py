"""Imported once by the server that simulator processes are forked from."""

from world_modality.sim.graphics import choose_opengl
from world_modality.sim.quiet import import_libero, silenced

choose_opengl()
with silenced():
    import_libero()
    import mujoco  # noqa: F401
