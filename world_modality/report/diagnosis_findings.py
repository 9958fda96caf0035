"""Is the content of a memory used? One question per link of the chain from prediction to success, each with its rule.

A rule answers "yes", "no" or "cannot tell" from figures that were recorded; where one was not, the answer is "not
measured" and says why. Nothing is guessed from another figure. An answer from one number per training is that of all
trainings: where they disagree nothing can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.evidence.points import points
from world_modality.offline.result import Estimate
from world_modality.pretraining.comparison import LEAST_RANK
from world_modality.report.claims import PLACEBOS
from world_modality.report.diagnosis_read import OWN_DRAWS, Readings
from world_modality.report.prophet_margins import MARGIN, RIDGE, Margin, margins
from world_modality.report.text import spans

YES, NO, OPEN, MISSING = "yes", "no", "cannot tell", "not measured"

HALF_WAY = 0.5
"""Of the distance in time that any training frame has, at which the nearest one still tells moments apart."""
RANKABLE = 4 * LEAST_RANK
"""Frames of a task from which on an effective rank of ``LEAST_RANK`` can be told from a smaller one."""
EVEN = 0.98
"""Of even attention's entropy: at that or more it reads all slots alike."""
PASSES = 0.01
"""Least size of what is added to the hidden states, relative to theirs."""
REACHES = 1e-4
"""Least norm of a part's gradients, relative to those of the base policy."""
MOVES = 0.1
"""Least change of the actions by the memory, relative to what other noise changes of them."""
GAINS = 0.005
"""Of the action loss: a memory that lowers it by less for sure does not matter."""

PARTS = {"injector": "injector", "prophet": "Prophet"}
"""What gradients should reach: as metrics are named -> as sentences call it."""


@dataclass(frozen=True)
class Finding:
    """What is known of one link."""

    link: str
    question: str
    answer: str
    seen: str
    """The figures, or why there are none, in sentences."""
    rule: str
    """When the answer is yes, and when no."""


Table = Mapping[str, Any]


def findings(arm: Readings, judgement: Table | None) -> list[Finding]:
    """All links in order; ``judgement`` is the table's, None where nothing is compared."""
    answered = (*(link(arm) for link in _LINKS), _success(arm, judgement))
    return [Finding(name, QUESTIONS[name][0], answer, seen, QUESTIONS[name][1]) for name, answer, seen in answered]


QUESTIONS: Mapping[str, tuple[str, str]] = {
    "prediction": (
        "Does the Prophet foresee more than persistence, and no less than ridge?",
        f"Yes: more skill than persistence at every step ahead, by its interval, and nowhere {MARGIN} less than ridge "
        f"for sure. No: that much less than ridge somewhere, or for sure not {MARGIN} more than persistence anywhere.",
    ),
    "features": (
        "Do the features tell frames apart?",
        "Yes: the training frame nearest to what really came lies less than half as far off in time as any frame "
        f"would, by its interval, and the latents' effective rank within a task is at least {LEAST_RANK:.0f}. No: one "
        f"of the two is missed. The rank counts where each task has {RANKABLE:.0f} frames.",
    ),
    "attention": (
        "Does attention choose among the slots of the memory?",
        f"Yes: in every training its entropy is below {EVEN:.0%} of even attention's. No: in none.",
    ),
    "gate": (
        "Is the gate open?",
        f"Yes: in every training what is read adds at least {PASSES:.0%} to the hidden states, in size. No: in none.",
    ),
    "gradients": (
        "Do gradients reach the injector and the Prophet?",
        f"Yes: in every training the norm of each part's gradients is at least {REACHES:g} of the base policy's. No: "
        "that of one part is smaller in all. A Prophet that is kept as it was trained has none, and is not asked.",
    ),
    "actions": (
        "Do the actions change with the memory?",
        "Yes: zero memory in its place changes chunks on demonstrated frames by at least a tenth of what other noise "
        "changes, by its interval. No: by less, by its interval.",
    ),
    "loss": (
        "Does the action loss depend on what the memory holds?",
        "Yes: on demonstrated frames it is lower with the arm's own memory than with zero and than with random memory, "
        f"by the intervals. No: against one of them it gains less than {100 * GAINS:g}% for sure.",
    ),
    "success": (
        "Does success rise with the memory?",
        "Yes: every claim of the arm over its own placebos, or over its control where it has none, is confirmed. No: "
        "one of them is found to be harm, or equivalent.",
    ),
}
"""Link -> its question, and the rule by which it is answered."""

_Answer = tuple[str, str, str]
_NO_TRAINING = "No training of the arm is there."


