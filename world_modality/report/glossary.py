"""The words of a report that are not everybody's, explained once; texts of the page link to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from markupsafe import Markup

from world_modality.facts.memory import MODES

TERMS: Mapping[str, tuple[str, str]] = {  # term -> how texts write it (a regular expression), what it means
    "arm": (r"arms?", "a way to train a policy; arms differ only in what the study declares"),
    "condition": (r"conditions?", "an arm's checkpoints, rolled out in one memory mode"),
    "memory": (r"memory modes?", "what the world memory holds while the policy acts; the modes are listed below"),
    "seed": (r"seeds?", "of a training: the same arm trained again with other random numbers"),
    "episode": (r"episodes?", "one rollout of a task from an initial state, with fixed random numbers"),
    "scene": (r"scenes?", "a task from one initial state; its episodes are not independent of each other"),
    "trajectory": (r"trajector(?:y|ies)", "states and actions of an episode"),
    "these checkpoints": (
        r"these(?: \d+)? checkpoints|this checkpoint",
        "the weights that were rolled out, and no others",
    ),
    "across trainings": (r"across trainings", "what another training of the same arm with a new seed would show"),
    "points": (r"points", "percentage points of success, the first condition minus the second"),
    "interval": (r"intervals?", "holds the true value in 95% of such studies, unless another share is named"),
    "margin": (r"margins?", "a difference that the study counts as none, set before the first rollout"),
    "could find": (
        r"[Cc]ould (?:have )?f(?:ind|ound)",
        "the smallest true difference that the study would confirm, with its plan's power",
    ),
    "helps, hurts": (
        r"helps|hurts",
        "the one-sided test of the claim, or of its opposite, rejects at the planned error probability",
    ),
    "equivalent": (r"equivalent", "the difference lies within the margin, or every episode took the same trajectory"),
    "cannot tell": (r"[Cc]annot tell", "neither confirmed nor ruled out: more data would decide"),
    "decision rule": (
        r"decision rule",
        "the claims that together answer the study's question, tested in a fixed order",
    ),
    "stopping early": (
        r"[Ss]topp(?:ed|ing|s) early",
        "rolling out no more once the decision rule is decided, by a test that is valid however often it is looked at",
    ),
    "secondary": (r"[Ss]econdary", "shown beside the claim; no verdict hangs on it"),
    "gate": (r"[Gg]ates?", "a check that must pass before a verdict is given, whatever the numbers say"),
    "plan": (r"[Pp]lan", "claims, order, margins and sizes, written down and sealed before the first rollout"),
    "Holm": (r"Holm(?:'s)?", "a correction of p for the number of tasks that were looked at"),
    "shrunk": (
        r"[Ss]hrunk",
        "drawn towards the mean of all tasks, since the largest of many noisy estimates is mostly luck",
    ),
    "Prophet": (
        r"Prophet(?:'s)?",
        "the network that predicts the latents of the next K frames from those of the last T",
    ),
    "world token": (r"[Ww]orld tokens?", "the number of the centroid of a codebook that a latent is nearest to"),
    "codebook": (r"[Cc]odebooks?", "centroids that k-means fitted to the latents of training episodes"),
    "perplexity": (r"[Pp]erplexity", "exp(entropy): as many equally frequent tokens would be as uncertain"),
    "injector": (r"injectors?", "the attention by which the policy reads the memory"),
    "slot": (r"slots?", "one place of the memory: one hypothesis, frame ahead, token and camera"),
    "even attention": (r"even attention(?:'s)?", "attention that gives every slot the same weight"),
    "effective rank": (
        r"[Ee]ffective rank",
        "exp(entropy) of the variances along the principal axes: as many equally wide ones would be as uncertain",
    ),
    "skill": (r"[Ss]kill", "1 - MSE / MSE of persistence: 1 is perfect, 0 no better than to expect no change"),
    "baselines": (
        r"baselines?",
        "what a Prophet must beat: persistence (no change), mean reversion, velocity (the last change), ridge",
    ),
    "sealed": (r"sealed", "of an artifact or a plan: complete, with a digest of its content, and never changed again"),
    "key": (r"keys?", "16 hex digits, a digest of everything that a stage's result depends on"),
}


def anchor(term: str) -> str:
    """The id of a term's entry."""
    return "term-" + re.sub(r"[^a-z]+", "-", term.lower()).strip("-")


def linked(text: str) -> Markup:
    """Plain text, escaped, in which the first mention of every term leads to its entry."""
    seen: set[str] = set()

    def link(found: re.Match[str]) -> str:
        name = next(term for term, (written, _) in TERMS.items() if re.fullmatch(written, found[0]))
        if name in seen:
            return found[0]
        seen.add(name)
        return f'<a class="term" href="#{anchor(name)}">{found[0]}</a>'

    return Markup(_ANY.sub(link, escape(text, quote=False)))


_ANY = re.compile(rf"\b(?:{'|'.join(written for written, _ in TERMS.values())})\b(?![-=])")


def memory_link(mode: str) -> Markup:
    """The name of a memory mode, leading to its entry if it is one that this version knows."""
    name = escape(mode)
    if mode not in MODES:
        return Markup(name)
    return Markup(f'<a class="term" href="#{anchor(f"memory {mode}")}">{name}</a>')


def entries(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(anchor, term, meaning) of every term, then of every memory that this study uses."""
    used = dict.fromkeys(
        mode for condition in table["conditions"] for mode in (condition["trained_memory"], condition["memory"])
    )
    memories = [
        (
            anchor(f"memory {MODES[mode].name}"),
            f"{mode} (memory)",
            _memory(mode),
        )
        for mode in used
        if mode in MODES
    ]
    return [*((anchor(term), term, meaning) for term, (_, meaning) in TERMS.items()), *memories]


def _memory(mode: str) -> str:
    return f"holds {MODES[mode].holds}; a comparison with it isolates {MODES[mode].isolates}"
