"""Estimates as plain, JSON-serialisable data: fractions with six digits, which no machine disputes; None for what is
not known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from world_modality.evidence.effect import Effect
from world_modality.evidence.proportions import Interval

Limits = dict[str, float | None]


def rounded(value: float) -> float | None:
    """Six digits; None for NaN. Zero has no sign."""
    return None if math.isnan(value) else round(value, 6) + 0.0


def probability(p: float) -> float | None:
    """A p-value with three significant digits, since those that tell most are far below six decimals; None for NaN."""
    return None if math.isnan(p) else float(f"{p:.3g}")


def read_finite(file: Path) -> Any:
    """A file's JSON with None for NaN and infinities, which are of figures that could not be measured."""
    return json.loads(file.read_text(), parse_constant=lambda _: None)


def limits(interval: Interval) -> Limits:
    """``estimate``, ``low`` and ``high``."""
    return {name: rounded(getattr(interval, name)) for name in ("estimate", "low", "high")}


def effect_limits(effect: Effect) -> Limits:
    """``estimate``, ``low`` and ``high`` of a difference; only the estimate where nothing else is known."""
    unknown: Limits = {"low": None, "high": None} if effect.problem else {}
    return limits(effect.interval) | unknown
