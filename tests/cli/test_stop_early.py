"""A study of given checkpoints that may stop early, look by look, with a stand-in for Snakemake and its jobs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.recorded_study import write_results

from world_modality.cli import run_study
from world_modality.cli.explain import explain, survey
from world_modality.cli.plan import plan_lines
from world_modality.cli.planning import ALL_LOOKS_VARIABLE, Planned, plan_study
from world_modality.cli.profiles import Where, find_profile
from world_modality.cli.report import report_so_far
from world_modality.errors import UserError
from world_modality.store.layout import stage_folder
from world_modality.store.seal import seal

STUDY = """\
study: given
suite: libero_spatial
tasks: [0, 1]
simulator: {assets: package}
arms:
  E0: {checkpoint: {source: folder, path: e0}}
  E2: {checkpoint: {source: folder, path: e2}, against: E0}
rollouts: {init_states: 0-49, episodes: 50}
evidence: {stop_early: 10, margin: 0.1}
"""
ROOT = Path("results")


def better(condition: str, seed: int, task: int, state: int) -> bool:
    """E2 succeeds in three fifths of the scenes, E0 in two fifths."""
    return state % 5 < (3 if condition == "E2" else 2)


def alike(condition: str, seed: int, task: int, state: int) -> bool:
    """Both succeed in the same half of the scenes."""
    return state % 2 == 0


@dataclass
class Runs:
    """What ``wm run`` asks Snakemake for, and rollouts that end as ``success`` says."""

    success: Callable[[str, int, int, int], bool]
    asked: list[tuple[Sequence[str], int]] = field(default_factory=list)  # targets, rollouts in the graph

    def run(self, study: Path, root: Path, _where: Where, targets: Sequence[str], _handle: int) -> int:
        """In place of Snakemake."""
        graph = plan_study(study, root).graph
        self.asked.append((tuple(targets), len(list(graph.of("rollout")))))
        write_results(root, graph, success=self.success)
        if not targets:
            report_so_far(study, root, Path("so-far"))
            folder = stage_folder(root, "report", graph.report.key)
            shutil.copytree("so-far", folder.artifact)
            seal(folder, graph.report, {}, 1.0, 1)
        return 0


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("e0", "e2"):
        Path(name).mkdir()
        Path(name, "config.json").write_text(json.dumps({"type": "smolvla", "chunk_size": 50, "n_action_steps": 4}))
        Path(name, "model.safetensors").write_bytes(name.encode())
    Path("study.yaml").write_text(STUDY)
    return Path("study.yaml")


def wm_run(study: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(run_study, "_run", runs.run)
    return run_study.run_study(study, Where(find_profile("local"), 1), [])


def table() -> dict:
    return json.loads(Path("so-far", "table.json").read_text())


def plan(study: Path) -> Planned:
    return plan_study(study, ROOT)


def test_one_command_looks_until_it_is_decided_and_reports(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(study).looks is not None
    runs = Runs(better)
    assert wm_run(study, runs, monkeypatch) == 0
    *looks, _ = runs.asked
    made = len(looks)
    assert 1 < made < 5
    assert [targets for targets, _ in runs.asked] == [("rollouts",)] * made + [()]
    assert [rollouts for _, rollouts in runs.asked] == [*(4 * look for look in range(1, made + 1)), 4 * made]
    told = capsys.readouterr().err
    assert f"looks        look {made} of 5, {20 * made} of 100 scenes; E2 > E0: helps; decided" in told
    found = table()
    assert found["stopping"] == {
        "looks": made, "of": 5, "scenes": 20 * made, "planned_scenes": 100, "scenes_per_look": 10,
    }  # fmt: skip
    assert (found["complete"], found["missing"], found["judgement"]["withheld"]) == (True, [], "")
    assert found["episodes"] == 2 * 20 * made
    assert {gate["passed"] for gate in found["gates"]} == {True}
    verdict = next(each for each in found["judgement"]["verdicts"] if each["primary"])
    assert (verdict["word"], verdict["episodes"], verdict["scenes"]) == ("helps", 20 * made, 20 * made)
    assert verdict["p_greater"] <= 0.05
    line = f"After look {made} of 5 ({20 * made} of 100 scenes), by a test that is valid at every look"
    for name in ("table.md", "report.html"):
        assert line in Path("so-far", name).read_text()
    assert json.loads(Path("so-far", "summary.json").read_text())["stopping"] == found["stopping"]
    assert wm_run(study, runs, monkeypatch) == 0
    assert len(runs.asked) == made + 1, "a study that is decided asks for nothing"


def test_arms_that_never_disagree_are_equivalent_before_the_end(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(alike)
    assert wm_run(study, runs, monkeypatch) == 0
    found = table()
    assert found["stopping"]["looks"] < 5
    assert [each["word"] for each in found["judgement"]["verdicts"] if each["primary"]] == ["equivalent"]


def test_all_looks_make_the_rest_alone_and_the_verdict_stands(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(better)
    wm_run(study, runs, monkeypatch)
    early = table()
    first = {request.key for request in plan(study).graph.of("rollout")}
    times = {key: stage_folder(ROOT, "rollout", key).done.stat().st_mtime_ns for key in first}
    monkeypatch.setenv(ALL_LOOKS_VARIABLE, "1")
    assert wm_run(study, runs, monkeypatch) == 0
    assert runs.asked[-1] == ((), 20)
    whole = {request.key for request in plan(study).graph.of("rollout")}
    assert first < whole
    assert {key: stage_folder(ROOT, "rollout", key).done.stat().st_mtime_ns for key in first} == times
    late = table()
    assert late["stopping"]["looks"] == 5
    assert late["plan"]["digest"] == early["plan"]["digest"]
    words = [next(v["word"] for v in each["judgement"]["verdicts"] if v["primary"]) for each in (early, late)]
    assert words == ["helps", "helps"]
    monkeypatch.delenv(ALL_LOOKS_VARIABLE)
    assert plan(study).looks.asked == 5, "whatever has been made beyond the decision counts"


def test_a_look_that_lacks_a_rollout_or_is_damaged_is_made_again(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = plan(study).graph
    write_results(ROOT, graph, success=better)
    assert plan(study).looks.asked == 2
    request = next(graph.of("rollout"))
    records = stage_folder(ROOT, "rollout", request.key).artifact / "records.jsonl"
    records.chmod(0o644)
    records.write_text(records.read_text().replace('"steps":10', '"steps":11'))
    assert plan(study).looks.asked == 1
    monkeypatch.setattr(run_study, "_run", lambda *_: 0)  # Snakemake sees that all is sealed, and makes nothing
    with pytest.raises(UserError, match="look 1 was rolled out and is not whole: run `wm verify`"):
        run_study.run_study(study, Where(find_profile("local"), 1), [])


def test_explain_and_plan_tell_of_the_looks(study: Path) -> None:
    planned = plan(study)
    lines = explain(ROOT, survey(ROOT, planned), 1)
    assert "looks        look 0 of 5, 0 of 100 scenes; next is look 1" in lines
    told = "\n".join(plan_lines(study, ROOT))
    assert "stop early   looks after every 10 scenes of each task" in told
    data = json.loads(Path("results/by-name/given/plan/plan.json").read_text())
    assert [each["effect"] for each in data["stops"]] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert data["stops"][3]["scenes"] < 100
    assert "published    from run to run, together 2.8 points with 23 degrees of freedom" in told
