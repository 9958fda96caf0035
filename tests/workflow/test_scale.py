"""A study of 1,500 jobs is planned in seconds."""

from __future__ import annotations

import time

import pytest
from support.results_tree import Tree
from support.small_study import edited


@pytest.mark.slow
def test_dry_run_of_1500_jobs(tree: Tree) -> None:
    seeds = list(range(27))
    tree.write(edited(("seeds: [0, 1]", f"seeds: {seeds}"), ("tasks: [0, 1]", "tasks: all")))
    start = time.monotonic()
    result = tree.snakemake("-n")
    seconds = time.monotonic() - start
    stages = int(result.stderr.split("plan ")[1].split()[0])
    assert stages >= 1_450
    print(f"{stages} stages in {seconds:.1f} s")
    assert seconds < 10
