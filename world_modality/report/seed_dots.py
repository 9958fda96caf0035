"""What another training run changes: every seed's success, column by column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from world_modality.evidence.outcomes import Outcomes, cell_rates
from world_modality.report.forest import Panel
from world_modality.report.svg import WIDTH, axis_label, figure, nice_ticks, series, shortened, tag, text

ROW = 26
LETTER = 6.6  # widest usual width of a letter
TOP = 8
AXIS = 40
RIGHT = 12
Point = tuple[float, float]


def seed_panel(columns: Mapping[str, Outcomes]) -> Panel | None:
    """A row per column, a dot per training seed, a bar at their mean; None where there is but one seed.

    A dot is a seed's success in percent, the mean over scenes. Dots of one seed are joined, so that crossing lines show
    how much of a difference between columns is the seeds' own.
    """
    means = {name: _means(outcomes) for name, outcomes in columns.items()}
    seeds = sorted({seed for each in means.values() for seed in each})
    if len(seeds) < 2:
        return None
    every = [value for each in means.values() for value in each.values()]
    ticks = nice_ticks(min(every), max(every))
    left = 16 + LETTER * max(len(shortened(name)) for name in columns)
    bottom = TOP + ROW * len(columns)

    def x(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [tag("line", x1=x(tick), x2=x(tick), y1=TOP, y2=bottom, class_="grid") for tick in ticks]
    parts += [text(x(tick), bottom + 15, f"{tick:g}", anchor="middle", class_="tick") for tick in ticks]
    parts.append(axis_label((left + WIDTH - RIGHT) / 2, bottom + 31, "success rate (%)"))
    height = {name: TOP + ROW * (row + 0.5) for row, name in enumerate(columns)}
    for seed in seeds:
        dots = [(x(each[seed]), height[name]) for name, each in means.items() if seed in each]
        parts.append(tag("polyline", points=" ".join(f"{px:.1f},{py:.1f}" for px, py in dots), class_="seed"))
    for index, (name, each) in enumerate(means.items()):
        parts += _row(name, [x(value) for value in each.values()], height[name], left, index)
    told = "; ".join(f"{name} {', '.join(f'{value:.1f}' for value in each.values())}" for name, each in means.items())
    description = f"Success in percent of each training seed ({', '.join(map(str, seeds))}): {told}"
    return Panel("Every training seed, success in percent", figure(bottom + AXIS, parts, description))


def _means(outcomes: Outcomes) -> dict[int, float]:
    """Seed -> mean success over scenes in percent; seeds that lack a task are left out."""
    rates = cell_rates(outcomes)
    return {seed: 100 * float(mean) for seed, mean in zip(rates.seeds, rates.means, strict=True) if not np.isnan(mean)}


def _row(name: str, places: list[float], y: float, left: float, index: int) -> list[str]:
    parts = [text(left - 8, y + 4, shortened(name), anchor="end")]
    if places:
        middle = sum(places) / len(places)
        parts.append(tag("line", x1=middle, x2=middle, y1=y - 9, y2=y + 9, class_=f"interval {series(index)}"))
    return parts + [tag("circle", cx=place, cy=y, r=3.5, class_=f"dot {series(index)}") for place in places]
