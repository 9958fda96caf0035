"""Offline evaluations of a study's arms: every arm's figures over all its seeds, for table.json, pages and tables.

Figures are over all seeds of an arm. The checkpoints met the same frames, so an interval is over episodes: it speaks of
these checkpoints on other episodes, and of no other training.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from world_modality.facts.offline import CORRUPTIONS
from world_modality.offline.result import (
    ANY,
    CLEAN,
    LIMITS,
    EpisodeFigures,
    Estimate,
    Floats,
    Limits,
    OfflineResult,
    estimate,
    read_episodes,
    read_result,
)
from world_modality.report.offline_models import (
    FORECASTS,
    LATENT_FIGURES,
    forecast_note,
    judged_on,
    left_out_lines,
    number,
    percent,
)
from world_modality.study.specs import ReportArm

ERRORS_HEADER = ["arm", "model", "error of each seed", "all seeds [interval]", "first step", "last step"]
CORRUPTED_HEADER = ["arm", "in place of the world", "change of the error, percent", "change of top-1, points"]
CSV_FIELDS = ("arm", "seed", "model", "run", "figure", "step", "dimension", "value", "low", "high")
ERROR = "action_error"
TITLE = "Offline evaluation of the models"
NOTE = (
    "Errors are mean squared errors of the actions of a chunk, in units of each dimension's standard deviation, over "
    "those inside the episode. Figures are over all seeds of an arm; intervals are over episodes: they speak of these "
    "checkpoints. A corruption is drawn for a frame, and is the same for every checkpoint."
)


@dataclass(frozen=True)
class Evaluated:
    """One checkpoint's evaluation."""

    arm: str
    seed: int
    result: OfflineResult
    sums: Mapping[tuple[str, str], EpisodeFigures]
    """By run and figure."""
    against: str = ""
    """The arm's control; "" if it has none."""


def evaluated(arms: Sequence[ReportArm], artifacts: Sequence[Path]) -> list[Evaluated]:
    """The evaluations of the arms' trainings, arm by arm; ``artifacts`` are sealed ones of offline stages.

    UserError if one is damaged.
    """
    found = {}
    for folder in artifacts:
        result = read_result(folder)
        found[result.training] = (result, read_episodes(folder))
    return [
        Evaluated(arm.name, found[key][0].training_seed, *found[key], against=arm.against)
        for arm in arms
        for key in arm.trainings
        if key in found
    ]


def by_arm(found: Sequence[Evaluated]) -> dict[str, list[Evaluated]]:
    """The evaluations of each arm."""
    arms: dict[str, list[Evaluated]] = {}
    for each in found:
        arms.setdefault(each.arm, []).append(each)
    return arms


def arms_table(found: Sequence[Evaluated], confidence: float) -> list[dict[str, Any]]:
    """For table.json: the figures of every arm."""
    return [_arm(name, own, confidence) for name, own in by_arm(found).items()]


def _arm(name: str, own: Sequence[Evaluated], confidence: float) -> dict[str, Any]:
    first = own[0].result

    def over_seeds(figure: str, run: str = CLEAN) -> dict[str, Any]:
        """A figure per step and over all of them."""
        pairs = [each.sums[run, figure] for each in own]
        above, below = (np.stack([getattr(pair, part) for pair in pairs]).sum(axis=0) for part in ("above", "below"))
        limits = LIMITS[figure]
        steps = [_estimate(above[:, k], below[:, k], confidence, limits) for k in range(above.shape[1])]
        return {"steps": steps, "all": _estimate(above, below, confidence, limits)}

    forecasts = FORECASTS if first.tokens else LATENT_FIGURES if first.latents else {}
    return {
        "arm": name,
        "model": first.name,
        "seeds": [each.seed for each in own],
        "errors": [each.result.actions.all.value for each in own],
        "error": over_seeds("action"),
        "forecasts": {figure: over_seeds(figure) for figure in forecasts},
        "corrupted": [_corrupted(each.name, own, confidence) for each in first.interventions],
        "left_out": list(left_out_lines(first, {CORRUPTIONS[each.name].of for each in first.interventions})),
        "judged_on": judged_on(first),
        "held_out": first.held_out,
        "note": forecast_note(first),
    }


def _corrupted(name: str, own: Sequence[Evaluated], confidence: float) -> dict[str, Any]:
    """What a corruption changes: the error as a share of the error without it, and how often tokens are foreseen."""

    def change(figure: str, *, relative: bool) -> dict[str, Any]:
        pairs = [(each.sums[name, figure], each.sums[CLEAN, figure]) for each in own]
        gap = np.stack([other.above - clean.above for other, clean in pairs]).sum(axis=0)
        below = np.stack([clean.above if relative else clean.below for _, clean in pairs]).sum(axis=0)
        return _estimate(gap, below, confidence)

    top1 = change("top1", relative=False) if own[0].result.tokens else None
    return {"name": name, "error": change("action", relative=True), "top1": top1}


