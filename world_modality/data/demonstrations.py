"""Stage "demos": demonstrations of one task by the scripted expert, with noise in what it does but not in its labels.

Laskey, Lee, Fox, Dragan, Goldberg: DART: Noise Injection for Robust Imitation Learning, 2017. A policy that saw only
clean demonstrations does not know the way back after its first error.
"""

from __future__ import annotations

import numpy as np

from world_modality.benchmarks.contract import Observation, Simulator, make_expert
from world_modality.data.collecting import collect_recordings
from world_modality.data.recording import Decision, Recording, record
from world_modality.facts.benchmarks import SUITES
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import DemosSpec


def run(spec: DemosSpec, context: StageContext) -> Facts:
    """Record ``spec.episodes`` successful episodes of one task; failed attempts are counted and not written.

    Raises:
        UserError: the suite has no expert, the assets are not the planned ones, or far too many attempts fail.
    """
    suite = SUITES[spec.sim.suite]

    def attempt(simulator: Simulator, seed: int) -> Recording | None:
        expert = make_expert(suite, simulator, np.random.default_rng(seed), spec.noise)

        def drive(_: Observation) -> Decision:
            label = expert.act()
            return Decision(label, expert.disturb(label), expert.finishing)

        recording = record(simulator, drive, spec.max_steps)
        return recording if recording.success else None

    return collect_recordings(
        context,
        spec,
        purpose="demo",
        attempt=attempt,
        counted="demonstrations",
        doing="demonstrating",
        remedy="raise data.demonstrations.max_steps (simulator.horizon by default), or lower data.demonstrations.noise",
    )
