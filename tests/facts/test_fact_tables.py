from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class Fact:
    name: str
    value: int = 0


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that can hold distributions."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder: Path, name: str, version: str, point: str, module: str) -> None:
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[world_modality.facts_of_tests]\n{point}\n")
    (folder / f"{name}_rows.py").write_text(module)


ROWS = """
from types import SimpleNamespace as Fact
ROWS = (Fact(name="b", value=2), Fact(name="a", value=3))
SAME = Fact(name="own")
"""


def table() -> Table[Fact]:
    return Table("fact", "facts_of_tests", [Fact("own", 1)])


def test_rows_are_found_by_name_in_their_order() -> None:
    facts = Table("fact", "none", [Fact("z"), Fact("a")])
    assert facts.names == ("z", "a")
    assert [row.name for row in facts] == ["z", "a"]
    assert facts["a"] == Fact("a")
    assert "a" in facts
    assert "b" not in facts
    assert facts.distribution("a") == {}


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(UserError, match="'b' is not a fact; choose one of own"):
        table()["b"]


def test_another_distribution_adds_rows_with_its_name_and_version(distribution: Path) -> None:
    install(distribution, "more", "1.2", "rows = more_rows:ROWS", ROWS)
    facts = table()
    assert facts.names == ("own", "a", "b")
    assert facts["b"].value == 2
    assert facts.distribution("b") == {"more": "1.2"}


def test_a_name_that_is_taken_is_refused(distribution: Path) -> None:
    install(distribution, "twice", "1", "row = twice_rows:SAME", ROWS)
    with pytest.raises(UserError, match="the fact 'own' of twice is there already, of this package"):
        _ = table().names


def test_a_package_that_cannot_be_imported_is_named(distribution: Path) -> None:
    install(distribution, "torn", "1", "row = torn_rows:SAME", ROWS + "broken")
    with pytest.raises(UserError, match="torn adds a fact as torn_rows:SAME, which cannot be imported"):
        _ = table().names


def test_a_reference_is_imported_when_it_is_loaded() -> None:
    sys.modules.pop("this_is_no_module", None)
    assert Reference("pathlib:Path").load() is Path
    with pytest.raises(ModuleNotFoundError):
        Reference("this_is_no_module:thing").load()
