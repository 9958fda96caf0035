"""YAML as studies use it: plain scalars, and a line for every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.study.document import read_document


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "document.yaml"
    path.write_text(text)
    return read_document(path).values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("007", 7),
        ("010", 10),
        ("08", 8),
        ("=", "="),
        ("off", "off"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("30-49", "30-49"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("'7'", "7"),
    ],
)
def test_scalars(text: str, value: object, tmp_path: Path) -> None:
    found = read(tmp_path, f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


@given(
    st.recursive(
        st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.integers(-99, 99) | st.booleans(), min_size=1),
        lambda inner: st.dictionaries(
            st.from_regex(r"[a-z]{1,4}", fullmatch=True), inner | st.lists(inner, max_size=2), min_size=1, max_size=3
        ),
        max_leaves=6,
    ).filter(lambda value: not {"on", "off", "yes", "no", "null", "true", "n", "y"} & set(str(value).split("'")))
)
@settings(max_examples=40, deadline=None)
def test_same_values_as_plain_yaml_and_a_line_for_each(value: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.yaml"
        path.write_text(yaml.safe_dump(value))
        document = read_document(path)
        lines = path.read_text().splitlines()
    assert document.values == value
    for location, line in document.lines.items():
        if location and isinstance(location[-1], str):
            assert f"{location[-1]}:" in lines[line - 1]


def test_a_missing_place_is_shown_at_its_nearest_parent(tmp_path: Path) -> None:
    path = tmp_path / "document.yaml"
    path.write_text("a:\n  b:\n    c: 1\n")
    document = read_document(path)
    assert document.line(("a", "b", "d", 0)) == 2
    assert str(document.error(("a", "b", "d"), "is missing")) == f"{path}:2: a.b.d: is missing"
