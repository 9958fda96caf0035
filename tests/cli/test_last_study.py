"""A command that names no study means the one that was run last."""

from __future__ import annotations

from pathlib import Path

import pytest

from world_modality.cli.last_plan import last_study, remember_study
from world_modality.errors import UserError

RESULTS = Path("results")
DEFAULT = Path("config.yaml")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "mine.yaml").touch()
    monkeypatch.chdir(folder)
    return folder


def test_the_default_before_any_run() -> None:
    assert last_study(RESULTS, DEFAULT) == (DEFAULT, "study file   config.yaml (none was run here yet)")


@pytest.mark.parametrize("absolute", [False, True])
def test_the_last_one_also_after_the_folder_was_moved(
    absolute: bool, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path("studies", "mine.yaml")
    remember_study(RESULTS, mine.resolve() if absolute else mine)
    monkeypatch.chdir(here.rename(tmp_path / "moved"))
    assert last_study(RESULTS, DEFAULT) == (mine, "study file   studies/mine.yaml (run last)")


def test_a_study_outside_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "out\udcffside.yaml"
    outside.touch()
    remember_study(RESULTS, Path("..") / outside.name)
    assert last_study(RESULTS, DEFAULT)[0] == outside


def test_what_goes_on_with_a_run_takes_no_default() -> None:
    with pytest.raises(UserError) as caught:
        last_study(RESULTS, None)
    assert str(caught.value) == (
        "nothing was run in results: name the folder of the results with --results, or begin with `wm run --study FILE`"
    )


def test_a_study_that_is_gone() -> None:
    remember_study(RESULTS, Path("studies", "mine.yaml"))
    Path("studies", "mine.yaml").unlink()
    with pytest.raises(UserError) as caught:
        last_study(RESULTS, DEFAULT)
    assert str(caught.value) == (
        "studies/mine.yaml, the study that was run last according to results/last-study.txt, is gone; "
        "name one with --study"
    )
