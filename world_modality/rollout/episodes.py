"""What is rolled out and with which seeds: pure functions of the scene, so every arm meets the same."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite
from world_modality.store.keys import keyed_seed
from world_modality.study.specs import RolloutSpec

SIMULATOR_SEEDS = 2**32  # numpy's global generator, which LIBERO seeds at reset, takes 32 bits


@dataclass(frozen=True, slots=True, order=True)
class Episode:
    """One rollout: a task's initial state and its repeat. Sorted in this order."""

    task: int
    init_state: int
    repeat: int


def episodes_of(spec: RolloutSpec) -> tuple[Episode, ...]:
    """The episodes of one rollout stage in order; ``len(init_states) * repeats`` of them."""
    return tuple(
        sorted(
            Episode(spec.task, init_state, repeat)
            for init_state in set(spec.init_states)
            for repeat in range(spec.first_repeat, spec.first_repeat + spec.repeats)
        )
    )


def environment_seed(suite: str, episode: Episode) -> int:
    """The simulator's seed at reset, 32 bits: it decides what the initial state leaves open (fixture poses)."""
    return keyed_seed("env", suite, episode.task, episode.init_state, episode.repeat) % SIMULATOR_SEEDS


def counted_seed(first: int, suite: Suite, episode: Episode) -> int:
    """The simulator's seed at reset that ``lerobot-eval --seed FIRST`` gives the same episode of a task.

    It counts them: number e has seed FIRST + e and starts from recorded initial state e modulo their number. UserError
    if the suite has none recorded, and so no such order.
    """
    if suite.init_states is None:
        raise UserError(f"--lerobot-seed: {suite.name} has no recorded initial states, by which episodes are counted")
    return first + episode.repeat * suite.init_states + episode.init_state


def flow_seed(suite: str, episode: Episode, replan: int) -> int:
    """The seed of the flow-matching noise at an episode's ``replan``-th query, 63 bits."""
    return keyed_seed("flow", suite, episode.task, episode.init_state, episode.repeat, replan)
