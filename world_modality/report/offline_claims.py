"""Models of the discrete line compared offline, arm against arm: the claims, what they earn, and how that is told.

Which models are compared, on which figure and in which order, a table of facts says (facts/offline.py), and a study by
what it holds its arms against: both are chosen before any result, or no claim gets a verdict. No verdict of the study
hangs on these claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from world_modality.evidence.effect import Effect, Levels, Scope
from world_modality.evidence.gates import ARMS, SEALED, Gate, withheld
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.ratios import gain_across_seeds, gain_on_episodes, rise_across_seeds, rise_on_episodes
from world_modality.evidence.resampling import keyed_generator
from world_modality.evidence.verdict import word_for
from world_modality.facts.offline import OFFLINE_CLAIMS, OfflineClaim
from world_modality.offline.result import CLEAN, Floats
from world_modality.report.charts import Line, Panel, forest
from world_modality.report.judgement import effect_limits, probability, rounded
from world_modality.report.offline_arms import Evaluated, arms_table, by_arm
from world_modality.report.sealed_plans import Seal, sealing_gate
from world_modality.report.text import SCOPES
from world_modality.study.specs import EvidenceSpec

MARGIN = 0.02
"""As a share of the control's error, or of all tokens: a smaller difference counts as none."""
CLAIMS_HEADER = ["claim", "of", "scope", "percent [interval]", "verdict", "seeds", "episodes", "could find"]
FIGURES = {"action": "action error", "top1": "next token right"}
"""On which arms are compared; the first decides a claim."""
SCOPE_ORDER: tuple[Scope, ...] = ("recipe", "checkpoint")
DECIDING = (ARMS, SEALED)
"""Gates of the study that are about these claims, too; the others are about its rollouts."""
UNPLANNED = "the study holds no condition of its rollouts against another one, so it has no plan that could be sealed"


class Imitator(NamedTuple):
    """An arm as claims know it."""

    model: str
    """As the research calls it."""
    against: str
    """The arm's control; "" if it has none."""


class Asked(NamedTuple):
    """A claim about two arms."""

    claim: OfflineClaim
    treated: str
    control: str
    by_study: bool
    """Whether it is asked since the study says what an arm is held against, rather than of every study."""


@dataclass(frozen=True)
class _Pair:
    """Two arms that a claim is about, on the seeds that both have."""

    asked: Asked
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


def models_table(found: Sequence[Evaluated], evidence: EvidenceSpec, undecided: str) -> dict[str, Any] | None:
    """For table.json: the figures of every arm, and the claims; None for a study without such arms.

    ``undecided`` is as :func:`no_verdict` gives it.
    """
    if not found:
        return None
    claims = claims_table(found, evidence, undecided)
    return {"arms": arms_table(found, evidence.confidence), "claims": claims, "withheld": undecided}


def no_verdict(plan: Plan | None, gates: Sequence[Gate], seals: Sequence[Seal], started: str) -> str:
    """Why no claim gets a verdict, as one clause; "" if each may have one.

    A study with another arm, or another control of an arm, has another plan: so a claim that was added once there were
    results is one of a plan that was sealed too late. ``gates`` are the study's; ``started`` is when its first offline
    evaluation was, as ``first_start`` gives it.
    """
    if plan is None:
        return UNPLANNED
    deciding = [gate for gate in gates if gate.name in DECIDING]
    return withheld([*deciding, sealing_gate(plan, seals, started, "offline evaluation")])


def claims_table(found: Sequence[Evaluated], evidence: EvidenceSpec, undecided: str = "") -> list[dict[str, Any]]:
    """For table.json: a row per claim, figure and scope; the claims in the order in which they are asked.

    Each claim is tested at its share of alpha, so that of all of them together one is wrong with alpha at most. Where
    ``undecided`` says why there is no verdict, effects are told and nothing is decided.
    """
    pairs = list(_pairs(found))
    levels = Levels(evidence.alpha / max(1, len(pairs)), evidence.confidence, evidence.power)
    return [row for pair in pairs for row in _rows(pair, levels, undecided)]


