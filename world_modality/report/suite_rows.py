"""What a table says of each of several suites, as rows of text and of a CSV file. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from world_modality.report.console import column_title, points_text, rate_text
from world_modality.report.text_grid import grid

HEADER = "suite, all its tasks"


def suite_rate_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """A row per suite, empty for one: its name and a cell per column."""
    rows = []
    for figures in table["suites"]:
        cells = {rate["column"]: rate_text(rate) for rate in figures["rates"]}
        rows.append([figures["suite"], *(cells.get(column["name"], "missing") for column in table["columns"])])
    return rows


def suite_difference_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """A row per suite and difference: what of what, points with interval, paired units."""
    return [
        [
            f"{d['treated']} - {d['control']}, {figures['suite']}",
            f"{points_text(d)} points",
            f"{d['pairs']} paired units",
        ]
        for figures in table["suites"]
        for d in figures["differences"]
    ]


def suite_csv_rows(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of the CSV file: a rate or difference of a suite has no task."""
    for figures in table["suites"]:
        for rate in figures["rates"]:
            yield {"kind": "rate", "suite": figures["suite"], **rate}
        for d in figures["differences"]:
            numbers = {
                name: d[name] for name in ("control", "estimate", "low", "high", "only_control", "scenes", "seeds")
            }
            own = {
                "scope": "checkpoint",
                "primary": False,
                "column": d["treated"],
                "only_column": d["only_treated"],
                "units": d["pairs"],
            }
            yield {"kind": "difference", "suite": figures["suite"], **own, **numbers}


def suite_lines(table: Mapping[str, Any]) -> list[str]:
    """The suites' rates and differences for a terminal; none if there is one suite."""
    rates, differences = suite_rate_rows(table), suite_difference_rows(table)
    if not rates:
        return []
    header = [HEADER, *(column_title(column) for column in table["columns"])]
    return ["", *grid([header, *rates]), *(["", *grid(differences)] if differences else [])]
