"""Which OpenGL to render with, chosen before MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path

from world_modality.errors import UserError

GPU_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/dri/renderD128")
ROCM_DEVICE_FILE = "/dev/kfd"
"""AMD's compute driver: beside it EGL is tried last, since the cards that it drives need not be made for drawing."""
_EGL_DEVICE = 0x313F  # EGL_PLATFORM_DEVICE_EXT of EGL_EXT_platform_device


def choose_opengl() -> str:
    """Set MUJOCO_GL and PYOPENGL_PLATFORM for this process and return the choice, "egl" or "osmesa".

    A MUJOCO_GL that is already set is kept. Otherwise EGL is used where a GPU other than ROCm's is present and EGL
    opens a display on one, else OSMesa (software). Has an effect only before the first import of mujoco.

    Raises:
        UserError: no OpenGL library that renders without a display is installed.
    """
    choice = os.environ.get("MUJOCO_GL", "").strip().lower()
    if not choice:
        has_gpu = any(Path(name).exists() for name in GPU_DEVICE_FILES) and not Path(ROCM_DEVICE_FILE).exists()
        order = ("egl", "osmesa") if has_gpu else ("osmesa", "egl")
        works: dict[str, Callable[[], bool]] = {
            "egl": egl_opens,
            "osmesa": lambda: ctypes.util.find_library("OSMesa") is not None,
        }
        choice = next((name for name in order if works[name]()), "")
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


def egl_opens() -> bool:
    """Whether EGL opens a display on a device of this machine: its library alone, without a driver's, does not."""
    name = ctypes.util.find_library("EGL")
    if name is None:
        return False
    egl = ctypes.CDLL(name)
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    egl.eglTerminate.argtypes = [ctypes.c_void_p]
    query, display = (egl.eglGetProcAddress(known) for known in (b"eglQueryDevicesEXT", b"eglGetPlatformDisplayEXT"))
    if not (query and display):
        return False
    pointer, number = ctypes.c_void_p, ctypes.c_int
    devices, count = (pointer * 64)(), number()
    query_devices = ctypes.CFUNCTYPE(ctypes.c_uint, number, ctypes.POINTER(pointer), ctypes.POINTER(number))(query)
    if not query_devices(len(devices), devices, ctypes.byref(count)):
        return False
    get_display = ctypes.CFUNCTYPE(pointer, number, pointer, pointer)(display)
    for device in devices[: count.value]:
        opened = get_display(_EGL_DEVICE, device, None)
        if opened and egl.eglInitialize(opened, None, None):
            egl.eglTerminate(opened)
            return True
    return False
