"""Stage "relabel": the policy drives, the expert says at every step what it would have done (DAgger).

Ross, Gordon, Bagnell: A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning, 2011.
The expert takes over where it says that one wrong step would end the attempt, and moves the gripper throughout.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Expert, Observation, Simulator, make_expert
from world_modality.data.collecting import collect_recordings
from world_modality.data.recording import Decision, Recording, record
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, ActionLayout
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import RelabelSpec

STEPS_BEFORE_LETTING_GO = 2


class BlockDriver:
    """Lets the policy drive a share of the blocks of ``block_steps`` steps, and the expert the others.

    Which blocks is drawn ahead of the policy's actions, so two policies are given the same blocks. The gripper
    follows the expert throughout.
    """

    def __init__(
        self,
        expert: Expert,
        predict: Callable[[Observation, int], NDArray[np.float32]],
        action: ActionLayout,
        *,
        policy_share: float,
        block_steps: int,
        rng: np.random.Generator,
    ) -> None:
        """``predict(observation, block)`` gives a chunk of at least ``block_steps`` actions [A]."""
        self._expert = expert
        self._action = action
        self._predict = predict
        self._share = policy_share
        self._block_steps = block_steps
        self._rng = rng
        self._step = 0
        self._chunk: NDArray[np.float32] | None = None

    def __call__(self, observation: Observation) -> Decision:
        """Decide on the next step of the episode."""
        block, place = divmod(self._step, self._block_steps)
        self._step += 1
        label = self._expert.act()
        if place == 0:
            drives = self._rng.random() < self._share
            self._chunk = self._predict(observation, block) if drives else None
        executed = label
        if self._chunk is not None and not self._expert.delicate:
            executed = self._action.executed(self._chunk[place]).astype(np.float32)
            if self._action.gripper is not None:
                executed[self._action.gripper.index] = label[self._action.gripper.index]
        return Decision(label, executed, self._expert.finishing)


def worth_learning(recording: Recording) -> Recording:
    """The part of an episode whose labels lead to success.

    All of a solved one. One that was never solved ends before the expert first takes it for solved: from there on its
    labels teach to leave the object where it is.
    """
    if recording.success or True not in recording.finishing:
        return recording
    return recording.first(max(0, recording.finishing.index(True) - STEPS_BEFORE_LETTING_GO))


def run(spec: RelabelSpec, context: StageContext) -> Facts:
    """Record ``spec.episodes`` episodes of one task, solved or not.

    Raises:
        UserError: the policy cannot drive (its chunk is shorter than a block), or too many attempts gave nothing.
    """
    import torch

    from world_modality.policies.chunk_policy import load_policy
    from world_modality.policies.precision import device_named

    torch.set_num_threads(1)  # how many cores a job was given must not decide how its sums are rounded
    policy = load_policy(
        context.one("policy"), device_named(spec.device, "training.device"), suite=SUITES[spec.sim.suite], trained=False
    )
    if policy.chunk_size < spec.block_steps:
        raise UserError(
            f"data.relabel.block_steps: the policy gives chunks of {policy.chunk_size} actions, so it cannot drive "
            f"{spec.block_steps} steps blindly: use {policy.chunk_size} or less"
        )
    suite = SUITES[spec.sim.suite]

    def attempt(simulator: Simulator, seed: int) -> Recording | None:
        driver = BlockDriver(
            make_expert(suite, simulator, np.random.default_rng(seed), noise=None),
            lambda observation, block: policy.predict(observation, simulator.language, keyed_seed("flow", seed, block)),
            suite.action,
            policy_share=spec.policy_share,
            block_steps=spec.block_steps,
            rng=np.random.default_rng(keyed_seed("blocks", seed)),
        )
        recording = worth_learning(record(simulator, driver, spec.max_steps))
        return recording if len(recording) else None

    return collect_recordings(
        context,
        spec,
        purpose="relabel",
        attempt=attempt,
        counted="relabelled episodes",
        doing="relabelling",
        remedy="raise data.relabel.max_steps (simulator.horizon by default), or lower data.relabel.policy_share",
    )