def _prediction(arm: Readings) -> _Answer:
    if not arm.reads_prophet:
        return "prediction", MISSING, "Its memory is not made of a prediction."
    group = arm.judgements
    still, ridge = (margins(group, "skill", baseline) for baseline in ("persistence", RIDGE))
    known = [each for each in still if each is not None]
    if not known:
        return "prediction", MISSING, _NO_TRAINING if not arm.logs else "The trainings judged no Prophet by episodes."
    better = _steps(still, lambda each: each.low is not None and each.low > 0)
    worse = _steps(ridge, lambda each: each.high is not None and each.high < -MARGIN)
    ahead = _steps(ridge, lambda each: each.low is not None and each.low > 0)
    useless = all(each.high is not None and each.high < MARGIN for each in known)
    answer = NO if worse or useless else YES if len(better) == len(known) else OPEN
    told = [f"Skill over persistence is {known[0].text} at k = 1 and {known[-1].text} at k = {len(still)}."]
    told.append(f"It is better for sure at {_ks(better)}." if better else "It is better for sure at no step.")
    if worse:
        told.append(f"It is worse than ridge at {_ks(worse)}.")
    else:
        told.append(f"It is better than ridge at {_ks(ahead)}." if ahead else "It is no better than ridge at any step.")
    return "prediction", answer, f"{' '.join(told)} Judged on {group[0].judged_on}."


def _features(arm: Readings) -> _Answer:
    gap = arm.moment_gap("true")
    if gap is None or gap.value is None:
        return "features", MISSING, "No nearest training frames were recorded." if arm.logs else _NO_TRAINING
    rank, fewest = arm.nearest[0]["rank"]["within_tasks"], arm.nearest[0]["rank"]["fewest_frames"]
    counts = rank is not None and fewest >= RANKABLE
    collapsed = counts and rank < LEAST_RANK
    answer = _by_interval(gap, HALF_WAY, smaller=True)
    answer = NO if collapsed else OPEN if answer == YES and not counts else answer
    told = [
        f"The training frame nearest to the latent that came lies {_share(gap)} as far off in time as any frame would."
    ]
    if arm.reads_prophet and (foreseen := arm.moment_gap("predicted")) and foreseen.value is not None:
        told.append(f"Of the latent that was foreseen it is {_share(foreseen)}.")
    same, chance = arm.same_task("true"), arm.same_task("chance")
    if same and chance and same.value is not None and chance.value is not None and chance.value < 1:
        told.append(
            f"It is of the same task in {same.value:.0%} of cases, where {chance.value:.0%} would be by chance."
        )
    of = f" of {arm.nearest[0]['rank']['dimensions']} numbers"
    if rank is None or not counts:
        told.append(f"Tasks have too few frames for an effective rank ({fewest}).")
    else:
        told.append(f"The effective rank{of} is {rank:.1f} within a task.")
    return "features", answer, " ".join(told)


def _attention(arm: Readings) -> _Answer:
    evenness, mass = arm.logged("world_attention_evenness"), arm.attention_mass()
    if not evenness:
        why = (
            "The memory has one slot, so there is nothing to choose." if len(mass) == 1 else _unlogged(arm, "attention")
        )
        return "attention", MISSING, why
    answer = _in_all(evenness, lambda value: value < EVEN)
    told = f"Its entropy is {_values(evenness, '{:.1%}')} of even attention's."
    if len(mass) > 1:
        most = max(range(len(mass)), key=lambda k: mass[k])
        told += f" k = {most + 1} holds most, {mass[most]:.0%}, where even attention has {1 / len(mass):.0%}."
    return "attention", answer, told


def _gate(arm: Readings) -> _Answer:
    added, gates = arm.logged("world_residual_ratio"), arm.logged("world_gate")
    if not added:
        return "gate", MISSING, _unlogged(arm, "what is added")
    told = f"What is read adds {_values(added, '{:.2%}')} to the hidden states, in size."
    told += f" The gates' mean is {_values(gates, '{:.3g}')}." if gates else ""
    return "gate", _in_all(added, lambda value: value >= PASSES), told


def _gradients(arm: Readings) -> _Answer:
    base = arm.logged("grad_norm_base")
    parts = {name: arm.logged(f"grad_norm_{name}") for name in PARTS}
    if not base or len(parts["injector"]) != len(base):
        return "gradients", MISSING, _unlogged(arm, "gradients of injector and Prophet apart")
    told, answers = [], []
    for name, norms in parts.items():
        if len(norms) == len(base):
            shares = tuple(own / other if other else 0.0 for own, other in zip(norms, base, strict=True))
            answers.append(_in_all(shares, lambda value: value >= REACHES))
            told.append(f"The {PARTS[name]}'s are {_values(shares, '{:.2g}')} of the base policy's.")
    if len(parts["prophet"]) != len(base):
        kept = arm.prophet == "kept"
        told.append("The Prophet was kept as it was trained." if kept else "Those of the Prophet were not logged.")
        answers += [] if kept else [OPEN]
    answer = NO if NO in answers else OPEN if OPEN in answers else YES
    return "gradients", answer, " ".join(told)


