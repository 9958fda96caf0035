"""A whole small study: made twice it is the same study, and what is removed of it comes back as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from support.sealed_contents import contents, different
from support.whole_study import SMALL_STUDY, run_study

LIMIT_S = 1800.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run_study(folder, SMALL_STUDY, LIMIT_S, cores=2, hash_seed=1)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_another_hash_seed_other_cores_and_another_folder_make_the_same_study(finished: Path, tmp_path: Path) -> None:
    run_study(tmp_path / "else" / "where", SMALL_STUDY, LIMIT_S, cores=1, hash_seed=2)
    assert different(contents(finished), contents(tmp_path / "else" / "where")) == []


def removals(finished: Path) -> Iterator[tuple[Path, ...]]:
    """One stage of every kind alone, and neighbours in the order of the data's way in pairs."""
    kinds = ("policy", "encoder", "demos", "relabel", "dataset", "latents", "train", "rollout", "videos", "report")
    first = [min((finished / "results" / kind).iterdir()) for kind in kinds]
    yield from ((stage,) for stage in first)
    yield from pairwise(first)
    yield first[kinds.index("dataset")], first[kinds.index("train")]


@pytest.mark.slow
@pytest.mark.timeout(20 * LIMIT_S)
def test_whatever_is_removed_comes_back_and_the_report_stays_the_same(finished: Path) -> None:
    whole = contents(finished)
    for number, gone in enumerate(removals(finished)):
        for stage in gone:
            shutil.rmtree(stage)
        run_study(finished, SMALL_STUDY, LIMIT_S, cores=1 + number % 2, hash_seed=3 + number)
        told = ", ".join(stage.parent.name for stage in gone)
        assert different(whole, contents(finished)) == [], f"after {told} was removed"
