"""Two columns side by side, scene by scene: who succeeded where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from world_modality.evidence.outcomes import Ints, Outcomes, clusters_of, common_units, scenes
from world_modality.evidence.plan import Plan
from world_modality.report.forest import Panel
from world_modality.report.svg import WIDTH, figure, shortened, tag, text

LETTER = 6.4  # widest usual width of a letter of the class "tick"
LINE = 14
TOP = 6
LEGEND = 34  # room for the two lines of the key


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs of units by their two outcomes."""

    both: int
    only_treated: int
    only_control: int
    neither: int


def paired_counts(treated: Outcomes, control: Outcomes) -> Counts:
    """The two-by-two table. ValueError unless both hold the same units."""
    if not treated.same_units(control):
        raise ValueError("treated and control must hold the same units")
    one, two = treated.success, control.success
    cells = (one & two, one & ~two, ~one & two, ~one & ~two)
    return Counts(*(int(cell.sum()) for cell in cells))


def matrix_panels(plan: Plan, columns: Mapping[str, Outcomes], tasks: Mapping[int, str]) -> list[Panel]:
    """The matrix of every claim of the plan whose columns share units; ``tasks`` by their number in the plan."""
    panels = []
    for claim in plan.claims:
        if claim.treated in columns and claim.control in columns:
            pair = common_units(columns[claim.treated], columns[claim.control])
            if len(pair[0]):
                panels.append(matrix_panel((claim.treated, claim.control), *pair, tasks))
    return panels


def matrix_panel(names: tuple[str, str], treated: Outcomes, control: Outcomes, tasks: Mapping[int, str]) -> Panel:
    """A row per task, a mark per scene in the order of its initial states, by number.

    A scene's units (seeds, repeats) share a mark: it points to the column that succeeded more often, or
    says what both did in most of its units. ``tasks`` names
    the rows. ValueError unless both columns hold the same units, and at least one.
    """
    clusters = clusters_of(treated, control)
    successes = _control_successes(control)
    left = 8 + LETTER * max(len(shortened(tasks[task])) for task in treated.tasks)
    widest = max(int((clusters.task == task).sum()) for task in treated.tasks)
    step = min(LINE - 2.0, (WIDTH - left - 4) / widest)
    parts, rows, halves = [], list(treated.tasks), False
    for row, task in enumerate(rows):
        y = TOP + LINE * (row + 0.5)
        parts.append(text(left - 6, y + 4, shortened(tasks[task]), anchor="end", class_="tick"))
        for place, index in enumerate(np.flatnonzero(clusters.task == task)):
            gap, units = int(clusters.total[index]), int(clusters.units[index])
            kind = _kind(gap, int(successes[index]), units)
            halves = halves or kind == "half"
            parts.append(_mark(kind, left + step * (place + 0.5), y, step, abs(gap) / units or 1.0))
    bottom = TOP + LINE * len(rows)
    parts += _key(names, bottom, halves)
    counts = paired_counts(treated, control)
    told = (
        f"{names[0]} and {names[1]} on the same units: both succeed {counts.both}, only {names[0]} "
        f"{counts.only_treated}, only {names[1]} {counts.only_control}, neither {counts.neither}"
    )
    return Panel(f"{names[0]} and {names[1]}, scene by scene", figure(bottom + LEGEND + LINE * halves, parts, told))


def _control_successes(control: Outcomes) -> Ints:
    """Successes of the control by scene, in the order of the clusters; int [scenes]."""
    task, _, index = scenes(control)
    return np.bincount(index[control.success], minlength=task.size).astype(np.int64)


def _kind(gap: int, successes: int, units: int) -> str:
    """Which mark a scene gets: up, down, or by what both columns did in more than half of its units, if they did."""
    if gap:
        return "up" if gap > 0 else "down"
    if 2 * successes == units:
        return "half"
    return "both" if 2 * successes > units else "neither"


def _mark(kind: str, x: float, y: float, step: float, strength: float) -> str:
    """A mark at its middle: shape and colour say the same. ``strength`` in (0, 1] is the share of units that differ."""
    r = 0.42 * step
    if kind in ("up", "down"):
        sign = -1 if kind == "up" else 1
        corners = [(x - r, y - sign * r), (x + r, y - sign * r), (x, y + sign * r)]
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
        return tag("polygon", points=points, class_=f"scene {kind}", fill_opacity=f"{0.35 + 0.65 * strength:.2f}")
    half = 0.6 * r
    return tag("rect", x=x - half, y=y - half, width=2 * half, height=2 * half, class_=f"scene {kind}")


def _key(names: tuple[str, str], bottom: float, halves: bool) -> list[str]:
    """What the marks mean; that of halves only where there is one, as it takes scenes of several units."""
    words = (("up", f"{names[0]} more often"), ("down", f"{names[1]} more often"))
    same = (("both", "both succeed"), ("neither", "both fail"))
    more = ((("half", "both succeed half of the time"),),) if halves else ()
    parts = []
    for row, pair in enumerate((words, same, *more)):
        y = bottom + 10 + LINE * row
        for column, (kind, said) in enumerate(pair):
            x = 10 + column * WIDTH / 2
            parts += [_mark(kind, x, y, 10, 1.0), text(x + 9, y + 4, said, class_="tick")]
    return parts
