"""What the project relies on in LeRobot and LIBERO, checked name by name, so that an upgrade says what moved."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lerobot_policy_world_modality", "world_modality")
WRITTEN_FOR = {"lerobot": ("lerobot", "0.6.1"), "libero": ("hf-libero", "0.1.4"), "robosuite": ("robosuite", "1.4.0")}
"""By top-level module: its distribution, and the version that the tables describe."""

Table = Mapping[str, Mapping[str, str]]
"""File of ours -> ``module:name`` that it relies on -> what that is, as :func:`describe` tells it."""


def describe(thing: Any) -> str:
    """The signature without annotations of something that is called, ``class``, ``module``, or the value itself."""
    if inspect.isclass(thing) or inspect.ismodule(thing):
        return "class" if inspect.isclass(thing) else "module"
    if callable(thing):
        signature = inspect.signature(thing)
        parameters = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        return str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return repr(thing)


def reach(owner: Any, path: str) -> Any:
    """What lies at ``path`` below ``owner``: attributes, keys and positions, with dots between."""
    for step in path.split("."):
        if step.isdigit():
            owner = owner[int(step)]
            continue
        owner = owner[step] if isinstance(owner, dict) else getattr(owner, step)
    return owner


def looked_up(name: str) -> str:
    """What ``module:name`` is in the installed version, as :func:`describe` tells it."""
    module, _, path = name.partition(":")
    with contextlib.suppress(ImportError, AttributeError, KeyError, IndexError):
        return describe(reach(importlib.import_module(module), path))
    with contextlib.suppress(ImportError):
        return describe(importlib.import_module(f"{module}.{path}"))
    return "gone"


def complaint(file: str, name: str, expected: str) -> str | None:
    """One sentence on ``module:name`` if it is not what ``file`` relies on; None if it is."""
    distribution, pinned = WRITTEN_FOR[name.split(":")[0].split(".")[0]]
    found = looked_up(name)
    return sentence(f"{distribution} {pinned}'s {name}", expected, found, file, distribution)


def sentence(what: str, expected: str, found: str, file: str, distribution: str) -> str | None:
    """The message of :func:`complaint`."""
    if found == expected:
        return None
    now = f"in {distribution} {version(distribution)} it is {found}"
    return f"{what} was {expected}; {now}: {file} relies on it and needs a look"


def foreign_imports(file: Path) -> set[str]:
    """What a file imports from LeRobot, LIBERO and robosuite: ``module:name``, or ``module:`` for a bare import."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}:{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {f"{alias.name}:" for alias in node.names}
    return {name for name in found if name.split(":")[0].split(".")[0] in WRITTEN_FOR}


def missing_from(table: Table, root: Path = ROOT) -> list[str]:
    """Imports from LeRobot, LIBERO and robosuite that their file's part of the table lacks, as it would list them."""
    missing = []
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        known = table.get(file.relative_to(root).as_posix(), {})
        for name in sorted(foreign_imports(file)):
            if not any(entry == name or entry.startswith((f"{name}.", f"{name}:")) for entry in known):
                missing.append(f'{file.relative_to(root)}: "{name}": "{looked_up(name)}"')
    return missing
