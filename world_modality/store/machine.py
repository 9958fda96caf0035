"""What a result was made with: machine, software, and the library's own source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import world_modality
from world_modality.store.arithmetic import capability

COMPUTING = (
    "lerobot_policy_world_modality",
    "lerobot",
    "torch",
    "transformers",
    "numpy",
)
"""What a policy's numbers depend on; what a simulator's depend on is in its suite's row."""
PYTHON = "python"
REPORTED = (*COMPUTING, "datasets", "snakemake", PYTHON)
"""What is noted of everything that is made here, beside what its own key depends on."""


@cache
def version_of(package: str) -> str:
    """A package's public version ("2.11.0" for "2.11.0+cpu"), Python's own for "python", or "absent"."""
    if package == PYTHON:
        return platform.python_version()
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def versions(packages: Iterable[str] = REPORTED) -> dict[str, str]:
    """Package -> version."""
    return {package: version_of(package) for package in packages}


@cache
def source_digest() -> str:
    """16 hex digits over this library's Python files; a note for people, never part of a key."""
    library = Path(world_modality.__file__).parent
    total = hashlib.sha256()
    for folder in (library, library.parent / "lerobot_policy_world_modality"):
        for path in sorted(folder.rglob("*.py")):
            total.update(f"{path.relative_to(library.parent).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def machine() -> dict[str, Any]:
    """The machine, as far as someone comparing two results would ask."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "capability": capability(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
