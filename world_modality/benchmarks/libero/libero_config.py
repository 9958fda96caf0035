"""hf-libero's configuration file, and where LIBERO's assets are when LeRobot, not this library, makes the simulator.

hf-libero asks on stdin if the file is missing, believes paths in it that belong to another installation or lead
nowhere, and ignores its entry ``assets``. The wrappers of LeRobot's scripts write the file if it is missing, use one
of their own in place of a wrong one, and honour that entry, in this process and in those that LeRobot starts.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from pathlib import Path
from typing import Any

import yaml

from world_modality.benchmarks.assets import PACKAGE
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.quiet import (
    config_paths,
    config_text,
    libero_folder,
    preload_robosuite_macros,
    silenced,
    use_own_config,
)
from world_modality.errors import UserError
from world_modality.store.files import write_atomically

SKIP_VARIABLE = "LEROBOT_WM_SKIP_LIBERO_CONFIG"
ASSETS_VARIABLE = "LEROBOT_WM_LIBERO_ASSETS"
"""Takes precedence over the file's entry ``assets``: "package", "hub", "hub@REVISION" or a folder's path."""
CONFIG_VARIABLE = "LIBERO_CONFIG_PATH"  # hf-libero's own
WORKER_MODULE = "world_modality.benchmarks.libero.libero_worker"
OF_THE_PACKAGE = ("benchmark_root", "bddl_files", "init_states")
"""Entries of the file that must lead to the installed package: its tasks and their initial states."""


def config_file() -> Path:
    """Where hf-libero looks for its configuration."""
    return Path(os.environ.get(CONFIG_VARIABLE) or Path.home() / ".libero") / "config.yaml"


def write_missing_config() -> Path | None:
    """Write hf-libero's configuration if it is installed and the file is missing; the new file, if there is one.

    Whatever a user wrote stays. With ``LEROBOT_WM_SKIP_LIBERO_CONFIG`` set (to anything but 0) nothing happens.

    Raises:
        UserError: the file is missing and cannot be written.
    """
    if _left_alone() or config_file().exists():
        return None
    try:
        write_atomically(config_file(), config_text(config_paths(libero_folder())).encode())
    except OSError as error:
        raise UserError(
            f"LIBERO's configuration cannot be written to {config_file()} ({error.strerror}): set {CONFIG_VARIABLE} to "
            f"a folder that can be written, or {SKIP_VARIABLE}=1 if you do not use LIBERO"
        ) from error
    return config_file()


def replace_wrong_config() -> str | None:
    """Let LIBERO, which must not be imported yet, read a configuration of our own in place of a user's wrong file.

    The file stays as it is; what is right in it (``datasets``, an asset folder) is kept. Returns what is wrong and what
    is read instead, one line; None if all is right, or ``LEROBOT_WM_SKIP_LIBERO_CONFIG`` is set.
    """
    file = config_file()
    if _left_alone() or not file.is_file():
        return None
    found, right = _entries(file), config_paths(libero_folder())
    faults = [_fault(name, found.get(name), right[name]) for name in OF_THE_PACKAGE]
    folder, entry = _named_assets(found), found.get("assets")
    if folder is None and isinstance(entry, str) and Path(entry).resolve() != right["assets"].resolve():
        faults.append(f"names assets {entry}, which is no LIBERO asset folder")
    first = next(filter(None, faults), None)
    if first is None:
        return None
    datasets = Path(str(found.get("datasets") or right["datasets"]))
    own = use_own_config({**right, "datasets": datasets, "assets": folder or right["assets"]})
    return f"{file} {first}: LIBERO reads {own} instead ({SKIP_VARIABLE}=1 keeps it to your file)"


def _left_alone() -> bool:
    """Whether LIBERO's configuration is none of ours: the user says so, or there is no LIBERO."""
    return os.environ.get(SKIP_VARIABLE, "") not in ("", "0") or importlib.util.find_spec("libero") is None


def _entries(file: Path) -> dict[str, Any]:
    """What hf-libero's configuration says; nothing if it cannot be read."""
    try:
        value = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return value if isinstance(value, dict) else {}


def _fault(name: str, entry: Any, right: Path) -> str:
    """What is wrong with one path of the file; empty if nothing is."""
    if not isinstance(entry, str):
        return f"names no {name}"
    if Path(entry).resolve() == right.resolve():
        return ""
    why = "is not the installed hf-libero's" if Path(entry).is_dir() else "does not exist"
    return f"names {name} {entry}, which {why}"


def asset_folder() -> Path:
    """The asset folder that the user names, by variable or file; else one inside hf-libero, else the packages'.

    Raises:
        UserError: ``LEROBOT_WM_LIBERO_ASSETS`` names none, or none is named and the packages cannot be had.
    """
    source = os.environ.get(ASSETS_VARIABLE, "")
    if source:
        return ASSETS.folder(source, ASSETS_VARIABLE)
    named = _named_assets(_entries(config_file()))
    inside = libero_folder() / "assets"
    return named or (inside if inside.is_dir() else ASSETS.folder(PACKAGE, ASSETS_VARIABLE))


def _named_assets(entries: dict[str, Any]) -> Path | None:
    """The entry ``assets`` if it is an asset folder."""
    entry = entries.get("assets")
    if not isinstance(entry, str):
        return None
    folder = Path(entry).expanduser().resolve()
    return folder if all((folder / name).is_dir() for name in ASSETS.folders) else None


def used_assets() -> dict[str, str]:
    """``source`` and ``digest`` of the assets that LIBERO, as :func:`import_configured_libero` left it, simulates with.

    The source is "package", "hub@COMMIT" or a folder's path.
    """
    source = ASSETS.pin(os.environ.get(ASSETS_VARIABLE, "") or str(asset_folder()))
    digest = ASSETS.digest(source)
    return {"source": PACKAGE if digest == ASSETS.package_digest else source, "digest": digest}


def import_configured_libero() -> Path:
    """Import hf-libero as the user configured it, with ``asset_folder`` in place of its own search; that folder.

    UserError as ``asset_folder``, or if there is no OpenGL that renders without a display.
    """
    choose_opengl()
    preload_robosuite_macros()
    with silenced():
        from libero import libero
    folder = asset_folder()
    libero._assets_path_cache = str(folder)
    return folder


def configure_workers() -> None:
    """Let the processes in which LeRobot simulates begin with :func:`import_configured_libero`.

    LeRobot starts them from Python's fork server, which imports the modules named here before it forks.
    """
    multiprocessing.set_forkserver_preload(["__main__", WORKER_MODULE])
