"""The order in which a study that may stop early meets its scenes, and how looks cut it; known before any rollout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from world_modality.store.keys import keyed_seed
from world_modality.study.slices import Block, blocks
from world_modality.study.specs import ReportSpec
from world_modality.study.study import Rollouts, Study


def scene_order(suite: str, task: int, init_states: Sequence[int]) -> tuple[int, ...]:
    """A task's initial states in an order that nobody chose: by keyed draws, the same for everybody.

    >>> sorted(scene_order("libero_goal", 3, range(4)))
    [0, 1, 2, 3]
    """
    return tuple(sorted(init_states, key=lambda state: (keyed_seed("look", suite, task, state), state)))


def looks_of(study: Study) -> int:
    """How many looks there are; 1 for a study that does not stop early."""
    if study.evidence.stop_early is None:
        return 1
    states = len(study.rollouts.init_states[: study.rollouts.episodes])
    return -(-states // study.evidence.stop_early)


def blocks_of(study: Study, suite: str, task: int) -> Iterator[tuple[int, Block]]:
    """A cell's blocks of episodes, each with the look that needs it, from 0; all the first's without early stops."""
    size = study.evidence.stop_early
    if size is None:
        yield from ((0, block) for block in blocks(study.rollouts))
        return
    order = scene_order(suite, task, study.rollouts.init_states[: study.rollouts.episodes])
    for look in range(looks_of(study)):
        states = tuple(sorted(order[look * size : (look + 1) * size]))
        yield from ((look, block) for block in blocks(_of_look(study.rollouts, states)))


def _of_look(rollouts: Rollouts, states: tuple[int, ...]) -> Rollouts:
    """The rollouts of some of the initial states, each repeated as often as in the study."""
    planned = len(rollouts.init_states[: rollouts.episodes])
    return rollouts.model_copy(update={"init_states": states, "episodes": len(states) * (rollouts.episodes // planned)})


def states_asked(spec: ReportSpec, suite: str, task: int) -> tuple[int, ...]:
    """The initial states of a task that a report holds: the study's, or those of the looks that are asked for."""
    if spec.looks is None or spec.evidence.stop_early is None:
        return spec.init_states
    return scene_order(suite, task, spec.init_states)[: spec.looks * spec.evidence.stop_early]


def scenes_per_task(spec: ReportSpec) -> int:
    """How many they are."""
    if spec.looks is None or spec.evidence.stop_early is None:
        return len(spec.init_states)
    return min(len(spec.init_states), spec.looks * spec.evidence.stop_early)
