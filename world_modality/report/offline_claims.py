"""Models of the discrete line compared offline, arm against arm: the claims, what they earn, and how that is told.

Which models are compared, on which figure and in which order, a table of facts says (facts/offline.py): it was chosen
before any result. No verdict of the study hangs on these claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from world_modality.evidence.effect import Effect, Levels, Scope
from world_modality.evidence.plan import Claim
from world_modality.evidence.ratios import gain_across_seeds, gain_on_episodes, rise_across_seeds, rise_on_episodes
from world_modality.evidence.resampling import keyed_generator
from world_modality.evidence.verdict import word_for
from world_modality.facts.offline import OFFLINE_CLAIMS, OfflineClaim
from world_modality.offline.result import CLEAN, Floats
from world_modality.report.charts import Line, Panel, forest
from world_modality.report.judgement import effect_limits, probability, rounded
from world_modality.report.offline_arms import Evaluated, arms_table, by_arm
from world_modality.report.text import SCOPES
from world_modality.study.specs import EvidenceSpec

MARGIN = 0.02
"""As a share of the control's error, or of all tokens: a smaller difference counts as none."""
CLAIMS_HEADER = ["claim", "of", "scope", "percent [interval]", "verdict", "seeds", "episodes", "could find"]
FIGURES = {"action": "action error", "top1": "next token right"}
"""On which arms are compared; the first decides a claim."""
SCOPE_ORDER: tuple[Scope, ...] = ("recipe", "checkpoint")


@dataclass(frozen=True)
class _Pair:
    """Two arms that a claim is about, on the seeds that both have."""

    claim: OfflineClaim
    treated: Sequence[Evaluated]
    control: Sequence[Evaluated]

    @property
    def name(self) -> str:
        """``B < A``, by the arms' own names."""
        return f"{self.treated[0].arm} < {self.control[0].arm}"

    @property
    def problem(self) -> str:
        """Why they cannot be compared; "" if they can."""
        frames = {_frames(each) for each in (*self.treated, *self.control)}
        return "" if len(frames) == 1 else "the arms were not judged on the same frames and chunks"


def _frames(each: Evaluated) -> tuple[object, ...]:
    found = each.result
    return found.dataset_fingerprint, found.episodes, found.frames, found.chunk_size, found.prediction_horizon


def models_table(found: Sequence[Evaluated], evidence: EvidenceSpec) -> dict[str, Any] | None:
    """For table.json: the figures of every arm, and the claims; None for a study without such arms."""
    if not found:
        return None
    return {"arms": arms_table(found, evidence.confidence), "claims": claims_table(found, evidence)}


def claims_table(found: Sequence[Evaluated], evidence: EvidenceSpec) -> list[dict[str, Any]]:
    """For table.json: a row per claim, figure and scope; the claims in the order in which they are asked.

    Each claim is tested at its share of alpha, so that of all of them together one is wrong with alpha at most.
    """
    pairs = list(_pairs(found))
    levels = Levels(evidence.alpha / max(1, len(pairs)), evidence.confidence, evidence.power)
    return [row for pair in pairs for row in _rows(pair, levels)]


def _pairs(found: Sequence[Evaluated]) -> Iterator[_Pair]:
    """Arms that a claim of the table compares by their models, then arms that are held against another one of them."""
    arms = by_arm(found)
    asked: set[frozenset[str]] = set()
    for claim, one, other in (*_known(arms), *_held_against(arms)):
        common = {each.seed for each in arms[one]} & {each.seed for each in arms[other]}
        kept = [[each for each in arms[name] if each.seed in common] for name in (one, other)]
        if common and frozenset((one, other)) not in asked:
            asked.add(frozenset((one, other)))
            yield _Pair(claim, *kept)


def _known(arms: Mapping[str, Sequence[Evaluated]]) -> Iterator[tuple[OfflineClaim, str, str]]:
    for claim in OFFLINE_CLAIMS:
        for one, treated in arms.items():
            for other, control in arms.items():
                if (treated[0].result.name, control[0].result.name) == (claim.treated, claim.control):
                    yield claim, one, other


def _held_against(arms: Mapping[str, Sequence[Evaluated]]) -> Iterator[tuple[OfflineClaim, str, str]]:
    for name, own in arms.items():
        control = own[0].against
        if control in arms:
            yield (
                OfflineClaim(name, control, "is it a better imitator than the arm that it is held against?"),
                name,
                control,
            )


def _rows(pair: _Pair, levels: Levels) -> Iterator[dict[str, Any]]:
    told = {"claim": pair.name, "asks": pair.claim.asks, "treated": pair.treated[0].arm, "control": pair.control[0].arm}
    if pair.problem:
        yield {**told, "figure": "action", "problem": pair.problem}
        return
    for figure in FIGURES:
        if figure == "top1" and not (pair.treated[0].result.tokens and pair.control[0].result.tokens):
            continue
        for scope in SCOPE_ORDER:
            yield {**told, "figure": figure, **_verdict(pair, figure, scope, levels)}


def _verdict(pair: _Pair, figure: str, scope: Scope, levels: Levels) -> dict[str, Any]:
    effect = _effect(pair, figure, scope, levels)
    arms = (pair.treated[0].arm, pair.control[0].arm)
    claim = Claim(pair.name, "", *arms, *arms, "better", "recipe", False, MARGIN)
    word, reason = word_for(effect, claim, identical=False)
    row = {
        "scope": scope,
        "primary": figure == "action" and scope == "recipe",
        "word": word,
        **effect_limits(effect),
        "confidence": rounded(effect.levels.confidence),
        "alpha": rounded(effect.levels.alpha),
        "margin": MARGIN,
        "p_greater": probability(effect.p_greater),
        "p_less": probability(effect.p_less),
        "detectable": rounded(effect.detectable),
        "method": effect.method,
        "frames": effect.episodes,
        "episodes": effect.clusters,
        "seeds": effect.seeds,
        "problem": effect.problem,
    }
    return {**row, "sentence": _sentence(pair, figure, row, reason)}


