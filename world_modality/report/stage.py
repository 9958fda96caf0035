"""Stage "report": verdict and comparison table as Markdown, CSV, JSON and a page, from sealed rollouts."""

from __future__ import annotations

from world_modality.errors import UserError
from world_modality.report.arms import arms_gate
from world_modality.report.build import Material, build_report, write_report
from world_modality.report.checks import same_scenes
from world_modality.report.results import load_results
from world_modality.report.timing import timing_of
from world_modality.store.files import write_json
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import ReportSpec


def run(spec: ReportSpec, context: StageContext) -> Facts:
    """Write the report: table.md, .tex, .csv and .json, summary.json, report.html, records.parquet and records.csv.

    Inputs: "rollout", every cell's rollout; "train", the trainings behind them; "films", if there are any. UserError
    when columns lack units or met other scenes, or the trainings differ in more than their memory: no sealed report is
    made of what has to be made again. `wm report` shows such a study as it is.
    """
    rollouts, trainings, films = (context.inputs.get(role, ()) for role in ("rollout", "train", "films"))
    results, arms = load_results(spec, rollouts), arms_gate(spec.arms, trainings)
    for gate in (same_scenes(results), arms):
        if gate.passed is False:
            raise UserError(f"{gate.detail}.")
    root = rollouts[0].parents[2]
    material = Material(spec, results, arms, rollouts, trainings, films)
    table, pages = build_report(root, material)
    write_report(context.artifact, pages, results)
    write_json(context.volatile / TIMING, timing_of(root, material))
    return {"episodes": table["episodes"], "failed_gates": [g["name"] for g in table["gates"] if g["passed"] is False]}
