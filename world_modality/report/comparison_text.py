"""A comparison for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.wording import sentence
from world_modality.report.comparison import Comparison, as_data
from world_modality.report.console import OVERALL, p_told, points_text, rate_text
from world_modality.report.text_grid import grid


def render_comparison(comparison: Comparison) -> str:
    """Rates by task, the differences, the sentences in both scopes, warnings; no trailing newline."""
    data = as_data(comparison)
    parts = [", ".join(data["suites"]), *grid(_rates(data))]
    if comparison.unpaired is not None:
        found = data["unpaired"]
        told = "" if found["p"] is None else f", Fisher's {p_told(found['p'])}"
        how = "not paired, mean over tasks" if found["stratified"] else "not paired"
        parts += ["", f"{_difference(data)}  {points_text(found)} points  {how}{told}"]
    for told_once in dict.fromkeys(sentence(verdict) for verdict in comparison.verdicts):
        parts += ["", told_once]
    return "\n".join([*parts, *(["", *(f"note: {each}" for each in data["warnings"])] if data["warnings"] else [])])


def _difference(data: Mapping[str, Any]) -> str:
    return " - ".join(data["sets"])


def _rates(data: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """A header, a row per task, and all tasks; with the paired difference of each where there is one."""
    names = list(dict.fromkeys(rate["task"] for rate in data["rates"] if rate["task"] is not None))
    cells = {(rate["set"], rate["task"]): rate_text(rate) for rate in data["rates"]}
    gaps = {each["task"]: f"{points_text(each)}, {p_told(each['p_holm'])}" for each in data["tasks"]}
    header = ["", *data["sets"], *([f"{_difference(data)}, p by Holm"] if gaps else [])]
    rows = [[name or OVERALL, *(cells.get((each, name), "") for each in data["sets"])] for name in (*names, None)]
    return [header, *([*row, *([gaps.get(row[0], "")] if gaps else [])] for row in rows)]
