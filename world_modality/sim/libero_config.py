"""hf-libero's configuration file, and where LIBERO's assets are when LeRobot, not this library, makes the simulator.

hf-libero asks on stdin if the file is missing, and ignores its entry ``assets``. The wrappers of LeRobot's scripts
write the file if it is missing, and honour that entry, in this process and in those that LeRobot starts.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from pathlib import Path

import yaml

from world_modality.errors import UserError
from world_modality.sim.assets import EXPECTED_FOLDERS, resolve_assets
from world_modality.sim.graphics import choose_opengl
from world_modality.sim.quiet import config_text, libero_folder, preload_robosuite_macros, silenced
from world_modality.store.files import write_atomically

SKIP_VARIABLE = "LEROBOT_WM_SKIP_LIBERO_CONFIG"
ASSETS_VARIABLE = "LEROBOT_WM_LIBERO_ASSETS"
"""Takes precedence over the file's entry ``assets``: "embedded", "hub", "hub@REVISION" or a folder's path."""
CONFIG_VARIABLE = "LIBERO_CONFIG_PATH"  # hf-libero's own
WORKER_MODULE = "world_modality.sim.libero_worker"


def config_file() -> Path:
    """Where hf-libero looks for its configuration."""
    return Path(os.environ.get(CONFIG_VARIABLE) or Path.home() / ".libero") / "config.yaml"


def write_missing_config() -> Path | None:
    """Write hf-libero's configuration if it is installed and the file is missing; the new file, if there is one.

    Whatever a user wrote stays. With ``LEROBOT_WM_SKIP_LIBERO_CONFIG`` set (to anything but 0) nothing happens.

    Raises:
        UserError: the file is missing and cannot be written.
    """
    skip = os.environ.get(SKIP_VARIABLE, "") not in ("", "0")
    if skip or importlib.util.find_spec("libero") is None or config_file().exists():
        return None
    try:
        write_atomically(config_file(), config_text(libero_folder()).encode())
    except OSError as error:
        raise UserError(
            f"LIBERO's configuration cannot be written to {config_file()} ({error.strerror}): set {CONFIG_VARIABLE} to "
            f"a folder that can be written, or {SKIP_VARIABLE}=1 if you do not use LIBERO"
        ) from error
    return config_file()


def asset_folder() -> Path | None:
    """The asset folder that the user names; None to leave the search to hf-libero.

    Raises:
        UserError: ``LEROBOT_WM_LIBERO_ASSETS`` names none.
    """
    source = os.environ.get(ASSETS_VARIABLE, "")
    if source:
        return resolve_assets(source)
    try:
        entry = yaml.safe_load(config_file().read_text())["assets"]
        folder = Path(entry).expanduser().resolve()
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return folder if all((folder / name).is_dir() for name in EXPECTED_FOLDERS) else None


def import_configured_libero() -> None:
    """Import hf-libero as the user configured it, with ``asset_folder`` in place of its own search.

    UserError as ``asset_folder``, or if there is no OpenGL that renders without a display.
    """
    choose_opengl()
    preload_robosuite_macros()
    with silenced():
        from libero import libero
    folder = asset_folder()
    if folder is not None:
        libero._assets_path_cache = str(folder)


def configure_workers() -> None:
    """Let the processes in which LeRobot simulates begin with :func:`import_configured_libero`.

    LeRobot starts them from Python's fork server, which imports the modules named here before it forks.
    """
    multiprocessing.set_forkserver_preload(["__main__", WORKER_MODULE])
