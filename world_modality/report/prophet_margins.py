"""By how much an arm's Prophet foresees more than each baseline, with intervals over the judged episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from world_modality.evidence.gates import Gate
from world_modality.facts.memory import MODES
from world_modality.facts.targets import TARGETS
from world_modality.report.forecast import BASELINES, Judgement, by_arm
from world_modality.report.text import spans

FIGURES = TARGETS["latents"].figures[:2]
CONFIDENCE = 0.95
MARGIN = 0.01  # of skill and of the cosine of the change: less than that worse counts as no worse
RIDGE = "ridge"
GATE = "predictions are no worse than ridge regression"


@dataclass(frozen=True)
class Margin:
    """The mean over episodes of a figure's difference, Prophet minus a baseline, at one step ahead."""

    mean: float
    low: float | None
    high: float | None
    """Bounds of the interval; None with a single episode."""

    @property
    def text(self) -> str:
        """``+0.02 [-0.01, +0.05]``."""
        bounds = "" if self.low is None or self.high is None else f" [{self.low:+.2f}, {self.high:+.2f}]"
        return f"{self.mean:+.2f}{bounds}"


def margins(group: Sequence[Judgement], figure: str, baseline: str) -> list[Margin | None]:
    """Those of an arm for k = 1..K; None where nothing was measured.

    An episode counts with the mean over the arm's seeds; the interval is Student's over the episodes, as they are what
    another dataset would have otherwise.
    """
    own = [each.by_episode.get("prophet", {}).get(figure) for each in group]
    other = [each.by_episode.get(baseline, {}).get(figure) for each in group]
    if not own or any(found is None for found in (*own, *other)):
        return []
    # [seeds, episodes, K]
    difference = np.array(own, dtype=float) - np.array(other, dtype=float)
    return [_margin(difference[:, :, k].mean(0)) for k in range(difference.shape[2])]


def _margin(values: Any) -> Margin | None:
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    mean = float(known.mean())
    if known.size < 2:
        return Margin(mean, None, None)
    wide = float(student.ppf(0.5 + CONFIDENCE / 2, known.size - 1) * known.std(ddof=1) / known.size**0.5)
    return Margin(mean, mean - wide, mean + wide)


def reading(judgements: Sequence[Judgement], memories: Mapping[str, str]) -> list[Judgement]:
    """Those of arms whose memory a Prophet makes; ``memories`` has the mode in which each arm was trained."""
    return [each for each in judgements if MODES[memories[each.arm]].needs_prophet]


def margin_rows(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """For table.json: per arm, figure and baseline the texts for k = 1..K, and the numbers."""
    return [
        {
            "arm": group[0].arm,
            "figure": figure.name,
            "words": figure.words,
            "baseline": baseline.replace("_", " "),
            "texts": ["" if each is None else each.text for each in found],
            "steps": [None if each is None else [each.mean, each.low, each.high] for each in found],
        }
        for group in by_arm(judgements)
        for figure in FIGURES
        for baseline in BASELINES
        if (found := margins(group, figure.name, baseline))
    ]


def ridge_gate(read: Sequence[Judgement]) -> Gate | None:
    """Whether the predictions that arms read are no worse than ridge regression; None if no arm reads any.

    It says in words where they are better, too, and does not withhold a verdict: it says what that is about.
    """
    if not read:
        return None
    told, poor = list[str](), list[str]()
    for group in by_arm(read):
        arm, found = group[0].arm, [margins(group, figure.name, RIDGE) for figure in FIGURES]
        worse = {k for each in found for k in _where(each, _worse)}
        better = set.intersection(*(set(_where(each, _better)) for each in found))
        if worse:
            poor.append(arm)
            told.append(f"{arm}'s is worse than ridge at k = {spans(sorted(worse))}")
        elif better:
            told.append(f"{arm}'s is better than ridge at k = {spans(sorted(better))}")
        else:
            told.append(f"{arm}'s is no better than ridge at any k")
    about = f": what is found of {', '.join(poor)} says little of predicted futures" if poor else ""
    return Gate(GATE, None if poor else True, f"{'; '.join(told)}{about}")


def _where(found: Sequence[Margin | None], holds: Callable[[Margin], bool]) -> Iterator[int]:
    """The steps ahead, from 1, at which something holds."""
    return (k for k, margin in enumerate(found, 1) if margin is not None and holds(margin))


def _worse(margin: Margin) -> bool:
    """Whether the interval lies below the margin, or without one the mean does."""
    return (margin.mean if margin.high is None else margin.high) < -MARGIN


def _better(margin: Margin) -> bool:
    """Whether the interval lies above 0; never without one."""
    return margin.low is not None and margin.low > 0
