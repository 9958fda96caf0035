"""Training curves of every checkpoint in the table, from the metrics that training wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.facts.targets import TARGETS
from world_modality.report.forest import LETTER, Panel
from world_modality.report.results import Results
from world_modality.report.svg import WIDTH, axis_label, figure, nice_ticks, polyline, series, tag, text

METRICS = "metrics.jsonl"
POINTS = 150  # per curve: more than a phone has pixels for
TARGET = TARGETS["latents"]
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 58, 12, 26, 42, 236
LEGEND_ROW = 16
CHARTS = {  # title -> what the upright axis measures, metrics
    # apart from the total loss, which only some arms add the world's to
    "Action loss (flow matching)": ("loss", ("flow_loss",)),
    "Total loss": ("loss", ("loss_total",)),
    "Loss of the Prophet": ("loss", ("world_loss",)),
    TARGET.logged_words: (TARGET.logged_unit, (TARGET.logged, f"{TARGET.logged}{TARGET.logged_baseline}")),
    "What the memory does to the actions": ("standard deviations", ("world_action_change",)),
    "Opening of the gates": ("tanh of the gate, mean", ("world_gate",)),
    "What the memory adds, relative to what it is added to": ("ratio of norms", ("world_residual_ratio",)),
    "Entropy of the attention on the memory": ("nats", ("world_attention_entropy",)),
    "Largest weight of the attention on the memory": ("weight, mean", ("world_attention_max",)),
    "Norm of the base policy's gradients": ("norm", ("grad_norm_base",)),
    "Norm of the world modules' gradients": ("norm", ("grad_norm_world",)),
}
STEP_AHEAD = TARGET.logged_words + ", k = {}"  # drawn for the first and the last frame ahead
PERSISTENCE = TARGET.logged_baseline  # of what a prediction that nothing moves would score: data's, not an arm's
BASELINE = "s6"


@dataclass(frozen=True)
class Curve:
    """One line of a chart: ``points`` are (step, value)."""

    column: str
    seed: int
    class_: str
    points: tuple[tuple[float, float], ...]


def curve_panels(results: Results, trainings: Sequence[Path]) -> list[Panel]:
    """One panel per known metric that any training logged; cells that share a checkpoint share its curve."""
    folders = {path.parent.name: path for path in trainings}
    owned = owners(results)
    logs = {key: read_log(folders[key] / METRICS) for key in owned if key in folders}
    panels = []
    for title, (unit, metrics) in (CHARTS | _steps_ahead(logs.values())).items():
        curves = [curve for metric in metrics for curve in _curves(metric, logs, owned)]
        if curves:
            panels.append(Panel(title, chart(curves, title, unit)))
    return panels


def _steps_ahead(logs: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Charts of the first and the last frame ahead, as far as any training predicts."""
    names = {name.removeprefix(f"{TARGET.logged}_") for rows in logs for row in rows for name in row}
    ahead = sorted(int(name) for name in names if name.isdecimal())
    return {
        STEP_AHEAD.format(k): (TARGET.logged_unit, (f"{TARGET.logged}_{k}", f"{TARGET.logged}{PERSISTENCE}_{k}"))
        for k in (ahead[:1] + ahead[1:][-1:])
    }


def _curves(
    metric: str, logs: Mapping[str, Sequence[Mapping[str, Any]]], owned: Mapping[str, tuple[str, int, int]]
) -> Iterator[Curve]:
    """The metric's curve of every training that logged it; a baseline of the data once."""
    for key, rows in logs.items():
        column, seed, index = owned[key]
        points = _thin([(row["step"], row[metric]) for row in rows if _is_number(row.get(metric))])
        if len(points) > 1 and PERSISTENCE in metric:
            yield Curve("persistence", seed, BASELINE, points)
            return
        if len(points) > 1:
            yield Curve(column, seed, series(index), points)


def owners(results: Results) -> dict[str, tuple[str, int, int]]:
    """Key of each checkpoint -> the first column that rolled it out, its seed, and that column's place."""
    found: dict[str, tuple[str, int, int]] = {}
    for index, column in enumerate(results.columns):
        for trial, record in results.records[column].items():
            found.setdefault(record.checkpoint, (column, trial.seed, index))
    return found


def read_log(path: Path) -> list[Mapping[str, Any]]:
    """The logged lines that name a step; a training that logged nothing has no curve."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [row for row in rows if isinstance(row, dict) and _is_number(row.get("step"))]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _thin(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most ``POINTS`` points, each the mean of its neighbours."""
    size = -(-len(points) // POINTS) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple((sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups)


def chart(
    curves: Sequence[Curve], description: str, unit: str, axis: str = "training steps", at: str = "at step"
) -> str:
    """Lines of ``unit`` over ``axis``, each with dashes of its own, so that colours need not tell them apart."""
    rows = _legend_rows(curves)
    top = TOP + LEGEND_ROW * (len(rows) - 1)
    steps = [x for curve in curves for x, _ in curve.points]
    values = [y for curve in curves for _, y in curve.points]
    x_ticks, y_ticks = nice_ticks(0, max(steps), 4), nice_ticks(min(values), max(values), 4)

    def place(step: float, value: float) -> tuple[float, float]:
        across = step / x_ticks[-1]
        up = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * across, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - top) * up

    parts = []
    for tick in y_ticks:
        _, y = place(0, tick)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(text(LEFT - 6, y + 4, f"{tick:g}", anchor="end", class_="tick"))
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        parts.append(text(x, HEIGHT - BOTTOM + 16, f"{tick:g}", anchor="middle", class_="tick"))
    parts.append(axis_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axis))
    parts.append(axis_label(11, (top + HEIGHT - BOTTOM) / 2, unit, upright=True))
    parts += [polyline([place(*point) for point in curve.points], f"curve {curve.class_}") for curve in curves]
    for number, row in enumerate(rows):
        y = 10 + LEGEND_ROW * number
        for x, column, class_ in row:
            parts += [polyline([(x, y), (x + 24, y)], f"curve {class_}"), text(x + 29, y + 4, column)]
    told = "; ".join(_told(curve, at) for curve in curves)
    return figure(HEIGHT, parts, f"{description} over {axis}: {told}")


def _told(curve: Curve, at: str) -> str:
    """Where a curve starts and ends, in words."""
    (_, first), (step, last) = curve.points[0], curve.points[-1]
    return f"{curve.column}, seed {curve.seed}, from {first:.3g} to {last:.3g} {at} {step:g}"


def _legend_rows(curves: Sequence[Curve]) -> list[list[tuple[float, str, str]]]:
    """(x, name, class) of a swatch and a name per column, in as many rows above the plot as they need."""
    rows: list[list[tuple[float, str, str]]] = [[]]
    x = float(LEFT)
    for column, class_ in dict.fromkeys((curve.column, curve.class_) for curve in curves):
        width = max(60.0, 37 + LETTER * len(column))
        if rows[-1] and x + width > WIDTH:
            rows.append([])
            x = float(LEFT)
        rows[-1].append((x, column, class_))
        x += width
    return rows
