"""A command that names no study means the one that was run last."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY

from world_modality.cli.last_plan import (
    last_study,
    noted_results,
    remember_plan,
    remember_results,
    remember_study,
    same_name_lines,
)
from world_modality.cli.tree import own_results, results_of, results_of_last, results_to_run
from world_modality.errors import UserError
from world_modality.store.layout import RESULTS_VARIABLE

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


def ran(study: Path, root: Path) -> None:
    remember_study(root, study)
    remember_results(study, root, own_results(study))


def test_a_folder_that_was_named_is_remembered_for_that_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RESULTS_VARIABLE, raising=False)
    mine, other, there = Path("studies", "mine.yaml"), Path("studies", "other.yaml"), tmp_path / "a disk"
    for study in (mine, other):
        study.write_text(SMALL_STUDY)
    ran(mine, there)
    assert last_study(RESULTS, DEFAULT) == (mine, f"study file   studies/mine.yaml (run last, in {there})")
    assert results_of(mine) == results_of(mine.resolve()) == results_of_last(DEFAULT) == there
    assert results_of(other) == results_to_run(mine) == RESULTS
    monkeypatch.setenv(RESULTS_VARIABLE, "elsewhere")
    assert results_of(mine) == Path("elsewhere")
    monkeypatch.delenv(RESULTS_VARIABLE)
    ran(other, RESULTS)
    ran(mine, RESULTS)
    assert noted_results(mine) is None
    assert results_of(mine) == RESULTS
    mine.write_text(f"{SMALL_STUDY}results: of its own\n")
    ran(mine, Path("of its own"))
    assert noted_results(mine) is None  # the study says it


def test_a_working_folder_that_cannot_be_written_has_no_note(here: Path) -> None:
    RESULTS.touch()
    remember_results(Path("studies", "mine.yaml"), here / "elsewhere", RESULTS)
    assert noted_results(Path("studies", "mine.yaml")) is None


def test_a_second_file_of_one_study_name_is_told_when_it_takes_the_links() -> None:
    mine, other = Path("studies", "mine.yaml"), Path("studies", "other.yaml")
    other.touch()
    first, second = Path("small-1.json"), Path("small-2.json")
    assert same_name_lines(RESULTS, "small", mine, first) == []
    remember_plan(RESULTS, "small", mine, first)
    assert same_name_lines(RESULTS, "small", mine, second) == []  # the same file, edited
    assert same_name_lines(RESULTS, "small", other, first) == []  # a copy
    assert same_name_lines(RESULTS, "large", other, second) == []
    assert same_name_lines(RESULTS, "small", other, second) == [
        "same name    studies/mine.yaml says `study: small` too: results/by-name/small led to its results, and leads "
        "to those of studies/other.yaml from now on; give one of the two another name"
    ]
    mine.unlink()
    assert same_name_lines(RESULTS, "small", other, second) == []  # renamed, then
