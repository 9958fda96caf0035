"""Which OpenGL to render with, chosen before MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path

from world_modality.errors import UserError

GPU_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/dri/renderD128")


def choose_opengl() -> str:
    """Set MUJOCO_GL and PYOPENGL_PLATFORM for this process and return the choice, "egl" or "osmesa".

    A MUJOCO_GL that is already set is kept. Otherwise EGL is used where a GPU is present, else OSMesa (software).
    Has an effect only before the first import of mujoco.

    Raises:
        UserError: no OpenGL library that renders without a display is installed.
    """
    choice = os.environ.get("MUJOCO_GL", "").strip().lower()
    if not choice:
        has_gpu = any(Path(name).exists() for name in GPU_DEVICE_FILES)
        order = ("egl", "osmesa") if has_gpu else ("osmesa", "egl")
        libraries = {"egl": "EGL", "osmesa": "OSMesa"}
        choice = next((name for name in order if ctypes.util.find_library(libraries[name])), "")
        if not choice:
            raise UserError(
                "no OpenGL library that renders without a display was found on this machine: "
                "install libosmesa6 (software) or libegl1 with your GPU's driver, e.g. `apt-get install libosmesa6`"
            )
        os.environ["MUJOCO_GL"] = choice
    if choice in ("egl", "osmesa"):
        os.environ["PYOPENGL_PLATFORM"] = choice
    # llvmpipe starts one thread per core in every process; simulators in parallel processes then only fight.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    return choice