def _effect(pair: _Pair, figure: str, scope: Scope, levels: Levels) -> Effect:
    one, other = (_sums(own, figure) for own in (pair.treated, pair.control))
    frames = pair.control[0].result.frames
    if figure == "action":
        if scope == "recipe":
            return gain_across_seeds(one[0], other[0], levels, frames)
        return gain_on_episodes(one[0], other[0], levels, frames, keyed_generator("offline", pair.name))
    if scope == "recipe":
        return rise_across_seeds(one[0], other[0], other[1], levels, frames)
    return rise_on_episodes(one[0], other[0], other[1], levels, frames, keyed_generator("offline", pair.name, figure))


def _sums(own: Sequence[Evaluated], figure: str) -> tuple[Floats, Floats]:
    """What is summed and of how much: [seeds, E] each."""
    found = [each.sums[CLEAN, figure] for each in own]
    above, below = (np.stack([getattr(each, part).sum(axis=1) for each in found]) for part in ("above", "below"))
    return above, below


def _sentence(pair: _Pair, figure: str, row: Mapping[str, Any], reason: str) -> str:
    """``Helps: across trainings, B's action error is 12.3% smaller than A's (95% interval 4.0 to 20.1, 3 seeds)``."""
    treated, control, gap = pair.treated[0].arm, pair.control[0].arm, 100 * row["estimate"]
    if figure == "action":
        how = "smaller" if gap >= 0 else "larger"
        what = f"{treated}'s action error is {abs(gap):.1f}% {how} than {control}'s"
    else:
        how = "more" if gap >= 0 else "less"
        what = f"{treated} foresees the next token {abs(gap):.1f} points {how} often than {control}"
    numbers = [] if row["low"] is None else [f"gain {gap:+.1f}, {_interval(row)}"]
    seeds, episodes = row["seeds"], row["episodes"]
    numbers += [f"{seeds} seed{'s' * (seeds != 1)}", f"{episodes} episode{'s' * (episodes != 1)}"]
    told = f"{row['word'].capitalize()}: {SCOPES[row['scope']]}, {what} ({', '.join(numbers)})"
    why = row["problem"] or (reason.replace(" points (", " percent (") if figure == "action" else reason)
    return f"{told}{f': {why}' if why else ''}."


def _interval(row: Mapping[str, Any]) -> str:
    return f"{100 * row['confidence']:.4g}% interval {100 * row['low']:+.1f} to {100 * row['high']:+.1f}"


def claim_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Below ``CLAIMS_HEADER``; a gain is positive: a smaller error, or more tokens foreseen."""
    return [_cells(row) for row in rows]


def _cells(row: Mapping[str, Any]) -> list[str]:
    if "word" not in row:
        return [row["claim"], FIGURES[row["figure"]], "", "", row["problem"], "", "", ""]
    found = "" if row["detectable"] is None else f"{100 * row['detectable']:.1f}"
    secondary = "" if row["primary"] else " (secondary)"
    numbers = f"{100 * row['estimate']:+.1f} [no interval]"
    if row["low"] is not None:
        numbers = f"{100 * row['estimate']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
    return [
        row["claim"],
        FIGURES[row["figure"]],
        SCOPES[row["scope"]] + secondary,
        numbers,
        row["word"],
        str(row["seeds"]),
        str(row["episodes"]),
        found,
    ]


def plan_lines(found: Mapping[str, Any]) -> list[str]:
    """What is asked and how it is decided, and the verdicts of the claims; ``found`` as in table.json."""
    rows = found["claims"]
    asked = dict.fromkeys((row["claim"], row["asks"]) for row in rows)
    if not asked:
        return []
    alpha = next((row["alpha"] for row in rows if "alpha" in row), None)
    told = " ".join(f"{claim}: {asks}" for claim, asks in asked)
    where = "held-out frames" if all(arm["held_out"] for arm in found["arms"]) else "frames that arms were trained on"
    how = "" if alpha is None else f", each at one-sided alpha {alpha:.3g}"
    lines = [
        f"Asked of every study with such arms, in this order, whether the first one's error is smaller. {told}",
        f"A claim is decided across trainings{how}, by the squared error of normalised actions on {where}; a gain is "
        f"the share by which it is smaller, and one within {100 * MARGIN:g}% counts as none. No verdict of the study "
        "hangs on it.",
    ]
    return [*lines, *(row["sentence"] for row in rows if row.get("primary"))]


def claim_panels(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """One figure: how much smaller each claim's error is, in the scopes in which an interval is known."""
    shown = [row for row in rows if row["figure"] == "action" and row.get("low") is not None]
    lines = [
        Line(
            row["claim"],
            100 * row["estimate"],
            100 * row["low"],
            100 * row["high"],
            place,
            f"{100 * row['estimate']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]",
            below=SCOPES[row["scope"]],
            word=row["word"],
            margin=row["margin"],
        )
        for place, row in enumerate(shown)
    ]
    title = "Offline: by how much the action error is smaller"
    return (
        [Panel(title, forest(lines, title, "percent of the control's error", width=540.0, row=40.0, size=12.0))]
        if lines
        else []
    )
