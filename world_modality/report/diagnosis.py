"""A letter per arm with a memory: is its content used, and if not, at which link of the chain does it end?"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.evidence.points import points
from world_modality.report.charts import Curve, Line, Panel, curves, forest
from world_modality.report.diagnosis_findings import GAINS, MISSING, NO, OPEN, YES, Finding, findings
from world_modality.report.diagnosis_read import OWN_DRAWS, Readings

TITLE = "Where the chain holds, and where it breaks"
NOTE = (
    "A memory can help only if every link holds: the future is foreseen, the features tell frames apart, the policy "
    "reads them, through an open gate, and acts on them. Each answer follows from the rule beside it. What was not "
    "measured is said to be so, and no verdict of the study hangs on this page."
)
HEADER = ["", "question", "answer", "what was seen", "rule"]
BROKEN: Mapping[str, tuple[str, str]] = {
    "prediction": (
        "the prediction: it says no more of the future than what needs no network",
        "Judge nothing of predicted futures by this arm. Give the Prophet more demonstrations, another encoder or "
        "another world.prediction_horizon, and let it be trained beforehand (world.prophet: kept).",
    ),
    "features": (
        "the features: frames look alike in them",
        "Try another encoder, or keep more of the picture (encoder.pooling: grid2). What looks alike cannot be "
        "foreseen in any useful way.",
    ),
    "attention": (
        "attention: it reads every slot alike",
        "Train longer, or try fewer slots (a shorter world.prediction_horizon) or another world.fusion.",
    ),
    "gate": (
        "the gate: next to nothing of the memory gets through",
        "Train longer, raise training.world_lr, or start with an open gate (world.gate_init: 0.1).",
    ),
    "gradients": (
        "the gradients: nothing teaches the reader",
        "Look for a memory that is always zero, a gate that is stuck, or a training.world_lr of 0.",
    ),
    "actions": (
        "the actions: the policy does the same without the memory",
        "Try a place where the memory enters earlier (world.fusion: layers or prefix_tokens), or train longer.",
    ),
    "loss": (
        "the loss: the memory moves the actions, and what it holds does not make them better",
        "",
    ),
    "success": (
        "the rollouts: what helps on demonstrated frames does not solve more tasks",
        "Look at the videos of episodes that one condition alone solves. The states of rollouts may lie off those of "
        "the demonstrations: relabelled episodes are for that. Or the tasks need no foresight: suite moving does.",
    ),
}
"""Link -> how its break is named, and what to try."""


@dataclass(frozen=True)
class Letter:
    """What there is to say of one arm."""

    arm: str
    memory: str
    basis: str
    findings: tuple[Finding, ...]
    broken: str
    """The first link that breaks; empty if none is seen to."""
    conclusion: str


def letters(arms: Sequence[Readings], judgement: Mapping[str, Any] | None) -> list[Letter]:
    """One per arm; ``judgement`` is the table's."""
    found = []
    for arm in arms:
        links = tuple(findings(arm, judgement))
        broken = _broken(links)
        found.append(Letter(arm.arm, arm.memory, arm.basis, links, broken, _conclusion(arm, links, broken)))
    return found


def _broken(links: Sequence[Finding]) -> str:
    """The first one that is answered no. Attention that reads all slots alike still reads: where actions change with
    the memory it breaks nothing."""
    answers = {each.link: each.answer for each in links}
    passed_over = {"attention"} if answers["actions"] == YES else set()
    return next((each.link for each in links if each.answer == NO and each.link not in passed_over), "")


def _conclusion(arm: Readings, links: Sequence[Finding], broken: str) -> str:
    answers = {each.link: each.answer for each in links}
    if not broken:
        return _unbroken(arm, answers)
    before = list(answers)[: list(answers).index(broken)]
    named, advice = BROKEN[broken]
    said = [f"In {arm.arm} the first link that breaks is {named}."]
    if unknown := _unknown({name: answers[name] for name in before}):
        said.append(f"Before it, {unknown}.")
    after = [name for name, answer in answers.items() if answer == NO and name != broken]
    if after:
        said.append(f"Also answered no: {', '.join(after)}.")
    if answers["success"] == YES:
        said.append("Success rises all the same: something of the arm helps, and this chain does not say what.")
    return " ".join([*said, _after_loss(arm) if broken == "loss" else advice])


def _after_loss(arm: Readings) -> str:
    """Whether a better prediction would help, as far as the true future tells; what else may, of no prediction."""
    if not arm.reads_prophet:
        return (
            "Its memory is no prediction. Try another world.fusion, horizon or encoder, or tasks that need foresight."
        )
    bound = arm.loss_gain("oracle", OWN_DRAWS)
    if bound is None or bound.low is None or bound.high is None:
        return "Judge it with mode oracle, which tells whether any prediction could help."
    if bound.low > GAINS:
        return (
            f"The true future would lower the loss by {points(bound.value or 0.0)}%, so the prediction is what lacks: "
            "give the Prophet more demonstrations, or another encoder or horizon."
        )
    return (
        "Even the true future would not lower the loss for sure, so a better prediction is no cure. Try another "
        "world.fusion, horizon or encoder, or tasks that need foresight."
    )