def _actions(arm: Readings) -> _Answer:
    found, moved = arm.action_change(), arm.logged("world_action_change")
    told = f" In training it moved them by {_values(moved, '{:.3g}')} standard deviations." if moved else ""
    if found is None:
        return "actions", MISSING, f"{_unlogged(arm, 'chunks with other noise')}{told}"
    if found.value is None:
        return "actions", OPEN, f"Other noise does not change this policy's actions, so there is no measure.{told}"
    # Squares are compared, since those are what adds up over episodes; a reader is told their roots.
    root = Estimate(**{name: None if v is None else max(0.0, v) ** 0.5 for name, v in found.model_dump().items()})
    said = f"Taking it away changes them {_share(root)} as much as other noise does.{told}"
    return "actions", _by_interval(root, MOVES, smaller=False), said


def _loss(arm: Readings) -> _Answer:
    gains = {name: arm.loss_gain(arm.acted, name) for name in PLACEBOS if name != arm.acted}
    known = {name: each for name, each in gains.items() if each is not None and each.value is not None}
    if not known:
        return "loss", MISSING, _unlogged(arm, "losses by episode")
    answers = [_gain_answer(each) for each in known.values()]
    answer = NO if NO in answers else OPEN if OPEN in answers or len(known) < len(gains) else YES
    told = [f"With its own memory the loss is {_lower(each)} with {name} memory." for name, each in known.items()]
    told += [f"With {name} memory it was not measured." for name in gains if name not in known]
    bound = arm.loss_gain("oracle", OWN_DRAWS)
    if bound is not None and bound.value is not None:
        told.append(f"The true future in its place would make it {_lower(bound)} with zero memory.")
    return "loss", answer, " ".join(told)


def _gain_answer(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return OPEN
    return NO if found.high < GAINS else YES if found.low > 0 else OPEN


_LINKS: tuple[Callable[[Readings], _Answer], ...] = (
    *(_prediction, _features, _attention, _gate, _gradients, _actions, _loss),
)


def _success(arm: Readings, judgement: Table | None) -> _Answer:
    if judgement is None:
        return "success", MISSING, "The study compares nothing."
    if judgement["withheld"]:
        return "success", MISSING, f"The verdict is withheld: {judgement['withheld']}."
    own = [each for each in judgement["verdicts"] if each["primary"] and each["treated"] == arm.arm]
    own = [each for each in own if each["kind"] == "better"]
    content = [each for each in own if each["control"] in arm.placebos]
    asked = content or [each for each in own if each["control"] not in arm.ablations]
    if not asked:
        return "success", MISSING, "The study claims nothing of this arm."
    words = [each["word"] for each in asked]
    answer = NO if {"hurts", "equivalent"} & {*words} else YES if {*words} == {"helps"} else OPEN
    told = (f"{each['claim']}: {each['word']} ({_points(each)})" for each in asked)
    return "success", answer, f"{'; '.join(told)}."


def _points(verdict: Table) -> str:
    if verdict["low"] is None:
        return f"{points(verdict['estimate'], signed=True)} points, no interval"
    low, high = (points(verdict[limit], signed=True) for limit in ("low", "high"))
    return f"{points(verdict['estimate'], signed=True)} points, {low} to {high}"


def _unlogged(arm: Readings, what: str) -> str:
    return f"The trainings did not record {what}." if arm.logs else _NO_TRAINING


def _in_all(values: Sequence[float], holds: Callable[[float], bool]) -> str:
    """Yes where it holds of every training, no where of none."""
    found = [holds(value) for value in values]
    return YES if all(found) else OPEN if any(found) else NO


def _by_interval(found: Estimate, bound: float, *, smaller: bool) -> str:
    """Whether all of the interval lies below a bound, or with ``smaller`` false above; without one nothing is told."""
    if found.low is None or found.high is None:
        return OPEN
    below, above = found.high < bound, found.low >= bound
    return OPEN if not (below or above) else YES if below == smaller else NO


def _steps(found: Sequence[Margin | None], holds: Callable[[Margin], bool]) -> list[int]:
    return [k for k, each in enumerate(found, 1) if each is not None and holds(each)]


def _ks(steps: Sequence[int]) -> str:
    return f"k = {spans(steps)}"


def _values(values: Sequence[float], form: str) -> str:
    """One number per training: ``4.1%``, or ``3.9% to 4.4%``."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _share(found: Estimate) -> str:
    """``0.31 times (0.24 to 0.38)``."""
    assert found.value is not None
    bounds = "" if found.low is None or found.high is None else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.value:.2f} times{bounds}"


def _lower(found: Estimate) -> str:
    """``3.1% (1.2% to 5.0%) lower than``, ``2.0% (...) higher than``, ``the same (...) as``."""
    assert found.value is not None
    sign = 1 if found.value >= 0 else -1
    limits = sorted(_percent(sign * each) for each in (found.low, found.high) if each is not None)
    bounds = f" ({' to '.join(f'{each:.1f}%' for each in limits)})" if limits else ""
    size = _percent(abs(found.value))
    return f"{size:.1f}%{bounds} {'lower' if sign > 0 else 'higher'} than" if size else f"the same{bounds} as"


def _percent(share: float) -> float:
    """To one decimal; zero has no sign."""
    return round(100 * share, 1) + 0.0
