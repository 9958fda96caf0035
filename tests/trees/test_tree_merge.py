"""Trees joined: what is missing comes, what disagrees or is damaged is named and stays out."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import pytest
from support.fake_tree import make, plan
from support.results_tree import SHORT_STUDY
from support.small_trees import FILES, STAGE, contents, sealed
from support.small_trees import make as make_stage

from world_modality.cli.planning import done_keys, register
from world_modality.errors import UserError
from world_modality.evidence.gates import SEALED, Gate
from world_modality.report.claims import judged_cells, plan_of
from world_modality.report.sealed_plans import first_start, read_seals, sealing_gate
from world_modality.store.keys import digest_of
from world_modality.store.layout import RESULTS, StageFolder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.progress import Progress
from world_modality.store.verify import damage
from world_modality.study.graph import Graph
from world_modality.study.outline import outline_of
from world_modality.study.targets import select
from world_modality.trees.merge import Merged, merge

TWO_SEEDS = SHORT_STUDY.replace("seeds: [0]", "seeds: [0, 1]")


def joined(root: Path, *trees: Path) -> Merged:
    return merge(root, trees, Progress("merge", stream=sys.stderr))


def test_three_partial_trees_equal_a_single_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made what its part needs by itself, so many stages are there two and three times."""
    parts = {
        "single": lambda request: True,
        "first": lambda request: request.stage not in ("train", "rollout", "report"),
        "second": lambda request: request.stage not in ("train", "rollout", "report") or " E0/" in request.label,
        "third": lambda request: request.stage not in ("train", "rollout", "report") or " E2/" in request.label,
        "joined": lambda request: request.stage == "report",
    }
    trees = [tmp_path / name / "results" for name in ("first", "second", "third")]
    for name, wanted in parts.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("study.yaml").write_text(SHORT_STUDY)
        planned = plan()
        if name == "joined":
            merged = joined(RESULTS, *trees)
            assert (merged.refused, merged.unfinished) == ([], 0)
            assert merged.taken == len(planned.graph.stages) - 1
            assert merged.equal == sum(len(sealed(tree)) for tree in trees) - merged.taken
            assert merged.plans >= 1  # two of the three sealed it, perhaps at the same time
        make(planned, wanted)
    digests = [
        {key: each.content_digest for key, each in sealed(tmp_path / name / "results").items()}
        for name in ("single", "joined")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == len(planned.graph.stages)


@pytest.mark.parametrize("one_file", [True, False])
def test_trees_that_made_targets_of_one_study_file_have_its_plan_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_file: bool
) -> None:
    """docs/scale.md. A part in a study file of its own has another plan, so that of the whole comes too late."""
    for seed in (0, 1):
        (tmp_path / f"{seed}").mkdir()
        monkeypatch.chdir(tmp_path / f"{seed}")
        Path("study.yaml").write_text(TWO_SEEDS if one_file else SHORT_STUDY.replace("seeds: [0]", f"seeds: [{seed}]"))
        planned = plan()
        outline = outline_of(planned.graph)
        wanted = outline.upstream(step.key for step in select(outline, [f"seed={seed}"]))
        assert len(set(planned.graph.stages) - wanted) == (5 if one_file else 1)
        make(planned, lambda request, wanted=wanted: request.key in wanted)
    (tmp_path / "joined").mkdir()
    monkeypatch.chdir(tmp_path / "joined")
    Path("study.yaml").write_text(TWO_SEEDS)
    time.sleep(1.0)  # a seal tells whole seconds
    merged, planned = joined(RESULTS, tmp_path / "0/results", tmp_path / "1/results"), plan()
    assert merged.refused == []
    assert set(planned.graph.stages) - done_keys(RESULTS, planned.graph) == {planned.graph.report.key}
    register(RESULTS, planned.graph)
    gate = _sealing_gate(RESULTS, planned.graph)
    assert (gate.name, gate.passed) == (SEALED, one_file)


def _sealing_gate(root: Path, graph: Graph) -> Gate:
    """As the report asks."""
    started = first_start(stage_folder(root, "rollout", cell.rollout) for cell in judged_cells(graph.report.spec))
    found = plan_of(graph.report.spec)
    return sealing_gate(found, read_seals(root, graph.study), started)


