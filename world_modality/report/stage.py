"""Stage "report": the comparison table as Markdown, CSV, JSON and a page, from sealed rollouts."""

from __future__ import annotations

from collections.abc import Sequence

from world_modality.report.arms import check_arms
from world_modality.report.curves import curve_panels
from world_modality.report.files import to_csv, to_json, to_markdown
from world_modality.report.films import read_films
from world_modality.report.offline import offline_table
from world_modality.report.page import to_html
from world_modality.report.prophet import prophet_panels, prophet_table, read_judgements
from world_modality.report.provenance import describe, lineage
from world_modality.report.results import load_results
from world_modality.report.table import build_table
from world_modality.store.files import write_atomically
from world_modality.store.record import Record
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import ReportSpec


def run(spec: ReportSpec, context: StageContext) -> Facts:
    """Write table.md, table.csv, table.json and report.html.

    Inputs: "rollout", every cell's rollout; "train", the trainings behind them; "films", if there are any. UserError
    when the columns do not hold the same units, or the trainings differ in more than their memory.
    """
    rollouts, trainings, films = (context.inputs.get(role, ()) for role in ("rollout", "train", "films"))
    results = load_results(spec, rollouts)
    sealed = lineage([*rollouts, *trainings, *films])
    judgements = read_judgements(results, trainings)
    table = {
        **build_table(spec, results, check_arms(trainings)),
        "prophet": prophet_table(judgements),
        "offline": offline_table(results, trainings),
        **describe(sealed),
    }
    pages = {
        "table.md": to_markdown(table),
        "table.csv": to_csv(table),
        "table.json": to_json(table),
        "report.html": to_html(
            table,
            curve_panels(results, trainings),
            prophet_panels(judgements),
            read_films(films, _labels(spec, sealed)),
        ),
    }
    for name, content in pages.items():
        write_atomically(context.artifact / name, content.encode())
    failed = [check["name"] for check in table["checks"] if check["passed"] is False]
    return {"episodes": table["episodes"], "failed_checks": failed}


def _labels(spec: ReportSpec, sealed: Sequence[Record]) -> dict[str, str]:
    """Column and seed of every films stage by its key, through the records that it was made from."""
    columns = {cell.rollout: f"{cell.column}/{cell.seed}" for cell in spec.cells}
    sources = {record.key: record.upstream for record in sealed if record.stage == "films"}
    return {
        key: next(columns[source.key] for source in upstream if source.role == "records")
        for key, upstream in sources.items()
    }
