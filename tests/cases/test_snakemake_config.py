"""`snakemake --config key=value` beside a study."""

from __future__ import annotations

from pathlib import Path

from support.results_tree import Tree


def test_a_key_that_a_study_has_is_refused_or_taken_into_it(place: Path) -> None:
    dry = Tree(place).snakemake("-n", "--config", "study=other", check=False)
    taken = dry.stderr.split()[:2] == ["study", "other:"]
    assert taken or (dry.returncode != 0 and "--config" in dry.stderr), dry.stderr


def test_a_key_that_no_study_has_is_refused(place: Path) -> None:
    dry = Tree(place).snakemake("-n", "--config", "nonsense=1", check=False)
    assert dry.returncode != 0, dry.stderr
    assert "nonsense" in dry.stderr
