"""Imported once by the server that simulator processes are forked from."""

from contextlib import suppress

from world_modality.errors import UserError
from world_modality.sim.graphics import choose_opengl
from world_modality.sim.quiet import import_libero, silenced

with suppress(UserError):  # told by the process that needs them: this one has nobody to tell
    choose_opengl()
    with silenced():
        import_libero()
        import mujoco  # noqa: F401

        import world_modality.rollout.simulators  # noqa: F401
