"""What MuJoCo's library can do and its Python module of this version does not offer."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any


def copy_data(target: Any, model: Any, source: Any) -> None:
    """Make ``target`` all that ``source`` is, contacts and forces too; both are a mujoco.MjData of ``model``.

    Arrays that were taken out of ``target`` before go on showing it.
    """
    _library().mj_copyData(target._address, model._address, source._address)


@cache
def _library() -> Any:
    import mujoco

    path = next(Path(mujoco.__file__).parent.glob("*mujoco.*dylib"), None) or next(
        Path(mujoco.__file__).parent.glob("libmujoco.so*")
    )
    library = ctypes.CDLL(str(path))  # the one that the module has loaded
    library.mj_copyData.argtypes = [ctypes.c_void_p] * 3
    library.mj_copyData.restype = ctypes.c_void_p
    return library
