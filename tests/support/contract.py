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
PACKAGES = ("lerobot_policy_world_modality", "plugins", "world_modality")
WRITTEN_FOR = {
    "lerobot": ("lerobot", "0.6.1"),
    "libero": ("hf-libero", "0.1.4"),
    "robosuite": ("robosuite", "1.4.0"),
    "diffusers": ("diffusers", "0.39.0"),
    "metaworld": ("metaworld", "3.0.0"),
}
"""By top-level module: its distribution, and the version that the tables describe."""

GONE = "gone"
ANY = "there, whatever its value"
"""In a table: of what changes while a program runs."""

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


def found_at(name: str) -> Any:
    """What ``module:name`` is in the installed version; LookupError if there is no such thing."""
    module, _, path = name.partition(":")
    with contextlib.suppress(ImportError, AttributeError, KeyError, IndexError):
        return reach(importlib.import_module(module), path)
    with contextlib.suppress(ImportError):
        return importlib.import_module(f"{module}.{path}")
    raise LookupError(name)


def looked_up(name: str) -> str:
    """What ``module:name`` is in the installed version, as :func:`describe` tells it."""
    try:
        return describe(found_at(name))
    except LookupError:
        return GONE


def complaint(file: str, name: str, expected: str) -> str | None:
    """One sentence on ``module:name`` if it is not what ``file`` relies on; None if it is."""
    distribution, pinned = WRITTEN_FOR[name.split(":")[0].split(".")[0]]
    found = looked_up(name)
    if expected == ANY and found != GONE:
        return None
    return sentence(f"{distribution} {pinned}'s {name}", expected, found, file, distribution)


def sentence(what: str, expected: str, found: str, file: str, distribution: str) -> str | None:
    """The message of :func:`complaint`."""
    if found == expected:
        return None
    now = f"in {distribution} {version(distribution)} it is {found}"
    return f"{what} was {expected}; {now}: {file} relies on it and needs a look"


def foreign_imports(tree: ast.Module) -> set[str]:
    """What a file imports from LeRobot, LIBERO and robosuite: ``module:name``, or ``module:`` for a bare import."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}:{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {f"{alias.name}:" for alias in node.names}
    return {name for name in found if name.split(":")[0].split(".")[0] in WRITTEN_FOR}


def foreign_attributes(tree: ast.Module) -> set[str]:
    """What a file takes from things it imports (``lerobot_train.main``) or defines anew in a class derived from them.

    ``module:name.attribute``, or ``module:attribute`` of an imported module.
    """
    known = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}:{alias.name}" in foreign_imports(tree)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            found.add(_attribute(known[node.value.id], node.attr))
        elif isinstance(node, ast.ClassDef):
            bases = [known[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in known]
            anew = {_attribute(base, name) for base in bases for name in _defined(node)}
            found |= {name for name in anew if looked_up(name) != GONE}
    return found


def _attribute(owner: str, name: str) -> str:
    return f"{owner.replace(':', '.')}:{name}" if looked_up(owner) == "module" else f"{owner}.{name}"


def _defined(node: ast.ClassDef) -> set[str]:
    """The methods of a class and its attributes that have a value."""
    found = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    for each in node.body:
        if isinstance(each, ast.Assign) or (isinstance(each, ast.AnnAssign) and each.value is not None):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _listed(name: str, known: Mapping[str, str]) -> bool:
    """Whether a file's table has ``module:name``, something below it, or what a class inherits as the base has it."""
    dotted = name.replace(":", ".")
    if any(f"{entry.replace(':', '.')}.".startswith(f"{dotted}.") for entry in known):
        return True
    owner, _, attribute = name.rpartition(".")
    if ":" not in owner:
        return False
    try:
        classes = inspect.getmro(found_at(owner))
    except (LookupError, AttributeError):
        return False
    spelt = {f":{each.__name__}.{attribute}" for each in classes}
    return any(f":{entry.split(':')[1]}" in spelt for entry in known)


def missing_from(table: Table, root: Path = ROOT) -> list[str]:
    """What of LeRobot, LIBERO and robosuite is used and its file's part of the table lacks, as it would list it."""
    missing = []
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        known, tree = table.get(file.relative_to(root).as_posix(), {}), ast.parse(file.read_text())
        for name in sorted(foreign_imports(tree) | foreign_attributes(tree)):
            if not _listed(name, known):
                missing.append(f'{file.relative_to(root)}: "{name}": "{looked_up(name)}"')
    return missing
