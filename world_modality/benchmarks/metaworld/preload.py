"""Imported once by the server that MetaWorld's simulator processes are forked from."""

from world_modality.benchmarks.graphics import choose_opengl
from world_modality.imports import importing

choose_opengl()
with importing():
    import mujoco  # noqa: F401
    from metaworld import env_dict, policies  # noqa: F401

    import world_modality.benchmarks.metaworld.simulator
    import world_modality.benchmarks.renderer  # noqa: F401