def asked_of(arms: Mapping[str, Imitator]) -> Iterator[Asked]:
    """The claims about some arms, each pair of arms once and in the order of asking.

    First those of the table, which knows arms by their models, then those about an arm that is held against another one
    of them.
    """
    seen: set[frozenset[str]] = set()
    for asked in (*_known(arms), *_held_against(arms)):
        pair = frozenset((asked.treated, asked.control))
        if pair not in seen:
            seen.add(pair)
            yield asked


def _known(arms: Mapping[str, Imitator]) -> Iterator[Asked]:
    for claim in OFFLINE_CLAIMS:
        for one, treated in arms.items():
            for other, control in arms.items():
                if (treated.model, control.model) == (claim.treated, claim.control):
                    yield Asked(claim, one, other, by_study=False)


def _held_against(arms: Mapping[str, Imitator]) -> Iterator[Asked]:
    for name, own in arms.items():
        if own.against in arms:
            asks = "is it a better imitator than the arm that it is held against?"
            yield Asked(OfflineClaim(name, own.against, asks), name, own.against, by_study=True)


def _pairs(found: Sequence[Evaluated]) -> Iterator[_Pair]:
    """What is asked of the arms that were evaluated, on the seeds that both have; nothing of two that share none."""
    arms = by_arm(found)
    for asked in asked_of({name: Imitator(own[0].result.name, own[0].against) for name, own in arms.items()}):
        pair = arms[asked.treated], arms[asked.control]
        common = {each.seed for each in pair[0]} & {each.seed for each in pair[1]}
        if common:
            yield _Pair(asked, *([each for each in own if each.seed in common] for own in pair))


def _rows(pair: _Pair, levels: Levels, undecided: str) -> Iterator[dict[str, Any]]:
    told = {
        "claim": pair.name,
        "asks": pair.asked.claim.asks,
        "by_study": pair.asked.by_study,
        "treated": pair.treated[0].arm,
        "control": pair.control[0].arm,
    }
    if pair.problem:
        yield {**told, "figure": "action", "problem": pair.problem}
        return
    for figure in FIGURES:
        if figure == "top1" and not (pair.treated[0].result.tokens and pair.control[0].result.tokens):
            continue
        for scope in SCOPE_ORDER:
            yield {**told, "figure": figure, **_verdict(pair, figure, scope, levels, undecided)}


def _verdict(pair: _Pair, figure: str, scope: Scope, levels: Levels, undecided: str) -> dict[str, Any]:
    effect = _effect(pair, figure, scope, levels)
    arms = (pair.treated[0].arm, pair.control[0].arm)
    claim = Claim(pair.name, "", *arms, *arms, "better", "recipe", False, MARGIN)
    word, reason = word_for(effect, claim, identical=False)
    if undecided:
        word, reason = "cannot tell", f"no verdict: {undecided}"
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
    why = reason.replace(" points (", " percent (") if figure == "action" else reason
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
    if not rows:
        return []
    alpha = next((row["alpha"] for row in rows if "alpha" in row), None)
    where = "held-out frames" if all(arm["held_out"] for arm in found["arms"]) else "frames that arms were trained on"
    how = "" if alpha is None else f", each at one-sided alpha {alpha:.3g}"
    lines = [
        *_asked_lines(rows),
        f"A claim is decided across trainings{how}, by the squared error of normalised actions on {where}; a gain is "
        f"the share by which it is smaller, and one within {100 * MARGIN:g}% counts as none. No verdict of the study "
        "hangs on it.",
        *([f"No verdict on any of them: {found['withheld']}."] if found["withheld"] else []),
    ]
    return [*lines, *(row["sentence"] for row in rows if row.get("primary"))]


def _asked_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is asked of every study, and what of this one."""
    for by_study, why in (
        (False, "Asked of every study with such arms, in this order, whether the first one's error is smaller."),
        (True, "Asked of this study, which holds these arms against each other, whether the first one's is smaller."),
    ):
        asked = dict.fromkeys((row["claim"], row["asks"]) for row in rows if row["by_study"] == by_study)
        if asked:
            yield f"{why} {' '.join(f'{claim}: {asks}' for claim, asks in asked)}"


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