def _estimate(above: Floats, below: Floats, confidence: float, limits: Limits = ANY) -> dict[str, Any]:
    """For table.json, to six digits, which no machine disputes."""
    return estimate(above, below, confidence, limits, digits=6).model_dump()


def _told(data: Mapping[str, Any]) -> Estimate:
    return Estimate(**data)


def error_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Below ``ERRORS_HEADER``: the action errors of each arm, in normalised units."""
    return [
        [
            row["arm"],
            row["model"],
            ", ".join("-" if each is None else f"{each:.4g}" for each in row["errors"]),
            number(_told(row["error"]["all"])),
            number(_told(row["error"]["steps"][0])),
            number(_told(row["error"]["steps"][-1])),
        ]
        for row in found["arms"]
    ]


def forecast_grids(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """What is foreseen, a header, and rows: of next tokens, and of next latents, as far as any arm foresees them."""
    for title, words, told in (
        ("next token right, percent", FORECASTS, percent),
        ("next latents, persistence has 0", LATENT_FIGURES, number),
    ):
        rows = [
            [f"{row['arm']}: {words[name]}", *(told(_told(each)) for each in [*values["steps"], values["all"]])]
            for row in found["arms"]
            for name, values in row["forecasts"].items()
            if name in words
        ]
        if rows:
            width = max(map(len, rows))
            header = [title, *(f"k={k}" for k in range(1, width - 1)), "all"]
            yield title, header, [[*row[:-1], *[""] * (width - len(row)), row[-1]] for row in rows]


def corrupted_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Below ``CORRUPTED_HEADER``: what every corruption does to every arm that reads the world."""
    return [
        [
            row["arm"],
            CORRUPTIONS[each["name"]].put,
            percent(_told(each["error"]), signed=True),
            "" if each["top1"] is None else percent(_told(each["top1"]), signed=True),
        ]
        for row in found["arms"]
        for each in row["corrupted"]
    ]


def left_out(found: Mapping[str, Any]) -> list[str]:
    """What was not corrupted in arms that read some of it, and why."""
    return [f"{row['arm']}: {line}." for row in found["arms"] for line in row["left_out"]]


def basis_lines(found: Mapping[str, Any]) -> list[str]:
    """What the figures rest on, a sentence per kind of arms that share it."""
    groups: dict[str, list[str]] = {}
    for row in found["arms"]:
        told = f"judged on {row['judged_on']}" + (f"; {row['note']}" if row["note"] else "")
        groups.setdefault(told, []).append(row["arm"])
    return [f"{', '.join(arms)}: {told}." for told, arms in groups.items()]


def evaluations_csv(found: Sequence[Evaluated]) -> str:
    """A line per figure of every checkpoint: its value, and its interval over episodes where there is one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for each in found:
        origin = {"arm": each.arm, "seed": each.seed, "model": each.result.name}
        for line in _lines(each.result):
            writer.writerow(origin | line)
    return out.getvalue()


def _lines(result: OfflineResult) -> Iterator[dict[str, Any]]:
    errors = result.actions
    yield _line(CLEAN, ERROR, errors.all)
    for step, each in enumerate(errors.steps, start=1):
        yield _line(CLEAN, ERROR, each, step=step)
    for name, normal, own in zip(result.dimensions, errors.dimensions, errors.own_dimensions, strict=True):
        yield _line(CLEAN, ERROR, normal, dimension=name)
        yield _line(CLEAN, f"{ERROR}_own_units", own, dimension=name)
    for figure, table in ((ERROR, errors.table), (f"{ERROR}_own_units", errors.own_table)):
        for step, row in enumerate(table, start=1):
            for name, value in zip(result.dimensions, row, strict=True):
                yield _line(CLEAN, figure, Estimate(value=value), step=step, dimension=name)
    for forecast, names in ((result.tokens, FORECASTS), (result.latents, LATENT_FIGURES)):
        if forecast is None:
            continue
        for figure in names:
            yield _line(CLEAN, figure, forecast.all[figure])
            for step, each in enumerate(getattr(forecast, figure), start=1):
                yield _line(CLEAN, figure, each, step=step)
    for corrupted in result.interventions:
        yield _line(corrupted.name, ERROR, corrupted.error)
        yield _line(corrupted.name, f"{ERROR}_change", corrupted.change)
        if corrupted.top1 is not None and corrupted.top1_change is not None:
            yield _line(corrupted.name, "top1", corrupted.top1)
            yield _line(corrupted.name, "top1_change", corrupted.top1_change)


def _line(run: str, figure: str, found: Estimate, *, step: int | str = "", dimension: str = "") -> dict[str, Any]:
    place = {"run": run, "figure": figure, "step": step, "dimension": dimension}
    return {**place, "value": found.value, "low": found.low, "high": found.high}
