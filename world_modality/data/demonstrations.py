"""Stage "demos": demonstrations of one task by the scripted expert, with noise in what it does but not in its labels.

Laskey, Lee, Fox, Dragan, Goldberg: DART: Noise Injection for Robust Imitation Learning, 2017. A policy that saw only
clean demonstrations does not know the way back after its first error.
"""

from __future__ import annotations

import numpy as np

from world_modality.benchmarks.contract import Observation, make_expert, open_assets, open_simulator
from world_modality.data.collecting import collect, to_episode
from world_modality.data.episode_file import EpisodeFile
from world_modality.data.recording import Decision, record
from world_modality.facts.benchmarks import SUITES
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import DemosSpec


def run(spec: DemosSpec, context: StageContext) -> Facts:
    """Record ``spec.episodes`` successful episodes of one task; failed attempts are counted and not written.

    Raises:
        UserError: the suite has no expert, the assets are not the planned ones, or far too many attempts fail.
    """
    suite = SUITES[spec.sim.suite]
    simulator = open_simulator(spec.sim, spec.task, open_assets(spec.sim))

    def attempt(number: int) -> EpisodeFile | None:
        seed = keyed_seed("demo", suite.name, spec.task, spec.seed, number)
        init_state = spec.init_states[number % len(spec.init_states)]
        simulator.reset(suite.recorded(init_state), seed)
        expert = make_expert(suite, simulator, np.random.default_rng(seed), spec.noise)

        def drive(_: Observation) -> Decision:
            label = expert.act()
            return Decision(label, expert.disturb(label), expert.finishing)

        recording = record(simulator, drive, spec.max_steps)
        if not recording.success:
            return None
        return to_episode(
            recording,
            suite=suite.name,
            task=spec.task,
            language=simulator.language,
            init_state=init_state,
            seed=seed,
            attempt=number,
        )

    try:
        return collect(
            context,
            wanted=spec.episodes,
            attempt=attempt,
            counted="demonstrations",
            what=f"demonstrating task {spec.task} of {suite.name}",
            remedy="raise data.demonstrations.max_steps or lower data.demonstrations.noise",
        )
    finally:
        simulator.close()
