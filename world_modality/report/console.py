"""The table as plain text: for the end of a run, and for `wm report`. Imports nothing heavy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from world_modality.evidence.points import points
from world_modality.report.text import (
    ROBUSTNESS_HEADER,
    SCOPES,
    SUITE_HEADER,
    answer_text,
    basis,
    condition_title,
    detectable_text,
    grid,
    points_text,
    rate_rows,
    robustness_rows,
    stopping_line,
    suite_difference_rows,
    suite_rate_rows,
    verdict_word,
    verdicts,
    why_unknown,
)

WIDTH = 140  # characters that a sentence is wrapped at


def console_lines(table: Mapping[str, Any]) -> list[str]:
    """Verdict, rates, every decided claim with what could be found, failed gates, suites: a line each."""
    titles = [condition_title(condition) for condition in table["conditions"]]
    told = f"{verdict_word(table).upper()}  {answer_text(table)}"
    lines = [f"{table['study']}: {table['label']}, {basis(table)}", *textwrap.wrap(told, WIDTH)]
    lines += [*filter(None, [stopping_line(table)]), ""]
    lines += [*grid([["", *titles], *rate_rows(table, intervals=False)]), *filter(None, [table["seeds_note"]])]
    if differences := [_difference(each) for each in verdicts(table) if each["primary"]]:
        lines += ["", *grid(differences)]
    return [*lines, "", *_gates(table), *_suites(table)]


def _difference(verdict: Mapping[str, Any]) -> list[str]:
    """A claim's row: what, by how much, the verdict, about what it speaks, and why no more can be said."""
    claim = verdict["claim"]
    if verdict["identical"]:
        return [claim, "equal in every episode", verdict["word"], SCOPES[verdict["scope"]], ""]
    if verdict["low"] is None:
        gap = f"{points(verdict['estimate'], signed=True)} points"
    else:
        gap = f"{points_text(verdict)} points"
    found = detectable_text(verdict)
    note = why_unknown(verdict) or (f"could find {found}" if found else "")
    return [claim, gap, verdict["word"], SCOPES[verdict["scope"]], note]


def _gates(table: Mapping[str, Any]) -> list[str]:
    """How many gates passed, and every one that did not."""
    gates = table["gates"]
    asked = [gate for gate in gates if gate["passed"] is not None]
    passed = sum(gate["passed"] for gate in asked)
    failed = [f"FAILED  {gate['name']}: {gate['detail']}" for gate in asked if not gate["passed"]]
    open_gates = [f"--      {gate['name']}: {gate['detail']}" for gate in gates if gate["passed"] is None]
    return [f"gates   {passed} of {len(asked)} passed", *failed, *open_gates]


def _suites(table: Mapping[str, Any]) -> list[str]:
    """The suites' rates and differences; none if there is one suite."""
    rates, differences, perturbed = suite_rate_rows(table), suite_difference_rows(table), robustness_rows(table)
    if not rates:
        return []
    header = [SUITE_HEADER, *(condition_title(condition) for condition in table["conditions"])]
    robustness = ["", *grid([ROBUSTNESS_HEADER, *perturbed])] if perturbed else []
    return ["", *grid([header, *rates]), *(["", *grid(differences)] if differences else []), *robustness]
