"""Rows in a table of facts for as long as a test lasts, as if an installed package had added them."""

from __future__ import annotations

from typing import Any

import pytest

from world_modality.facts.table import Table


def add_row(table: Table[Any], row: Any, monkeypatch: pytest.MonkeyPatch, distribution: str = "") -> None:
    """Add a row of ours, or of version 1.0 of a distribution."""
    monkeypatch.setitem(table._entries, row.name, (row, {distribution: "1.0"} if distribution else {}))  # type: ignore[index]
