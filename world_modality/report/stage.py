"""Stage "report": collected, judged, described and written, of sealed rollouts; and the same of an unfinished study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.evidence.gates import Gate
from world_modality.evidence.plan import Plan
from world_modality.report.claims import judged_cells, plan_of, task_number
from world_modality.report.collect import Material
from world_modality.report.diagnosis import diagnosis_panels, diagnosis_table, letters, neighbours
from world_modality.report.diagnosis import to_markdown as diagnosis_markdown
from world_modality.report.diagnosis_read import read_arms
from world_modality.report.figures import all_figures
from world_modality.report.files import summary_of, to_csv, to_json, to_latex, to_markdown
from world_modality.report.forecast import offline_table, prophet_panels, prophet_table, read_judgements
from world_modality.report.gates import arms_gate, record_gates, same_scenes
from world_modality.report.given import given_table
from world_modality.report.judgement import conditions_of, discordant_rows, other_analyses, task_rows
from world_modality.report.offline_arms import evaluated, evaluations_csv
from world_modality.report.offline_claims import claim_panels, models_table, no_verdict
from world_modality.report.page import figure_files, read_videos, to_html
from world_modality.report.progress import distance_rows, progress_rows
from world_modality.report.prophet_margins import margin_rows, reading, ridge_gate
from world_modality.report.provenance import describe, lineage, timing_of
from world_modality.report.record_files import write_records
from world_modality.report.results import Results, load_results
from world_modality.report.rounding import rounding_gate
from world_modality.report.sealed_plans import Seal, describe_seals, first_start, read_seals, sealing_gate
from world_modality.report.stopping import stopping_table
from world_modality.report.table import build_table, task_names
from world_modality.report.trainings import curve_panels
from world_modality.report.world_tokens import token_grids, tokens_table
from world_modality.store.done import DoneFile
from world_modality.store.files import write_atomically, write_json
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import ReportSpec


def run(spec: ReportSpec, context: StageContext) -> Facts:
    """Write the report: table.md, .tex, .csv and .json, summary.json, report.html, records.parquet and records.csv,
    diagnosis.md of arms with a memory, and offline.csv with the figures of offline evaluations.

    Inputs: "rollout", every cell's rollout; "train", the trainings behind them, and "given", the checkpoints that were
    trained elsewhere; "videos", world "tokens" and "offline" evaluations, if there are any. UserError
    when conditions lack episodes or met other scenes, or the trainings differ in more than their memory: no sealed
    report is made of what has to be made again. `wm report` shows such a study as it is.
    """
    rollouts, trainings, videos, given, tokens, offline = (
        context.inputs.get(role, ()) for role in ("rollout", "train", "videos", "given", "tokens", "offline")
    )
    results, arms = load_results(spec, rollouts), arms_gate(spec.arms, trainings)
    for gate in (same_scenes(results), arms):
        if gate.passed is False:
            raise UserError(f"{gate.detail}.")
    root = rollouts[0].parents[2]
    material = Material(spec, results, arms, rollouts, trainings, videos, given, tokens, offline)
    table, pages = build_report(root, material)
    write_report(context.artifact, pages, results)
    write_json(context.volatile / TIMING, timing_of(root, material))
    return {"episodes": table["episodes"], "failed_gates": [g["name"] for g in table["gates"] if g["passed"] is False]}


def build_report(root: Path, material: Material) -> tuple[dict[str, Any], dict[str, str]]:
    """The table, and the text of every file by its name. ``root`` is the results tree with the study's sealed plans."""
    spec, results = material.spec, material.results
    sealed = lineage(material.artifacts)
    plan = plan_of(spec)
    seals = read_seals(root, spec.study)
    judgements = read_judgements(results, material.trainings)
    read = reading(judgements, {each.name: each.trained for each in spec.conditions})
    gates = [*_gates(root, material, sealed, plan, seals), *filter(None, [ridge_gate(read)])]
    models = evaluated(spec.arms, material.offline)
    judged_at = first_start(StageFolder(artifact.parent) for artifact in material.offline)
    conditions, names = conditions_of(spec, results), task_names(spec, results)
    places = {task_number(spec, *place): place for place in results.places}
    built = build_table(spec, results, plan, gates)
    table = {
        **built,
        "stopping": stopping_table(plan, built["judgement"]),
        "progress": progress_rows(spec, plan.claims, results) if plan else [],
        "distance": distance_rows(spec, plan.claims, results) if plan else [],
        "task_differences": task_rows(plan, conditions, names, places) if plan else [],
        "other_analyses": other_analyses(plan, conditions) if plan else [],
        "discordant": discordant_rows(plan.claims, results) if plan else [],
        "missing": [dict(cell) for cell in material.missing],
        "plan": describe_seals(plan, seals) if plan else None,
        "prophet": prophet_table(judgements),
        "prophet_margins": margin_rows(read),
        "offline": offline_table(results, material.trainings),
        "given": given_table(spec.arms, material.given),
        "tokens": tokens_table(material.tokens),
        "models": models_table(models, spec.evidence, no_verdict(plan, gates, seals, judged_at)),
        **describe(sealed, dict(spec.labels)),
    }
    arms = read_arms(spec, material.trainings)
    table["diagnosis"] = diagnosis_table(letters(arms, table["judgement"]))
    figures = {
        **all_figures(table, plan, conditions, names),
        "prophets": prophet_panels(judgements),
        "curves": curve_panels(results, material.trainings),
        "models": claim_panels(table["models"]["claims"]) if models else [],
        "diagnosis": diagnosis_panels(arms),
    }
    return table, {
        "table.md": to_markdown(table),
        "table.tex": to_latex(table),
        "table.csv": to_csv(table),
        "table.json": to_json(table),
        "summary.json": to_json(summary_of(table)),
        "report.html": to_html(
            table,
            figures,
            read_videos(material.videos, _labels(spec, sealed)),
            token_grids(material.tokens),
            neighbours(arms),
        ),
        **({"diagnosis.md": diagnosis_markdown(spec.study, table["diagnosis"])} if arms else {}),
        **({"offline.csv": evaluations_csv(models)} if models else {}),
        **figure_files(figures),
    }


def _gates(
    root: Path, material: Material, sealed: Sequence[DoneFile], plan: Plan | None, seals: Sequence[Seal]
) -> list[Gate]:
    """All gates but that of predictions, in the order they are shown."""
    spec = material.spec
    gates = [material.arms, *record_gates(material.results, spec.arms), rounding_gate(root, sealed)]
    if plan is not None:
        started = first_start(stage_folder(root, "rollout", cell.rollout) for cell in judged_cells(spec))
        gates.append(sealing_gate(plan, seals, started))
    return gates


def write_report(folder: Path, pages: Mapping[str, str], results: Results) -> None:
    """Write every file, each complete or as it was, and the records that they rest on."""
    write_records(results, folder)
    for name, content in pages.items():
        write_atomically(folder / name, content.encode())


def _labels(spec: ReportSpec, sealed: Sequence[DoneFile]) -> dict[str, tuple[str, int]]:
    """Condition and seed of every stage of videos by its key, through the records that it was made from."""
    conditions = {cell.rollout: (cell.condition, cell.seed) for cell in spec.cells}
    sources = {record.key: record.upstream for record in sealed if record.stage == "videos"}
    return {
        key: next(conditions[source.key] for source in upstream if source.role == "records")
        for key, upstream in sources.items()
    }
