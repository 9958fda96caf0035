"""Removing what no study needs: listed first, never while a run works, never by halves."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from support import fake_stages
from support.command_line import assert_refused, wm
from support.small_study import edited

from world_modality.cli.garbage import collect_garbage
from world_modality.cli.last_plan import remember_plan
from world_modality.cli.planning import link_names, plan_study
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store import garbage
from world_modality.store.execute import execute
from world_modality.store.layout import StageFolder, removed_folder
from world_modality.store.lock import exclusive
from world_modality.store.run_lock import run_lock
from world_modality.study.graph import Graph

SHORT = edited(
    ("tasks: [0, 1]", "tasks: [0]"),
    ("seeds: [0, 1]", "seeds: [0]"),
    ("  relabel: {per_task: 1, init_states: 0-9}\n", ""),
    ("  E1: {memory: zero}\n", ""),
    (", ablations: [zero, random]", ""),
)
ROOT = Path("results")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(name: str, text: str) -> Graph:
    """A study that was run here."""
    Path(name).write_text(text)
    planned = plan_study(Path(name), ROOT)
    for request in planned.graph.stages.values():
        execute(ROOT, request, fake_stages.run, cores=1, stream=io.StringIO())
    link_names(ROOT, planned.graph)
    remember_plan(ROOT, planned.graph.study, Path(name), planned.snapshot)
    return planned.graph


def there() -> set[str]:
    return {path.name for kind in STAGES.names for path in (ROOT / kind).glob("*")}


def test_nothing_of_a_study_that_was_run_last_goes() -> None:
    graph = made("study.yaml", SHORT)
    assert wm("gc").printed == f"kept         small ({len(graph.stages)} stages)\nunneeded     nothing\n"


def test_what_an_older_plan_needed_is_listed_and_with_yes_removed() -> None:
    older = made("study.yaml", SHORT)
    newer = made("study.yaml", SHORT.replace("prophet_layers: 2", "prophet_layers: 3"))
    (ROOT / "sealed-plans").mkdir()
    old = set(older.stages) - set(newer.stages)
    listed = wm("gc").printed
    assert listed.splitlines()[-1].startswith("unneeded     3 stages, ")
    assert there() == {*older.stages, *newer.stages}
    printed = wm("gc", "--yes").printed
    assert printed.splitlines()[-1].startswith("removed      3 stages, ")
    assert there() == set(newer.stages)
    assert len(old) == 3
    assert not removed_folder(ROOT).exists()
    assert (ROOT / "sealed-plans").is_dir()
    assert (ROOT / "by-name" / "small" / "train" / "E2-seed0").exists()


def test_studies_that_are_named_stay_and_links_to_what_goes_go_too() -> None:
    kept = made("study.yaml", SHORT)
    other = made("other.yaml", SHORT.replace("study: small", "study: other"))
    third = SHORT.replace("study: small", "study: third").replace("prophet_layers: 2", "prophet_layers: 4")
    made("third.yaml", third)
    listed = wm("gc", "study.yaml").printed.splitlines()
    assert listed[1] == "not kept     other, third, run here and not named"
    wm("gc", "study.yaml", "--yes")
    assert there() == set(kept.stages)
    links = ROOT / "by-name" / "third"
    assert not (links / "train" / "E2-seed0").is_symlink()
    assert (links / "train" / "E0-seed0").exists(), "what the studies share"
    assert set(other.stages) - {other.report.key} <= there()


def test_a_study_whose_file_changed_keeps_both_its_plans() -> None:
    older = made("study.yaml", SHORT)
    changed = SHORT.replace("prophet_layers: 2", "prophet_layers: 3")
    made("elsewhere.yaml", changed)
    Path("elsewhere.yaml").unlink()
    remember_plan(ROOT, "small", Path("study.yaml"), plan_study(Path("study.yaml"), ROOT).snapshot)
    assert "unneeded     3 stages" in wm("gc").printed
    Path("study.yaml").write_text(changed)
    assert "unneeded     nothing" in wm("gc").printed
    assert set(older.stages) <= there()


def test_a_tree_from_before_last_plans_were_noted_keeps_what_any_plan_needs() -> None:
    made("study.yaml", SHORT)
    made("study.yaml", SHORT.replace("prophet_layers: 2", "prophet_layers: 3"))
    for path in (ROOT / "last-plans").iterdir():
        path.unlink()
    assert "unneeded     nothing" in wm("gc").printed


def test_it_is_refused_where_it_could_take_too_much() -> None:
    assert_refused(wm("gc"), "there is no folder results here")
    ROOT.mkdir()
    assert_refused(wm("gc"), "no study was run in results yet", "wm gc STUDY...")
    made("study.yaml", SHORT)
    (note,) = (ROOT / "last-plans").iterdir()
    for path in (Path("study.yaml"), *(ROOT / "snapshots").iterdir()):
        path.unlink()
    assert_refused(wm("gc"), "small was run here", "are gone", str(note.stem))


def test_never_while_a_run_works_nor_what_somebody_works_on() -> None:
    made("study.yaml", SHORT)
    newer = made("study.yaml", SHORT.replace("prophet_layers: 2", "prophet_layers: 3"))
    old = sorted(there() - set(newer.stages))
    with run_lock(ROOT):
        assert "works here, so nothing would be removed before it ends" in wm("gc").printed
        with pytest.raises(UserError, match="a run already works on results"):
            collect_garbage(ROOT, [], remove_them=True)
    (busy,) = (path for path in (ROOT / "rollout").iterdir() if path.name in old)
    with exclusive(StageFolder(busy).lock, lambda: None):
        assert f"busy         {busy}: somebody works on it, so it stays" in wm("gc", "--yes").printed
    assert there() == {*newer.stages, busy.name}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_removal_that_is_killed_leaves_no_half_of_a_sealed_stage(
    monkeypatch: pytest.MonkeyPatch, other_disk: bool
) -> None:
    graph = made("study.yaml", SHORT)
    folder = StageFolder(ROOT / "report" / graph.report.key)

    def die(path: Path, ignore_errors: bool = False) -> None:
        if path.exists():
            raise Killed

    def rename(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    with monkeypatch.context() as patched:
        patched.setattr(garbage.shutil, "rmtree", die)
        if other_disk:
            patched.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            garbage.remove(ROOT, folder)
    assert not folder.done.exists()
    assert not folder.seal.exists()
    assert folder.path.exists() == other_disk
    assert "unneeded     nothing" in wm("gc", "--yes").printed
    assert not removed_folder(ROOT).exists()
