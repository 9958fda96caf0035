"""Stage "relabel": the policy drives, the expert says at every step what it would have done (DAgger).

Ross, Gordon, Bagnell: A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning, 2011.
The expert takes over in the phases where one wrong step ends the episode: closing and opening the hand, and getting
out of a failed grip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.data.collecting import collect, to_episode
from world_modality.data.episode_file import EpisodeFile
from world_modality.data.recording import Action, Decision, Recording, record
from world_modality.errors import UserError
from world_modality.store.stage import Facts, StageContext
from world_modality.study.seeds import keyed_seed
from world_modality.study.specs import RelabelSpec

EXPERT_PHASES = frozenset({"close", "open", "retreat", "recover"})
LETTING_GO = "open"
STEPS_BEFORE_LETTING_GO = 2
GRIPPER = 6


class Teacher(Protocol):
    """The part of an expert that labels; ``world_modality.sim.expert.Expert`` is one."""

    @property
    def phase(self) -> str:
        """What the last action was part of."""

    def act(self) -> Action:
        """The right action now."""


class BlockDriver:
    """Lets the policy drive a share of the blocks of ``block_steps`` steps, and the expert the others.

    Which blocks is drawn ahead of the policy's actions, so two policies are given the same blocks. The gripper
    follows the expert throughout.
    """

    def __init__(
        self,
        teacher: Teacher,
        predict: Callable[[Any, int], NDArray[np.float32]],
        *,
        policy_share: float,
        block_steps: int,
        rng: np.random.Generator,
    ) -> None:
        """``predict(observation, block)`` gives a chunk of at least ``block_steps`` actions [7]."""
        self._teacher = teacher
        self._predict = predict
        self._share = policy_share
        self._block_steps = block_steps
        self._rng = rng
        self._step = 0
        self._chunk: NDArray[np.float32] | None = None

    def __call__(self, observation: Any) -> Decision:
        """Decide on the next step of the episode."""
        block, place = divmod(self._step, self._block_steps)
        self._step += 1
        label = self._teacher.act()
        if place == 0:
            drives = self._rng.random() < self._share
            self._chunk = self._predict(observation, block) if drives else None
        executed = label
        if self._chunk is not None and self._teacher.phase not in EXPERT_PHASES:
            executed = np.clip(self._chunk[place], -1.0, 1.0).astype(np.float32)
            executed[GRIPPER] = label[GRIPPER]
        return Decision(label, executed, self._teacher.phase)


def worth_learning(recording: Recording) -> Recording:
    """The part of an episode whose labels lead to success.

    All of a solved one. One that was never solved ends before the expert first lets go of the object: from there on
    it believes that it is done, and its labels teach to leave the object where it is.
    """
    if recording.success or LETTING_GO not in recording.phases:
        return recording
    return recording.first(max(0, recording.phases.index(LETTING_GO) - STEPS_BEFORE_LETTING_GO))


def run(spec: RelabelSpec, context: StageContext) -> Facts:
    """Record ``spec.episodes`` episodes of one task, solved or not.

    Raises:
        UserError: the policy cannot drive (its chunk is shorter than a block), or too many attempts gave nothing.
    """
    import torch

    from world_modality.policies.chunk_policy import load_policy
    from world_modality.policies.precision import device_named
    from world_modality.sim.assets import open_assets
    from world_modality.sim.environment import Environment
    from world_modality.sim.expert import Expert

    torch.set_num_threads(1)  # how many cores a job was given must not decide how its sums are rounded
    policy = load_policy(context.one("policy"), device_named(spec.device, "training.device"))
    if policy.chunk_size < spec.block_steps:
        raise UserError(
            f"data.relabel.block_steps: the policy gives chunks of {policy.chunk_size} actions, so it cannot drive "
            f"{spec.block_steps} steps blindly: use {policy.chunk_size} or less"
        )
    env = Environment(spec.sim, spec.task, open_assets(spec.sim))

    def attempt(number: int) -> EpisodeFile | None:
        seed = keyed_seed("relabel", spec.sim.suite, spec.task, spec.seed, number)
        init_state = spec.init_states[number % len(spec.init_states)]
        rng = np.random.default_rng(seed)
        env.reset(init_state, seed)
        driver = BlockDriver(
            Expert(env, rng),
            lambda observation, block: policy.predict(observation, env.language, keyed_seed("flow", seed, block)),
            policy_share=spec.policy_share,
            block_steps=spec.block_steps,
            rng=np.random.default_rng(keyed_seed("blocks", seed)),
        )
        recording = worth_learning(record(env, driver, spec.max_steps))
        if not len(recording):
            return None
        return to_episode(
            recording, task=spec.task, language=env.language, init_state=init_state, seed=seed, attempt=number
        )

    try:
        return collect(
            context,
            wanted=spec.episodes,
            attempt=attempt,
            unit="relabelled episodes",
            what=f"relabelling task {spec.task} of {spec.sim.suite}",
            remedy="raise data.relabel.max_steps or lower data.relabel.policy_share",
        )
    finally:
        env.close()
