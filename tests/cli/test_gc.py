"""Removing what no study needs: listed first, never while a run works, never by halves."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from support import fake_stages
from support.command_line import assert_refused, wm
from support.small_study import edited

from world_modality.cli.garbage import collect_garbage
from world_modality.cli.last_plan import last_plans, remember_plan
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
    assert [line for line in listed if line.startswith("not kept")] == [
        f"not kept     {name} as {name}.yaml has it, run here and not named" for name in ("other", "third")
    ]
    assert listed[-1].endswith("`wm gc study.yaml --yes` removes them")
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
    for note in (ROOT / "last-plans").iterdir():
        note.unlink()  # as if the changed study had never been run
    remember_plan(ROOT, "small", Path("study.yaml"), plan_study(Path("study.yaml"), ROOT).snapshot)
    assert "unneeded     3 stages" in wm("gc").printed
    Path("study.yaml").write_text(changed)
    assert "unneeded     nothing" in wm("gc").printed
    assert set(older.stages) <= there()


def test_a_copy_of_a_study_under_the_same_name_is_needed_too() -> None:
    one = made("study.yaml", SHORT)
    two = made("copy.yaml", SHORT.replace("prophet_layers: 2", "prophet_layers: 3"))
    both = {*one.stages, *two.stages}
    assert wm("gc").printed == f"kept         small ({len(both)} stages)\nunneeded     nothing\n"
    wm("gc", "--yes")
    assert there() == both
    Path("copy.yaml").unlink()
    told = wm("gc").printed.splitlines()
    assert told[1].startswith("gone         copy.yaml, of which small was run: what its plan needs stays; name the")
    assert told[2] == "unneeded     nothing"
    assert "removed      3 stages" in wm("gc", "study.yaml", "--yes").printed
    assert there() == set(one.stages)


def test_a_note_of_an_earlier_version_is_known_and_replaced() -> None:
    graph = made("study.yaml", SHORT)
    (note,) = (ROOT / "last-plans").iterdir()
    told = json.loads(note.read_text())
    del told["study"]
    (ROOT / "last-plans" / "small.json").write_text(json.dumps(told))
    note.unlink()
    (plan,) = last_plans(ROOT)
    assert (plan.study, plan.file) == ("small", Path("study.yaml"))
    remember_plan(ROOT, graph.study, Path("study.yaml"), plan.snapshot)
    assert [path.name for path in (ROOT / "last-plans").iterdir()] == [note.name]


def test_files_of_one_name_in_two_folders_share_a_tree_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("config.yaml").write_text(name)
        remember_plan(shared, "demo", Path("config.yaml"), shared / "snapshots" / "demo.json")
    assert {plan.file for plan in last_plans(shared)} == {tmp_path / name / "config.yaml" for name in ("one", "two")}


def brought(*, linked: bool) -> tuple[Graph, set[str]]:
    """A study that was run here beside results of one that was not: merged, or fetched with their names."""
    theirs = made("theirs.yaml", SHORT.replace("study: small", "study: theirs").replace("seeds: [0]", "seeds: [5]"))
    if not linked:
        shutil.rmtree(ROOT / "by-name")
    for path in (*(ROOT / "last-plans").iterdir(), *(ROOT / "snapshots").iterdir(), Path("theirs.yaml")):
        path.unlink()
    own = made("study.yaml", SHORT)
    return own, set(theirs.stages) - set(own.stages)


def test_what_was_merged_from_a_study_never_planned_here_stays_unless_asked_for() -> None:
    own, theirs = brought(linked=False)
    told = wm("gc", "--yes").printed.splitlines()
    assert told[1].startswith(f"unplanned    {len(theirs)} stages, ")
    assert told[1].endswith("in no plan that was made here (merged or pulled): they stay; --unplanned removes them too")
    assert told[2].startswith("  train  ")
    assert told[-1] == "unneeded     nothing"
    wm("gc", "study.yaml", "--yes")
    assert there() == {*own.stages, *theirs}
    assert f"unneeded     {len(theirs)} stages" in wm("gc", "--unplanned").printed
    assert f"removed      {len(theirs)} stages" in wm("gc", "--unplanned", "--yes").printed
    assert there() == set(own.stages)


def test_what_a_name_of_such_a_study_leads_to_stays_in_any_case() -> None:
    own, theirs = brought(linked=True)
    told = wm("gc", "--unplanned", "--yes").printed
    assert f"linked       {len(theirs)} stages, " in told
    assert "that by-name/theirs leads to, a study never planned here: they stay until that folder is removed" in told
    assert there() == {*own.stages, *theirs}
    shutil.rmtree(ROOT / "by-name" / "theirs")
    wm("gc", "--unplanned", "--yes")
    assert there() == set(own.stages)


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
    for path in (Path("study.yaml"), *(ROOT / "snapshots").iterdir()):
        path.unlink()
    assert_refused(wm("gc"), "small was run here", "are gone", "small")


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
