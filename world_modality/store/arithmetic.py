"""How sums are rounded: as this processor does it fastest, or as every x86-64 processor can.

Libraries choose among several versions of a computation by the processor's instruction set, and the versions round
differently. ``portable`` holds them to one that all processors have. What they read it from is the environment, as they
are loaded, and for the C library's own functions as the process starts: so a process that finds it set otherwise starts
itself again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from world_modality.errors import UserError

NATIVE, PORTABLE = "native", "portable"

SETTINGS: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "default",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # convolutions, and matrices of 16 bits
    "MKL_CBWR": "COMPATIBLE",  # torch's matrices: one code path on processors of any maker
    "OPENBLAS_CORETYPE": "Nehalem",  # numpy's, scipy's and faiss's matrices
    "FAISS_SIMD_LEVEL": "NONE",  # its distances
    "NPY_DISABLE_CPU_FEATURES": "SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2 AVX512F AVX512CD AVX512_SKX AVX512_CLX "
    "AVX512_CNL AVX512_ICL",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F,-AVX512VL,-AVX512BW",  # sin, exp, ... in physics
    "GALLIUM_OVERRIDE_CPU_CAPS": "sse4.1",  # pictures that are drawn without a GPU
    "LP_NATIVE_VECTOR_WIDTH": "128",
}


def settle(arithmetic: str) -> None:
    """Make sure that this process computes as asked; it may start itself anew, with the same command line.

    Call it before numpy or torch is imported. UserError on a processor that has no portable arithmetic here.
    """
    if arithmetic == PORTABLE and any(os.environ.get(name) != value for name, value in SETTINGS.items()):
        processor = os.uname().machine
        if processor != "x86_64":
            raise UserError(f"arithmetic: portable is for x86-64 processors, not {processor}: set it to native")
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | SETTINGS)


def capability() -> dict[str, Any]:
    """What the libraries that this process has loaded say of the processor, as JSON values; loads none."""
    found: dict[str, Any] = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    if "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].backends.cpu.get_cpu_capability()
        if sys.modules["torch"].cuda.is_initialized():
            found["gpu"] = sys.modules["torch"].cuda.get_device_name()
    if "numpy" in sys.modules:
        from numpy._core._multiarray_umath import __cpu_features__ as features  # type: ignore[import-not-found]
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

        found["numpy"] = sorted(name for name, there in features.items() if there)
        found["blas"] = sorted(f"{each['internal_api']} {each.get('architecture')}" for each in threadpool_info())
    return found


TOLD_BY_LIBRARIES = ("ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES")
"""Settings whose effect a library tells, be it set or found."""


def rounding(machine: Mapping[str, Any]) -> dict[str, str]:
    """What decides how native results are rounded, of a machine as a ``store.done.Run`` tells it: values by name.

    A library that the process had not loaded is left out, and so is all of a machine that does not tell.
    """
    told = machine.get("capability")
    if not isinstance(told, Mapping):
        return {}
    found = {name: str(told.get(name, "")) for name in SETTINGS if name not in TOLD_BY_LIBRARIES}
    if machine.get("processor"):
        found["processor's maker"] = str(machine["processor"]).partition(" ")[0].removesuffix("(R)")
    for library in ("torch", "gpu"):
        if library in told:
            found[library] = str(told[library])
    if "numpy" in told:
        found["instructions"] = " ".join(told["numpy"])
    return found