def _unbroken(arm: Readings, answers: Mapping[str, str]) -> str:
    unknown = _unknown(answers)
    if not unknown:
        return f"In {arm.arm} no link is broken, and success rises: the content of its memory is used."
    said = f"In {arm.arm} no link is seen to break. {unknown[0].upper()}{unknown[1:]}."
    if answers["success"] == YES:
        return f"{said} Success rises, so that something of the memory is used."
    if [name for name, answer in answers.items() if answer != YES] == ["success"]:
        return f"{said} More scenes or seeds would decide; wm plan says how many."
    return (
        f"{said} Close these gaps before anything is concluded: train the arm with this version, or on more episodes."
    )


def _unknown(answers: Mapping[str, str]) -> str:
    """``not measured: features, gate; cannot tell: loss``; empty where all is known."""
    named = {kind: [name for name, answer in answers.items() if answer == kind] for kind in (MISSING, OPEN)}
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in named.items() if names)


def diagnosis_table(found: Sequence[Letter]) -> list[dict[str, Any]]:
    """For table.json: every letter, with its findings by link."""
    return [
        {
            "arm": each.arm,
            "memory": each.memory,
            "basis": each.basis,
            "broken": each.broken,
            "conclusion": each.conclusion,
            "findings": [
                {name: getattr(link, name) for name in ("link", "question", "answer", "seen", "rule")}
                for link in each.findings
            ],
        }
        for each in found
    ]


def to_markdown(study: str, table: Sequence[Mapping[str, Any]]) -> str:
    """``diagnosis.md``: the letters, arm by arm."""
    parts = [f"# {study}: {TITLE.lower()}", NOTE]
    for letter in table:
        parts += [
            f"## {letter['arm']}, memory {letter['memory']}",
            f"{letter['basis']}.",
            f"**{letter['conclusion']}**",
        ]
        for number, each in enumerate(letter["findings"], 1):
            said = f"{number}. {each['question']} **{each['answer'].capitalize()}.** {each['seen']}"
            parts.append(f"{said}\n   *{each['rule']}*")
    return "\n\n".join(parts) + "\n"


def section(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """For table.md: a line per arm; diagnosis.md has every link."""
    return ["## Diagnosis", "\n".join(f"- {letter['conclusion']}" for letter in table)] if table else []


def diagnosis_panels(arms: Sequence[Readings]) -> list[Panel]:
    """Where attention lies, and what each memory does to the loss, of every arm that measured it."""
    return [panel for place, arm in enumerate(arms) for panel in (*_mass(arm, place), *_losses(arm))]


def _mass(arm: Readings, place: int) -> list[Panel]:
    mass = arm.attention_mass()
    if len(mass) < 2:
        return []
    title = f"{arm.arm}: attention on each step ahead"
    curve = tuple((float(k), 100 * share) for k, share in enumerate(mass, 1))
    even = tuple((float(k), 100 / len(mass)) for k in (1, len(mass)))
    lines = [Curve(arm.arm, 0, 2 + place, curve), Curve("even attention", 0, 0, even)]
    return [Panel(title, curves(lines, title, "share of attention (%)", "frames ahead, k", "at k ="))]


def _losses(arm: Readings) -> list[Panel]:
    lines = []
    for place, name in enumerate(arm.memories()):
        gain = arm.loss_gain(name, OWN_DRAWS)
        if gain is None or gain.value is None:
            continue
        value = -100 * gain.value
        low, high = (None if each is None else -100 * each for each in (gain.high, gain.low))
        bounds = "no interval" if low is None or high is None else f"[{low:+.1f}, {high:+.1f}]"
        lines.append(Line(name, value, low, high, place, f"{value:+.1f}% {bounds}"))
    title = f"{arm.arm}: action loss with each memory"
    axis = "change of the loss with zero memory (%)"
    return [Panel(title, forest(lines, title, axis))] if lines else []


@dataclass(frozen=True)
class Neighbours:
    """Pictures of one example, side by side, as the page shows them."""

    caption: str
    source: str  # a data: address


def neighbours(arms: Sequence[Readings]) -> dict[str, list[Neighbours]]:
    """By arm the examples of its first training that have a picture."""
    found = {arm.arm: _pictured(arm) for arm in arms}
    return {name: each for name, each in found.items() if each}


def _pictured(arm: Readings) -> list[Neighbours]:
    if arm.pictures is None or not arm.nearest:
        return []
    step, rows = arm.nearest[0]["step"], enumerate(arm.nearest[0]["examples"])
    files = ((arm.pictures / f"{number}.png", row) for number, row in rows)
    return [Neighbours(_caption(row, step), _embedded(file)) for file, row in files if file.is_file()]


def _caption(row: Mapping[str, int], step: int) -> str:
    return (
        f"Frame {row['present']}; the frame {step} later; the training frame nearest to the latent that was foreseen "
        f"({row['nearest_to_predicted']}), and to the one that came ({row['nearest_to_true']})."
    )


def _embedded(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
