"""Stage "demos": demonstrations of one task by the scripted expert, with noise in what it does but not in its labels.

Laskey, Lee, Fox, Dragan, Goldberg: DART: Noise Injection for Robust Imitation Learning, 2017. A policy that saw only
clean demonstrations does not know the way back after its first error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from world_modality.data.collecting import collect, to_episode
from world_modality.data.episode_file import EpisodeFile
from world_modality.data.recording import Decision, record
from world_modality.store.stage import Facts, StageContext
from world_modality.study.seeds import keyed_seed
from world_modality.study.specs import DemosSpec


def run(spec: DemosSpec, context: StageContext) -> Facts:
    """Record ``spec.episodes`` successful episodes of one task; failed attempts are counted and not written.

    Raises:
        UserError: far too many attempts fail.
    """
    from world_modality.sim.assets import open_assets
    from world_modality.sim.environment import Environment
    from world_modality.sim.expert import Expert
    from world_modality.sim.noise import ActionNoise, displace_arm

    env = Environment(spec.sim, spec.task, open_assets(spec.sim))

    def attempt(number: int) -> EpisodeFile | None:
        seed = keyed_seed("demo", spec.sim.suite, spec.task, spec.seed, number)
        init_state = spec.init_states[number % len(spec.init_states)]
        rng = np.random.default_rng(seed)
        env.reset(init_state, seed)
        displace_arm(env, rng, spec.noise)
        noise = ActionNoise(spec.noise, rng)
        expert = Expert(env, rng)

        def drive(_: Any) -> Decision:
            label = expert.act()
            return Decision(label, noise.disturb(label, expert.phase), expert.phase)

        recording = record(env, drive, spec.max_steps)
        if not recording.success:
            return None
        return to_episode(
            recording, task=spec.task, language=env.language, init_state=init_state, seed=seed, attempt=number
        )

    try:
        return collect(
            context,
            wanted=spec.episodes,
            attempt=attempt,
            unit="demonstrations",
            what=f"demonstrating task {spec.task} of {spec.sim.suite}",
            remedy="raise data.demonstrations.max_steps or lower data.demonstrations.noise",
        )
    finally:
        env.close()
