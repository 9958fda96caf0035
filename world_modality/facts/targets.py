"""Targets: what is predicted of the future and stored, with its loss, baselines and figures of merit."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class Figure:
    """A figure of merit of predictions, one value per frame ahead. More is better."""

    name: str
    words: str
    """As people call it,"""
    formula: str
    """and what it is."""


@dataclass(frozen=True)
class Target:
    """One kind of thing that a Prophet predicts."""

    name: str
    predicts: str
    """What, for tables."""
    stored: str
    """How a cache holds it: type and axes, [N, P, ...] for N frames of P tokens each."""
    code: Reference
    """A ``PredictionTarget``: its loss, baselines and figures."""
    figures: tuple[Figure, ...]
    """By which predictions are judged; the first is the one that sentences speak of."""
    baselines: tuple[str, ...]
    """Predictors that a Prophet must beat; the first expects that nothing changes."""
    logged: str
    """The metric of a training that tells how good predictions are; ``<logged>_<k>`` is that of one frame ahead."""
    logged_words: str
    """What it is, for charts,"""
    logged_unit: str
    """and for their axis."""
    logged_baseline: str
    """Ending of the metric of the first baseline: ``<logged><ending>`` and ``<logged><ending>_<k>``."""


TARGETS: Table[Target] = Table(
    "target",
    "targets",
    (
        Target(
            name="latents",
            predicts="the encoder's continuous latents",
            stored="float16 [N, P, D]",
            code=Reference("world_modality.memory.target:LATENTS"),
            figures=(
                Figure("skill", "skill", "1 - MSE / MSE of persistence"),
                Figure("change_cosine", "cosine of the change", "cosine of predicted and true change"),
                Figure("cosine", "cosine", "cosine of predicted and true latents"),
            ),
            baselines=("persistence", "mean_reversion", "velocity", "ridge"),
            logged="world_cos",
            logged_words="Cosine of predicted and true future latents",
            logged_unit="cosine",
            logged_baseline="_persistence",
        ),
        Target(
            name="tokens",
            predicts="the world tokens of the encoder's latents",
            stored="int32 [N, P]",
            code=Reference("world_modality.tokens.target:TOKENS"),
            figures=(
                Figure("top1", "top-1 accuracy", "how often the likeliest token is the one that came"),
                Figure("top5", "top-5 accuracy", "how often it is among the five likeliest"),
            ),
            baselines=("copy", "bigram"),
            logged="world_top1",
            logged_words="Share of the next frames' world tokens that were foreseen",
            logged_unit="top-1 accuracy",
            logged_baseline="_copy",
        ),
    ),
)
