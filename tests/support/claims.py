"""The claims of the usual five conditions."""

from __future__ import annotations

from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, PLACEBOS, Claim


def standard_claims(margin: float = 0.05) -> tuple[Claim, ...]:
    """The three-part decision rule as claims: pred > zero, pred > random, E2 > E0, and E1 = E0 beside them."""
    predicted, plain = "predicted memory", "no memory"
    zero, noise = PLACEBOS
    return (
        Claim("pred > zero", CONTENT, "E2", "E2-zero", predicted, zero, "better", "checkpoint", True, margin),
        Claim("pred > random", CONTENT, "E2", "E2-random", predicted, noise, "better", "checkpoint", True, margin),
        Claim("E2 > E0", BETTER, "E2", "E0", predicted, plain, "better", "recipe", False, margin),
        Claim("E1 = E0", HARMLESS, "E1", "E0", zero, plain, "equal", "recipe", False, margin),
    )
