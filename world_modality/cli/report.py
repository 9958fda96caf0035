"""`wm report`, `wm compare`, `wm track`: what is there now, as tables, pages and curves. Nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from world_modality.cli.explain import table_lines, unresolved_lines
from world_modality.cli.planning import plan_study
from world_modality.errors import UserError
from world_modality.publishing.notes import notes_of
from world_modality.report.collect import collect
from world_modality.report.comparison import as_data, compare, render_comparison
from world_modality.report.console import console_lines
from world_modality.report.provenance import timing_of
from world_modality.report.record_sets import read_set
from world_modality.report.stage import build_report, write_report
from world_modality.report.trackers import how_to_look
from world_modality.store.files import write_atomically, write_json, writing_for
from world_modality.store.layout import names_folder, so_far_folder
from world_modality.store.stage import TIMING

Tracker = Literal["tensorboard", "wandb"]


def report_so_far(study: Path, root: Path, output: Path | None) -> list[str]:
    """Write the report of whatever is there; the table as lines for a terminal. Runs nothing.

    A sealed report's table is only shown, unless ``output`` asks for files. UserError when the study is not valid.
    """
    planned = plan_study(study, root, lenient=True)
    published = [f"published    {note.named} ({note.what})" for note in notes_of(root, planned.graph.study)]
    if output is None and (sealed := table_lines(root, planned.graph)):
        return [*unresolved_lines(planned), *sealed, *published]
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
    shown = f"report       {folder / 'report.html'}   (opens offline)"
    return [*unresolved_lines(planned), *lines, "", *gap, shown, *published]


def compare_sets(one: Path, two: Path, margin: float, json_file: Path | None) -> str:
    """The comparison as text, and as JSON in ``json_file`` if one is named. UserError as reading and comparing do."""
    if not 0 < margin < 1:
        raise UserError(f"--margin is {margin:g}: give a fraction between 0 and 1, such as 0.05 for 5 points")
    if one.resolve() == two.resolve():
        raise UserError(f"{one} and {two} are the same records: name two sets")
    comparison = compare(read_set(one), read_set(two), margin)
    if json_file is not None:
        text = json.dumps(as_data(comparison), indent=1, ensure_ascii=False, allow_nan=False)
        with writing_for("--json", json_file):
            write_atomically(json_file, (text + "\n").encode())
    return render_comparison(comparison)


def track(study: Path, root: Path, tracker: Tracker, output: Path | None, offline: bool) -> list[str]:
    """Export what is sealed and recorded now; lines for a terminal. UserError where no training is sealed yet."""
    from world_modality.report.trainings import to_tensorboard, to_wandb, tracked_runs

    graph = plan_study(study, root, lenient=True).graph
    material = collect(root, graph)
    labels = {key: stage.label for key, stage in graph.stages.items()}
    runs = tracked_runs(material.trainings, material.results, labels)
    if not runs:
        raise UserError(f"{study} has no finished training yet: run the study first, or look with `wm status`")
    folder = output or names_folder(root, graph.study) / tracker
    with writing_for("--output", folder):
        if tracker == "tensorboard":
            to_tensorboard(runs, folder)
        else:
            to_wandb(runs, graph.study, folder, offline=offline)
    shown = how_to_look(tracker, graph.study, folder, offline=offline)
    return [f"{tracker:<12} {len(runs)} runs: {', '.join(run.name for run in runs)}", f"next         {shown}"]