def test_unfinished_stages_are_looked_up_and_not_compared_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two, compared = tmp_path / "two", 0
    make_stage(two, 0)
    for number in range(30):
        (two / STAGE / f"{number:016x}").mkdir()
        (two / STAGE / f"{number:016x}" / "attempts.txt").write_text("now\n")
    equal = StageFolder.__eq__

    def count(one: StageFolder, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(one, other)

    monkeypatch.setattr(StageFolder, "__eq__", count)
    assert joined(tmp_path / "one", two).unfinished == 30
    assert compared < 10
    assert "30/30 unfinished stages" in capsys.readouterr().err


def test_what_is_merged_twice_is_left_and_shares_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make_stage(two, 0)
    assert joined(one, two).taken == 1
    copy = stage_folder(one, STAGE, folder.path.name)
    assert contents(copy) == FILES
    assert damage(copy) == []
    assert (copy.artifact / "weights.bin").samefile(folder.artifact / "weights.bin")
    again = joined(one, two, two)
    assert (again.taken, again.equal, again.refused) == (0, 2, [])


def test_results_that_disagree_are_told_of_and_kept(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    mine = make_stage(one, 0)
    make_stage(two, 0, {**FILES, "weights.bin": b"other", "new": b""})
    merged = joined(one, two)
    (said,) = merged.refused
    assert said.startswith(f"{two}: {STAGE}/{mine.path.name} (encoder 0) holds another result than the one here")
    assert said.endswith("not taken: new, weights.bin")
    assert contents(mine) == FILES
    assert merged.taken == 0


def tamper(folder: StageFolder) -> None:
    (folder.artifact / "weights.bin").write_bytes(b"v" * 300_000)


def test_what_was_tampered_with_is_named(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    tamper(make_stage(two, 0))
    make_stage(three, 0)
    (said,) = joined(one, two).refused
    assert said.startswith(f"{two}: {STAGE}/")
    assert "is not taken: artifact/weights.bin has other contents" in said
    assert not sealed(one)
    assert joined(one, three).taken == 1  # and the damaged copy did not come between
    (said,) = joined(one, two).refused
    assert "is not as it was sealed: artifact/weights.bin changed" in said
    tamper(stage_folder(one, STAGE, next(iter(sealed(one))).split("/")[1]))
    assert "is not as it was sealed here: artifact/weights.bin changed" in joined(one, three).refused[0]


def test_a_file_outside_of_the_tree_is_not_taken(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make_stage(two, 0)
    (tmp_path / "secret").write_bytes(FILES["weights.bin"])
    (folder.artifact / "weights.bin").unlink()
    (folder.artifact / "weights.bin").symlink_to(tmp_path / "secret")
    assert "artifact/weights.bin is missing" in joined(one, two).refused[0]
    shutil.rmtree(folder.artifact / "deeper")
    (tmp_path / "deeper").mkdir()
    (folder.artifact / "deeper").symlink_to(tmp_path / "deeper")
    assert joined(one, two).taken == 0
    assert not sealed(one)


@pytest.mark.parametrize("name", ["volatile/seconds", "attempts.txt", "log.txt"])
def test_what_a_link_beside_an_artifact_leads_to_is_not_taken(tmp_path: Path, name: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make_stage(two, 0)
    (tmp_path / "id_ed25519").write_text("a key")
    link = folder.path / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "id_ed25519")
    assert joined(one, two).taken == 1
    copied = (path for path in one.rglob("*") if path.is_file())
    assert all(path.read_bytes() != b"a key" for path in copied)


def test_what_is_being_made_here_and_what_is_unfinished_there_stay(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    folder = make_stage(two, 0)
    (two / STAGE / ("0" * 16)).mkdir()
    (two / STAGE / ("0" * 16) / "attempts.txt").write_text("now\n")
    with exclusive(stage_folder(one, STAGE, folder.path.name).lock, lambda: None):
        merged = joined(one, two)
    assert "is being made here: merge again later" in merged.refused[0]
    assert merged.unfinished == 1


def test_plans_of_all_trees_are_kept(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    make_stage(two, 0)
    for tree, name in ((one, "a"), (two, "a"), (two, "b")):
        (tree / "sealed-plans" / "study").mkdir(parents=True, exist_ok=True)
        (tree / "sealed-plans" / "study" / f"{name}.json").write_text(f'{{"tree": "{tree.name}"}}')
    assert joined(one, two).plans == 1
    assert (one / "sealed-plans" / "study" / "a.json").read_text() == '{"tree": "one"}'


def test_a_damaged_plan_is_replaced_by_a_whole_one_and_by_no_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    make_stage(two, 0)
    whole = json.dumps({"digest": digest_of({"claims": 1}), "plan": {"claims": 1}})
    plans = [tree / "sealed-plans" / "study" / "a.json" for tree in (one, two)]
    for here, there, kept, taken in (
        (whole[:-5], whole, whole, 1),
        (whole, whole[:-5], whole, 0),
        (whole[:-5], whole.replace("1", "2"), whole[:-5], 0),
    ):
        for path, text in zip(plans, (here, there), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert joined(one, two).plans == taken
        assert plans[0].read_text() == kept


def test_a_folder_that_is_no_other_results_tree_is_one_sentence(tmp_path: Path) -> None:
    one = tmp_path / "work" / "results"
    make_stage(one, 0)
    with pytest.raises(UserError, match=r"is no results tree: name .*work/results$"):
        joined(tmp_path / "results", tmp_path / "work")
    with pytest.raises(UserError, match="is no results tree; name a folder such as results/"):
        joined(one, tmp_path)
    with pytest.raises(UserError, match="is the results tree that the others are merged into"):
        joined(one, one)
