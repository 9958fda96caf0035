"""What the packages import is declared in pyproject.toml, and locked in envs/requirements.txt."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("world_modality", "lerobot_policy_world_modality")
FOLDERS = (*PACKAGES, "workflow/tools")

PLUGIN = REPOSITORY / "plugins/lerobot_env_world_modality"

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
DECLARED = {canonicalize_name(each.name): each for each in map(Requirement, PROJECT["dependencies"])}
LOCKED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)", (REPOSITORY / "envs/requirements.txt").read_text(), re.M
    )
}
DIRECT = {
    canonicalize_name(each.name): each
    for line in (REPOSITORY / "envs/requirements.in").read_text().splitlines()
    if line.partition("#")[0].strip()
    for each in [Requirement(line.partition("#")[0].strip())]
}


def modules_of(path: Path) -> Iterator[str]:
    """Top-level modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def imported() -> dict[str, str]:
    """Third-party top-level module -> a file that imports it."""
    found = {
        module: path.relative_to(REPOSITORY).as_posix()
        for folder in FOLDERS
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for module in modules_of(path)
    }
    own = {*PACKAGES, "workflow"}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names | own}


@pytest.mark.parametrize("module", sorted(imported()))
def test_every_import_is_declared(module: str) -> None:
    providers = {canonicalize_name(name) for name in importlib.metadata.packages_distributions().get(module, [])}
    assert providers & DECLARED.keys(), f"{imported()[module]} imports {module}, of {providers or 'no distribution'}"


def test_nothing_is_declared_for_nothing() -> None:
    distributions = importlib.metadata.packages_distributions()
    used = {canonicalize_name(name) for module in imported() for name in distributions.get(module, [])}
    assert set(DECLARED) <= used


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_every_declared_dependency_is_locked_within_its_range(name: str) -> None:
    assert name in LOCKED
    assert DECLARED[name].specifier.contains(LOCKED[name])


@pytest.mark.parametrize("name", sorted(name for name in DIRECT if DIRECT[name].specifier and name in DECLARED))
def test_ranges_agree_with_those_of_the_environment(name: str) -> None:
    assert DECLARED[name].specifier == DIRECT[name].specifier
    assert DECLARED[name].extras == DIRECT[name].extras


def test_the_environment_asks_for_nothing_that_is_not_locked() -> None:
    assert set(DIRECT) <= set(LOCKED)


def test_the_environments_plugin_declares_what_it_imports_in_the_projects_ranges() -> None:
    about = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(each.name): each.specifier for each in map(Requirement, about["dependencies"])}
    modules = {module for path in sorted((PLUGIN / PLUGIN.name).rglob("*.py")) for module in modules_of(path)}
    providers = importlib.metadata.packages_distributions()
    foreign = modules - sys.stdlib_module_names - {PLUGIN.name}
    assert {canonicalize_name(providers[module][0]) for module in foreign} == declared.keys()
    own = canonicalize_name(PROJECT["name"])
    assert declared.pop(own).contains(PROJECT["version"])
    assert declared == {name: DECLARED[name].specifier for name in declared}
    assert about["requires-python"] == PROJECT["requires-python"]


def test_lerobot_finds_the_environments_plugin_by_its_name() -> None:
    name = importlib.metadata.distribution(PLUGIN.name).metadata["Name"]
    assert name == PLUGIN.name  # with underscores, which LeRobot looks for
