"""The table as LaTeX, to be \\input into a paper that uses booktabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.report.console import answer, column_title, points_text, rate_rows, sentences, verdicts

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def to_latex(table: Mapping[str, Any]) -> str:
    """Two tables: rates by task and column, and every claim in the scope it is decided in. Needs booktabs alone.

    The caption says what the rates are of: the label names embedded assets, and the answer may be that there is none.
    """
    percent = f"{100 * table['confidence']:.4g}"
    columns = [column_title(column) for column in table["columns"]]
    *tasks, overall = rate_rows(table)
    caption = f"{answer(table).removesuffix('.')}. Successes/units with {percent}% intervals in percent."
    caption = " ".join(filter(None, [caption, table["seeds_note"]]))
    rates = _tabular(["task", *columns], [*tasks, overall], rule_before=len(tasks))
    parts = [f"% study {table['study']}", _floating(rates, caption, f"tab:{table['study']}")]
    decided = [each for each in verdicts(table) if each["primary"]]
    if decided:
        rows = [_claim_cells(each) for each in decided]
        header = ["claim", "scope", "points [interval]", "confidence", "verdict", "units per arm"]
        told = " ".join(sentences(table)) or answer(table)
        parts.append(_floating(_tabular(header, rows), told, f"tab:{table['study']}-claims"))
    return "\n\n".join(parts) + "\n"


def _claim_cells(verdict: Mapping[str, Any]) -> list[str]:
    """A verdict's row; each has a confidence of its own, as looks before the last one share what there is."""
    confidence = "" if verdict["low"] is None else f"{100 * verdict['confidence']:.4g}%"
    cells = [verdict["claim"], verdict["scope"], points_text(verdict), confidence, verdict["word"]]
    return [*cells, str(verdict["units"])]


def escape(text: str) -> str:
    """Plain text for LaTeX; ``<`` and ``>`` too, which old font encodings turn into other signs."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _tabular(header: Sequence[str], rows: Sequence[Sequence[str]], rule_before: int | None = None) -> str:
    lines = [r"\begin{tabular}{@{}l" + "l" * (len(header) - 1) + r"@{}}", r"\toprule", _row(header), r"\midrule"]
    for number, row in enumerate(rows):
        if number == rule_before and number:
            lines.append(r"\midrule")
        lines.append(_row(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def _floating(tabular: str, caption: str, label: str) -> str:
    parts = [r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\label{{{label}}}"]
    return "\n".join([*parts, tabular, r"\end{table}"])
