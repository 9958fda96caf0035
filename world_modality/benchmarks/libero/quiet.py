"""Import hf-libero and robosuite without prompt, log file in /tmp, or console noise."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import io
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from world_modality.benchmarks.graphics import choose_opengl
from world_modality.errors import UserError
from world_modality.imports import importing
from world_modality.store.packages import cache_folder


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drop what third-party code prints to stdout and stderr; print it after all if that code fails."""
    heard = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(heard),
            contextlib.redirect_stderr(heard),
        ):
            warnings.simplefilter("ignore")
            yield
    except Exception:
        sys.stderr.write(heard.getvalue())
        raise


def package_folder(name: str) -> Path:
    """Folder of an installed top-level package, found without importing it.

    Raises:
        UserError: the package is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"the Python package {name!r} is not installed in {sys.prefix}: run `make demo` to set it up")
    return Path(next(iter(found.submodule_search_locations)))


def libero_folder() -> Path:
    """The folder of hf-libero that holds ``bddl_files`` and ``init_files``."""
    return package_folder("libero") / "libero"


def _config_folder(text: str) -> Path:
    """A folder of this user's own, one per configuration; a temporary one if the cache is not writable."""
    folder = cache_folder() / f"libero-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="world-modality-libero-"))


def config_paths(root: Path) -> dict[str, Path]:
    """What hf-libero in folder ``root`` would write into its own config.yaml."""
    return {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": root.parent / "datasets",
        "assets": root / "assets",
    }


def config_text(paths: Mapping[str, Path]) -> str:
    """A config.yaml of hf-libero's with these paths."""
    return "".join(f'{key}: "{path}"\n' for key, path in paths.items())


def use_own_config(paths: Mapping[str, Path]) -> Path:
    """Point LIBERO_CONFIG_PATH at a configuration of our own with these paths; its file."""
    text = config_text(paths)
    config = _config_folder(text) / "config.yaml"
    if not config.is_file() or config.read_text() != text:
        draft = config.with_name(f"config.{os.getpid()}.tmp")
        draft.write_text(text)
        draft.replace(config)
    os.environ["LIBERO_CONFIG_PATH"] = str(config.parent)
    return config


def preload_robosuite_macros() -> None:
    """Load robosuite's settings ahead of robosuite, which would open /tmp/robosuite.log while it is imported."""
    if "robosuite" in sys.modules:
        return
    source = importlib.util.spec_from_file_location("robosuite.macros", package_folder("robosuite") / "macros.py")
    assert source is not None
    assert source.loader is not None
    macros: Any = importlib.util.module_from_spec(source)
    source.loader.exec_module(macros)
    macros.FILE_LOGGING_LEVEL = None
    macros.CONSOLE_LOGGING_LEVEL = "ERROR"
    sys.modules["robosuite.macros"] = macros
    # Its absence is what robosuite warns about; an empty one means "no private settings".
    sys.modules.setdefault("robosuite.macros_private", types.ModuleType("robosuite.macros_private"))


def import_libero() -> types.ModuleType:
    """Import ``libero.libero`` (and with it robosuite and mujoco) quietly; return that module."""
    if "libero.libero" not in sys.modules:
        choose_opengl()
        use_own_config(config_paths(libero_folder()))  # without one, importing hf-libero asks on stdin
        preload_robosuite_macros()
        with silenced(), importing():  # frozen: robosuite collects garbage at every reset, which takes 0.1 s otherwise
            importlib.import_module("libero.libero.envs")
            importlib.import_module("libero.libero.benchmark")
    return sys.modules["libero.libero"]
