"""Trainings compared as those of arms that declare so much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_modality.study.comparable import Declared, Trained, require_comparable
from world_modality.study.specs import ReportArm


def compare(
    trainings: Mapping[str, Mapping[str, Any]], settings: Declared, *words: str, against: str = "", advice: str = ""
) -> None:
    """UserError unless trainings, each of an arm of its own, differ in memory and ``words`` alone."""
    arms = [
        ReportArm(name=name, against="" if name == against else against, declared=("memory", *words), trainings=(name,))
        for name in trainings
    ]
    trained = {name: Trained(name, described) for name, described in trainings.items()}
    require_comparable(trained, arms, settings, advice)
