"""Offline evaluations of the discrete line's models in words and rows: for a report, and for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from world_modality.facts.offline import CORRUPTIONS
from world_modality.offline.result import Estimate, OfflineResult

FORECASTS = {"top1": "likeliest token", "top5": "five likeliest", "copied": "copy", "bigram": "bigram"}
"""What foresees the next tokens, as tables call it."""
LATENT_FIGURES = {"skill": "skill", "change_cosine": "cosine of the change"}
CORRUPTION_HEADER = ["in place of the world", "action error", "change", "change in percent", "top-1 change, points"]


def number(estimate: Estimate, *, signed: bool = False) -> str:
    """``0.7127 [0.2872, 1.1382]``; a hyphen for what could not be measured."""
    if estimate.value is None:
        return "-"
    told = _short(estimate.value, signed=signed)
    if estimate.low is None or estimate.high is None:
        return f"{told} [no interval]"
    return f"{told} [{_short(estimate.low, signed=signed)}, {_short(estimate.high, signed=signed)}]"


def percent(estimate: Estimate, *, signed: bool = False) -> str:
    """``12.3 [4.5, 20.1]`` of a fraction."""
    if estimate.value is None:
        return "-"
    form = "{:+.1f}" if signed else "{:.1f}"
    if estimate.low is None or estimate.high is None:
        return f"{form.format(100 * estimate.value)} [no interval]"
    told, low, high = (form.format(100 * each + 0.0) for each in (estimate.value, estimate.low, estimate.high))
    return f"{told} [{low}, {high}]"


def _short(value: float, *, signed: bool) -> str:
    """Four significant digits."""
    return f"{value + 0.0:{'+' if signed else ''}.4g}"


def judged_on(result: OfflineResult) -> str:
    """``4 held-out episodes of 2 tasks, 34 frames``."""
    episodes = f"episode{'s' * (len(result.episodes) != 1)}"
    kind = f"held-out {episodes}" if result.held_out else f"{episodes} that may have been trained on"
    drawn = "" if result.frames == result.frames_there else f" drawn from {result.frames_there}"
    tasks = f"{result.tasks} task{'s' * (result.tasks != 1)}"
    return f"{len(result.episodes)} {kind} of {tasks}, {result.frames} frames{drawn}"


def step_rows(result: OfflineResult) -> list[list[str]]:
    """A header, and a row per step of the chunk: its error over all dimensions, in normalised units."""
    rows = [[str(step), number(each)] for step, each in enumerate(result.actions.steps, start=1)]
    return [["step of the chunk", "squared error, normalised"], *rows, ["all", number(result.actions.all)]]


def dimension_rows(result: OfflineResult) -> list[list[str]]:
    """A header, and a row per dimension of the action: its error over the chunk, normalised and in its own units."""
    errors = result.actions
    rows = zip(result.dimensions, errors.dimensions, errors.own_dimensions, strict=True)
    header = ["dimension", "squared error, normalised", "squared error, own units"]
    return [header, *([name, number(normal), number(own)] for name, normal, own in rows)]


def forecast_rows(result: OfflineResult) -> list[list[str]]:
    """A header, and a row per way to foresee the world, per k in percent or as it is; nothing without a forecast."""
    header = [*(f"k={k}" for k in range(1, result.prediction_horizon + 1)), "all"]
    if result.tokens is not None:
        rows = [
            [words, *(percent(each) for each in getattr(result.tokens, name)), percent(result.tokens.all[name])]
            for name, words in FORECASTS.items()
        ]
        return [["next token right, percent", *header], *rows]
    if result.latents is not None:
        rows = [
            [words, *(number(each) for each in getattr(result.latents, name)), number(result.latents.all[name])]
            for name, words in LATENT_FIGURES.items()
        ]
        return [["next latents, persistence has 0", *header], *rows]
    return []


def corruption_rows(result: OfflineResult) -> list[list[str]]:
    """A header, the clean run, and a row per corruption; nothing if there is none."""
    if not result.interventions:
        return []
    rows = [
        [
            CORRUPTIONS[each.name].put,
            number(each.error),
            number(each.change, signed=True),
            percent(each.relative, signed=True),
            "" if each.top1_change is None else percent(each.top1_change, signed=True),
        ]
        for each in result.interventions
    ]
    return [CORRUPTION_HEADER, ["nothing: as it is", number(result.actions.all), "", "", ""], *rows]


def left_out_lines(result: OfflineResult, kinds: Collection[str]) -> Iterator[str]:
    """What of these ``kinds`` was not corrupted and why, once per reason."""
    reasons: dict[str, list[str]] = {}
    for each in result.left_out:
        row = CORRUPTIONS[each.name]
        if row.of in kinds:
            reasons.setdefault(each.why, []).append(row.put)
    for why, put in reasons.items():
        yield f"left out: {'; '.join(put)}: {why}"


def forecast_note(result: OfflineResult) -> str:
    """What the bigram was fitted on; "" without one."""
    if result.tokens is None:
        return ""
    fitted = result.tokens
    kind = "episodes that are not judged" if fitted.fitted_apart else "judged episodes, as there are no others"
    return f"the bigram is fitted on {fitted.fitted_on} {kind}"
