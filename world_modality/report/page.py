"""The report as one HTML file that needs no network: style, figures and tables inline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from world_modality.report.console import column_title, headline, points_text, rate_rows
from world_modality.report.files import cost_rows, mark_word
from world_modality.report.films import Film
from world_modality.report.forest import Panel, difference_panel, rate_panels
from world_modality.report.offline import offline_rows
from world_modality.report.suite_rows import HEADER, suite_difference_rows, suite_rate_rows


def to_html(table: Mapping[str, Any], curves: Sequence[Panel], prophets: Sequence[Panel], films: Sequence[Film]) -> str:
    """The page. Every text of the study is escaped; figures are SVG made here."""
    environment = Environment(
        loader=PackageLoader("world_modality.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("report.html.j2").render(
        table=table,
        headline=headline(table),
        titles=[column_title(column) for column in table["columns"]],
        rows=rate_rows(table),
        differences=[{**d, "points": points_text(d), "reading": reading(d)} for d in table["differences"]],
        suite_header=HEADER,
        suite_rates=suite_rate_rows(table),
        suite_differences=suite_difference_rows(table),
        rates=_drawn(rate_panels(table)),
        difference=_drawn([difference_panel(table)] if table["differences"] else []),
        curves=_drawn(curves),
        prophets=_drawn(prophets),
        films=films,
        offline=offline_rows(table["offline"]) if table["offline"] else [],
        costs=cost_rows(table),
        mark_word=mark_word,
    )
    return page


def reading(difference: Mapping[str, Any]) -> str:
    """What the interval says and no more."""
    if difference["only_treated"] == difference["only_control"] == 0:
        return "no unit differs"
    if difference["low"] > 0:
        return "above zero on these units"
    if difference["high"] < 0:
        return "below zero on these units"
    return "not distinguishable from zero"


def _drawn(panels: Sequence[Panel]) -> list[dict[str, object]]:
    """Panels whose SVG the template may insert as it is."""
    return [{"title": panel.title, "svg": Markup(panel.svg)} for panel in panels]
