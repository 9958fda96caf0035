"""The whole report of a study, complete or not: one table, and the files made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.evidence.gates import Gate
from world_modality.report.by_task import discordant_rows, task_rows
from world_modality.report.checks import record_gates
from world_modality.report.curves import curve_panels
from world_modality.report.figure_files import figure_files
from world_modality.report.files import to_csv, to_json, to_markdown
from world_modality.report.films import read_films
from world_modality.report.forest import difference_panels, rate_panels, task_panels
from world_modality.report.judged import columns_of
from world_modality.report.latex import to_latex
from world_modality.report.offline import offline_table
from world_modality.report.other_analyses import other_analyses
from world_modality.report.outcome_matrix import matrix_panels
from world_modality.report.page import to_html
from world_modality.report.plan_of import plan_of, task_number
from world_modality.report.prophet import prophet_panels, prophet_table, read_judgements
from world_modality.report.provenance import describe, lineage
from world_modality.report.record_files import write_records
from world_modality.report.results import Results
from world_modality.report.seals import describe_seals, first_start, read_seals, sealing_gate
from world_modality.report.seed_dots import seed_panel
from world_modality.report.summary import summary_of
from world_modality.report.table import build_table, task_names
from world_modality.store.files import write_atomically
from world_modality.store.layout import stage_folder
from world_modality.store.record import Record
from world_modality.study.specs import ReportSpec


@dataclass(frozen=True)
class Material:
    """What a report is made of: a study's records, and the sealed artifacts around them."""

    spec: ReportSpec
    results: Results
    arms: Gate  # whether the trainings may be compared
    rollouts: Sequence[Path]
    trainings: Sequence[Path]
    films: Sequence[Path]
    missing: Sequence[Mapping[str, Any]] = ()  # cells that lack units, as ``so_far.py`` finds them
    newest: str = ""  # when the newest outcome was recorded, UTC, ISO 8601; "" when all rollouts are sealed

    @property
    def artifacts(self) -> tuple[Path, ...]:
        """Of every stage that the report reads."""
        return (*self.rollouts, *self.trainings, *self.films)


def build_report(root: Path, material: Material) -> tuple[dict[str, Any], dict[str, str]]:
    """The table, and the text of every file by its name. ``root`` is the results tree with the study's sealed plans."""
    spec, results = material.spec, material.results
    sealed = lineage(material.artifacts)
    plan, gates = plan_of(spec), [material.arms, *record_gates(results)]
    seals = read_seals(root, spec.study)
    if plan is not None:
        started = first_start(stage_folder(root, "rollout", cell.rollout) for cell in spec.cells)
        gates.append(sealing_gate(plan, seals, started))
    judgements = read_judgements(results, material.trainings)
    outcomes = columns_of(spec, results)
    names = task_names(spec, results)
    places = {task_number(spec, *place): place for place in results.places}
    table = {
        **build_table(spec, results, plan, gates),
        "task_differences": task_rows(plan, outcomes, names, places) if plan else [],
        "other_analyses": other_analyses(plan, outcomes) if plan else [],
        "discordant": discordant_rows(plan.claims, results) if plan else [],
        "missing": [dict(cell) for cell in material.missing],
        "plan": describe_seals(plan, seals) if plan else None,
        "prophet": prophet_table(judgements),
        "offline": offline_table(results, material.trainings),
        **describe(sealed, dict(spec.labels)),
    }
    figures = {
        "rates": rate_panels(table),
        "differences": difference_panels(table),
        "tasks": task_panels(table),
        "seeds": [panel for panel in [seed_panel(outcomes)] if panel],
        "scenes": matrix_panels(plan, outcomes, names) if plan else [],
        "curves": curve_panels(results, material.trainings),
        "prophets": prophet_panels(judgements),
    }
    films = read_films(material.films, _labels(spec, sealed))
    return table, {
        "table.md": to_markdown(table),
        "table.tex": to_latex(table),
        "table.csv": to_csv(table),
        "table.json": to_json(table),
        "summary.json": to_json(summary_of(table)),
        "report.html": to_html(table, figures, films),
        **figure_files(figures),
    }


def write_report(folder: Path, pages: Mapping[str, str], results: Results) -> None:
    """Write every file, each complete or as it was, and the records that they rest on."""
    write_records(results, folder)
    for name, content in pages.items():
        write_atomically(folder / name, content.encode())


def _labels(spec: ReportSpec, sealed: Sequence[Record]) -> dict[str, tuple[str, int]]:
    """Column and seed of every films stage by its key, through the records that it was made from."""
    columns = {cell.rollout: (cell.column, cell.seed) for cell in spec.cells}
    sources = {record.key: record.upstream for record in sealed if record.stage == "films"}
    return {
        key: next(columns[source.key] for source in upstream if source.role == "records")
        for key, upstream in sources.items()
    }
