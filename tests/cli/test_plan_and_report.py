"""`wm plan` and `wm report` on a results tree that a run could have left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.recorded_study import write_results
from support.small_study import SMALL_STUDY, edited

from world_modality.cli.plan import ASSUMED_STEP, plan_lines
from world_modality.cli.planning import link_names, plan_study
from world_modality.cli.report import report_so_far
from world_modality.errors import UserError
from world_modality.report.claims import plan_of
from world_modality.report.console import console_lines
from world_modality.store.layout import stage_folder
from world_modality.store.seal import seal

FOUR_SEEDS = edited(("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"), text=SMALL_STUDY)
HALF = {"rollout E2/0 task 1": 2}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(FOUR_SEEDS)
    return path


def test_before_anything_ran(study: Path) -> None:
    lines = plan_lines(study, Path("results"))
    plan = plan_of(plan_study(study, Path("results")).graph.report.spec)
    assert plan is not None
    assert lines[0].startswith(f"plan         {plan.digest} of small, libero_spatial: not sealed yet")
    told = json.loads(Path("results/by-name/small/plan/plan.json").read_text())
    assert told["digest"] == plan.digest
    assert told["sealed_at"] is None
    assert told["offline"] == []
    assert told["estimated"] is None
    assert told["costs"]["trainings"] == 3
    assert told["costs"]["conditions"] == 5
    assert "assumed; say it in evidence.hours" in "\n".join(lines)
    assert told["costs"]["training"] == pytest.approx(10 * ASSUMED_STEP / 3600)
    assert f"(assumed, 10 steps of {ASSUMED_STEP} s; say it in evidence.hours)" in "\n".join(lines)
    assert lines[-3].startswith("data         data.demonstrations.max_steps: attempts are given up after")
    assert not [line for line in lines if line.startswith("offline")]
    assert {each["init_states"] for each in told["allocations"]} <= {4}, "the study offers four initial states"
    assert [claim["claim"] for claim in told["assumed"]["claims"]] == [claim.name for claim in plan.claims]
    assert "\n".join(lines[:5]) in Path("results/by-name/small/plan/plan.md").read_text()
    assert not Path("results/sealed-plans").exists() or not list(Path("results/sealed-plans").rglob("*.json"))


def test_with_results_the_studys_own_noise_and_hours_are_shown(study: Path) -> None:
    root = Path("results")
    write_results(root, plan_study(study, root).graph)
    lines = "\n".join(plan_lines(study, root))
    assert ": sealed 20" in lines.splitlines()[0]
    assert "estimated from 4 seeds" in lines
    assert "1 h per training (median of 12 sealed here), 10 s per episode (median of 40 sealed here)" in lines
    study.write_text(FOUR_SEEDS + "evidence: {hours: {training: 2.5}}\n")
    assert "2.5 h per training (as the study says)" in "\n".join(plan_lines(study, root))
    study.write_text(FOUR_SEEDS.replace("study: small", "study: renamed"))  # the same rollouts under another plan
    assert ": not sealed, and a rollout that it counts started at 2" in plan_lines(study, root)[0]


def test_one_arm_has_nothing_to_plan(study: Path) -> None:
    study.write_text(FOUR_SEEDS[: FOUR_SEEDS.index("  E1:")] + FOUR_SEEDS[FOUR_SEEDS.index("rollouts:") :])
    with pytest.raises(UserError, match="one arm makes no comparison"):
        plan_lines(study, Path("results"))
    assert "ONE ARM  nothing is compared" in "\n".join(report_so_far(study, Path("results"), None))


def test_the_report_of_two_suites_prints_both_as_the_end_of_a_run_does(study: Path) -> None:
    scripted = FOUR_SEEDS[FOUR_SEEDS.index("data:") : FOUR_SEEDS.index("encoder:")]
    changes = (
        ("suite: libero_spatial", "suite: [libero_spatial, libero_10]"),
        ("{assets: package, horizon: 220}", "{assets: hub}"),
        (scripted, f"data: {{source: hub, repo_id: a/b, revision: {'a' * 40}}}\n"),
    )
    study.write_text(edited(*changes, text=FOUR_SEEDS))
    lines = report_so_far(study, Path("results"), None)
    table = json.loads(Path("results/by-name/small/so-far/table.json").read_text())
    assert [each["suite"] for each in table["suites"]] == ["libero_spatial", "libero_10"]
    assert "\n".join(console_lines(table)) in "\n".join(lines)
    assert [line.split()[0] for line in console_lines(table)[-2:]] == ["libero_spatial", "libero_10"]


def test_a_report_so_far_has_a_folder_of_its_own(study: Path, tmp_path: Path) -> None:
    root = Path("results")
    write_results(root, plan_study(study, root).graph, episodes=HALF.get)
    lines = report_so_far(study, root, None)
    assert lines[-2:] == [
        "missing      2 episodes in 1 cell",
        "report       results/by-name/small/so-far/report.html   (opens offline)",
    ]
    folder = root / "by-name" / "small" / "so-far"
    names = {path.name for path in folder.iterdir()}
    tables = {"table.csv", "table.json", "table.md", "table.tex", "records.csv", "records.parquet"}
    assert names == {"report.html", "summary.json", "timing.json", "diagnosis.md", "figures"} | tables
    assert not list(root.glob("report/*"))
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["form"], summary["study"], summary["complete"]) == (1, "small", False)
    assert {claim["word"] for claim in summary["claims"]} == {"cannot tell"}
    report_so_far(study, root, tmp_path / "elsewhere")
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == names


def test_beside_a_sealed_report_there_is_none_so_far(study: Path) -> None:
    root = Path("results")
    graph = plan_study(study, root).graph
    write_results(root, graph)
    report_so_far(study, root, None)
    so_far = root / "by-name" / "small" / "so-far"
    assert (so_far / "report.html").exists()
    folder = stage_folder(root, "report", graph.report.key)
    shutil.copytree(so_far, folder.artifact)
    seal(folder, graph.report, {}, 1.0, 1)
    link_names(root, graph)
    assert not so_far.exists()
    assert report_so_far(study, root, None)[-1] == "report       results/by-name/small/report.html   (opens offline)"
    assert not so_far.exists()
