"""Imported once by the server that LIBERO's simulator processes are forked from."""

from contextlib import suppress

from world_modality.benchmarks.libero.quiet import import_libero, silenced
from world_modality.errors import UserError

with suppress(UserError), silenced():  # told by the process that needs them: this one has nobody to tell
    import_libero()
    import mujoco  # noqa: F401

    import world_modality.benchmarks.libero.simulator  # noqa: F401
