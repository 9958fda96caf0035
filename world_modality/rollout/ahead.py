"""A look ahead from a query: what comes if somebody goes on from there, so that the memory can hold it.

The policy with zero memory goes on as it would in the episode, with the same seeds, or the suite's expert does. The
simulator then goes back, so that the episode itself never knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from world_modality.policies.contract import PolicyRequest
from world_modality.rollout.messages import Ahead, Did
from world_modality.rollout.trajectory import Foresight, Trajectory

Latents = NDArray[np.float32]


class LookAhead:
    """One look ahead under way; it is over when the frames are there that the memory needs, or the episode ended."""

    def __init__(self, episode: Trajectory) -> None:
        """Begin where ``episode`` stands, at a query."""
        self._episode = episode
        self.trajectory = episode.ahead()
        """How the episode goes on meanwhile."""
        self._steps = 0

    @property
    def by_policy(self) -> bool:
        """Whether the policy is asked what to do, rather than the expert."""
        return self._foresight.driver == "policy"

    @property
    def over(self) -> bool:
        """Whether all has been seen."""
        return self.trajectory.over

    def command(self, chunk: NDArray[np.float32] | None) -> Ahead:
        """What to try out next: as much of ``chunk`` as comes before the next query; None where the expert acts.

        UserError if the chunk's numbers are unusable.
        """
        history, seed = self.trajectory.history, self.trajectory.flow_seed
        assert history is not None
        if chunk is None:
            steps, expert = self._foresight.steps, self.trajectory.suite.expert
            return Ahead(self._episode.slot, True, steps, None, expert, seed, history.cameras, (), observe=False)
        self._episode.ahead_queries += 1
        act = self.trajectory.act(chunk)
        return Ahead(
            slot=act.slot,
            begins=self._steps == 0,
            steps=len(act.actions),
            actions=act.actions,
            expert=None,
            seed=seed,
            cameras=history.cameras,
            observations=act.observations,
            observe=act.observe,
            views=act.views,
        )

    def advance(self, did: Did) -> None:
        """Take in what a command led to."""
        self._steps += did.steps
        self._episode.ahead_steps += did.steps
        self.trajectory.advance(did)

    @property
    def _foresight(self) -> Foresight:
        assert self._episode.history is not None
        assert self._episode.history.foresight is not None
        return self._episode.history.foresight

    @staticmethod
    def futures(looks: Sequence[LookAhead]) -> list[Latents]:
        """The latents [K, P, W] of what each look that is over has shown, all encoded at once."""
        seen = []
        for look in looks:
            assert look.trajectory.history is not None
            start, last = look._episode.step, look.trajectory.step
            seen.append((look.trajectory.history.coming(start, last), last - start))
        return looks[0]._foresight.encode(seen) if looks else []


def looks_ahead(trajectory: Trajectory) -> bool:
    """Whether a query of this episode is told of what comes."""
    return trajectory.history is not None and trajectory.history.foresight is not None


def requests_of(
    trajectories: Sequence[Trajectory], *, futures: Sequence[Latents] = (), zero_memory: bool = False
) -> list[PolicyRequest]:
    """What the policy is asked for episodes that wait for a chunk; all windows are encoded at once."""
    histories = {each.slot: each.history for each in trajectories if each.history is not None and each.history.reads}
    latents: Mapping[int, Latents] = {}
    if histories:
        steps = {each.slot: each.step for each in trajectories}
        windows = [history.window(steps[slot]) for slot, history in histories.items()]
        encoder = next(iter(histories.values()))
        latents = dict(zip(histories, encoder.encode(windows), strict=True))
    requests = []
    for number, trajectory in enumerate(trajectories):
        *past, observation = trajectory.views()
        assert trajectory.scene is not None
        requests.append(
            PolicyRequest(
                observation,
                trajectory.scene.language,
                trajectory.flow_seed,
                tuple(past),
                latents.get(trajectory.slot),
                futures[number] if futures else None,
                zero_memory,
            )
        )
    return requests
