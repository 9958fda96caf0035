"""The report as one HTML file that needs no network: style, figures and tables inline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from world_modality.report.by_task import TASK_HEADER, task_table
from world_modality.report.console import (
    MARKS,
    answer,
    column_title,
    detectable_text,
    points_text,
    rate_rows,
    rule,
    sentences,
    verdicts,
)
from world_modality.report.files import deviations, mark_word, missing_row, plan_line
from world_modality.report.films import Filmed
from world_modality.report.forest import Panel
from world_modality.report.offline import offline_rows
from world_modality.report.suite_rows import HEADER, suite_difference_rows, suite_rate_rows

Sections = Mapping[str, Sequence[Panel]]
"""Figures by the section of the page that shows them: the names of ``SECTIONS``, each perhaps without any."""

SECTIONS = {
    "rates": "Success rates",
    "differences": "Differences",
    "tasks": "Differences task by task",
    "seeds": "Training seeds",
    "scenes": "Scene by scene",
    "curves": "Training",
    "prophets": "Prophet",
}


def environment() -> Environment:
    """Of the templates beside this module; every text is escaped."""
    return Environment(
        loader=PackageLoader("world_modality.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def to_html(table: Mapping[str, Any], figures: Sections, films: Sequence[Filmed]) -> str:
    """The page. Every text of the study is escaped; figures are SVG made here."""
    page: str = (
        environment()
        .get_template("report.html.j2")
        .render(
            table=table,
            answer=answer(table).removeprefix(f"{table['label']}: "),
            sentences=sentences(table),
            titles=[column_title(column) for column in table["columns"]],
            rows=rate_rows(table),
            suite_header=HEADER,
            suite_rates=suite_rate_rows(table),
            suite_differences=suite_difference_rows(table),
            verdicts=[
                {**each, "points": points_text(each), "smallest": detectable_text(each)} for each in verdicts(table)
            ],
            tasks=task_table(table["task_differences"]),
            task_header=TASK_HEADER,
            others=[{**each, "points": points_text(each)} for each in table["other_analyses"]],
            missing=[missing_row(cell) for cell in table["missing"]],
            rule=rule(table),
            plan_line=plan_line(table["plan"]) if table["plan"] else "",
            deviations=deviations(table["plan"]) if table["plan"] else [],
            figures={name: _drawn(figures.get(name, ())) for name in SECTIONS},
            films=films,
            offline=offline_rows(table["offline"]) if table["offline"] else [],
            mark_word=mark_word,
            rule_word=MARKS,
        )
    )
    return page


def _drawn(panels: Sequence[Panel]) -> list[dict[str, object]]:
    """Panels whose SVG the template may insert as it is."""
    return [{"title": panel.title, "svg": Markup(panel.svg)} for panel in panels]
