"""Every test has a results tree of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.results_tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
