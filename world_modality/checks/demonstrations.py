"""How long the scripted expert may take for a demonstration."""

from __future__ import annotations

from collections.abc import Iterator

from world_modality.checks.finding import Finding
from world_modality.facts.benchmarks import SUITES
from world_modality.study.parts import ScriptedData
from world_modality.study.study import Study


def demonstration_findings(study: Study) -> Iterator[Finding]:
    """Attempts that end earlier than an episode of their suite, since the study shortened those of its rollouts."""
    data = study.data
    if not isinstance(data, ScriptedData) or data.demonstrations.max_steps is not None:
        return
    longer = {name: SUITES[name].horizon for name in study.data_suites if study.horizon(name) < SUITES[name].horizon}
    if longer:
        told = ", ".join(f"{name} has {steps}" for name, steps in longer.items())
        message = (
            f"attempts are given up after simulator.horizon, {study.simulator.horizon} control steps, where {told}: "
            "say how many the expert may take"
        )
        yield Finding("warning", "data", "data.demonstrations.max_steps", message)
