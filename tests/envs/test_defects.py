"""docs/defects.md and the markers say the same, and every defect that applies has a test that always runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "defects.md"
KNOWN = {f"B{number}" for number in range(1, 29)}
ROW = re.compile(r"^\| ([BW]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", re.M)
NOT_ALWAYS = {"slow", "slurm", "gpu", "skip", "skipif", "xfail"}


def marks_of(function: ast.FunctionDef) -> list[tuple[str, tuple[str, ...]]]:
    """The pytest markers of a test function: name and text arguments."""
    found = []
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        name = ast.unparse(call.func if call else decorator)
        arguments = [each.value for each in call.args if isinstance(each, ast.Constant)] if call else []
        if name.startswith("pytest.mark."):
            found.append((name.removeprefix("pytest.mark."), tuple(map(str, arguments))))
    return found


def marked(root: Path) -> dict[str, set[str]]:
    """Defect -> the test functions that bear its marker and run by default, as ``room/file.py::name``."""
    tests: dict[str, set[str]] = {}
    for file in sorted(root.rglob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = marks_of(node)
                if not NOT_ALWAYS & {name for name, _ in marks}:
                    for (defect,) in (arguments for name, arguments in marks if name == "defect"):
                        tests.setdefault(defect, set()).add(f"{file.relative_to(root).as_posix()}::{node.name}")
    return tests


def listed() -> dict[str, tuple[str, set[str]]]:
    """Defect -> what prevents it and its tests, as the document lists them."""
    rows = ROW.findall(DOCUMENT.read_text())
    assert len(rows) == len({row[0] for row in rows})
    return {defect: (prevention, set(re.findall(r"`([^`]+)`", tests))) for defect, _, prevention, tests in rows}


def test_every_defect_is_listed_with_its_tests_or_why_it_does_not_apply() -> None:
    document = listed()
    assert {defect for defect in document if defect.startswith("B")} == KNOWN
    for defect, (prevention, tests) in document.items():
        assert prevention.startswith("does not apply: ") == (not tests), f"{defect} has no test and no reason"


def test_the_documents_tests_are_those_that_bear_the_markers() -> None:
    assert marked(TESTS) == {defect: tests for defect, (_, tests) in listed().items() if tests}


def test_a_marker_counts_only_where_it_always_runs(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.defect('B1')\n@pytest.mark.parametrize('a', [1])\ndef test_one(a): pass\n"
        "@pytest.mark.slow\n@pytest.mark.defect('B2')\ndef test_two(): pass\n"
        "@pytest.mark.defect('B3')\ndef helper(): pass\n"
    )
    assert marked(tmp_path) == {"B1": {"test_some.py::test_one"}}


def test_the_marker_is_registered(pytestconfig: pytest.Config) -> None:
    assert any(line.startswith("defect(id):") for line in pytestconfig.getini("markers"))
