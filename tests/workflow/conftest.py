"""Results trees: one of its own per test, and one that is complete, to be copied."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.results_tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    tree = Tree(tmp_path_factory.mktemp("complete"))
    tree.first_run = tree.snakemake("--cores", "2")
    return tree
