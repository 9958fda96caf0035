"""`wm report`: the report of a study as it is now, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from world_modality.cli.explain import unresolved_lines
from world_modality.cli.planning import plan_study
from world_modality.cli.table import table_lines
from world_modality.report.collect import collect
from world_modality.report.console import console_lines
from world_modality.report.stage import build_report, write_report
from world_modality.report.timing import timing_of
from world_modality.store.files import write_json, writing_for
from world_modality.store.layout import so_far_folder
from world_modality.store.stage import TIMING


def report_so_far(study: Path, root: Path, output: Path | None) -> list[str]:
    """Write the report of whatever is there; the table as lines for a terminal. Runs nothing.

    A sealed report's table is only shown, unless ``output`` asks for files. UserError when the study is not valid.
    """
    planned = plan_study(study, root, lenient=True)
    if output is None and (sealed := table_lines(root, planned.graph)):
        return [*unresolved_lines(planned), *sealed]
    folder = output or so_far_folder(root, planned.graph.study)
    material = collect(root, planned.graph)
    table, pages = build_report(root, material)
    with writing_for("--output", folder):
        write_report(folder, pages, material.results)
        write_json(folder / TIMING, timing_of(root, material))
    lacking = sum(cell["planned"] - cell["episodes"] for cell in material.missing)
    cells = f"{len(material.missing)} cell{'s' if len(material.missing) != 1 else ''}"
    gap = [f"missing      {lacking} episodes in {cells}"] if lacking else []
    lines = console_lines(table)
    return [*unresolved_lines(planned), *lines, "", *gap, f"report       {folder / 'report.html'}   (opens offline)"]
