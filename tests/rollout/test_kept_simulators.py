"""Simulator processes that several rollouts of one job share."""

from __future__ import annotations

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.graphics import choose_opengl
from world_modality.rollout.messages import Act, Begin, Did
from world_modality.rollout.pool import Heard, Pool, kept_simulators, simulator_pool

SPEC = sim_spec(settle_steps=1)


@pytest.fixture(autouse=True)
def opengl() -> None:
    choose_opengl()


def answer(pool: Pool) -> Did:
    while True:
        for event in pool.receive(60.0):
            assert isinstance(event, Heard), event
            assert isinstance(event.answer, Did), event.answer
            return event.answer


def episode(pool: Pool, init_state: int) -> tuple[object, ...]:
    """What an episode with fixed actions shows, to the last bit."""
    pool.send(Begin(0, 0, init_state, 5))
    first = answer(pool)
    actions = np.random.default_rng(init_state).uniform(-1, 1, (3, 7)).astype(np.float32)
    pool.send(Act(0, actions, (), (), (), True))
    last = answer(pool)
    pool.finished(0)
    assert first.view is not None
    assert last.view is not None
    assert first.scene is not None
    views = [view.images[camera].tobytes() for view in (first.view, last.view) for camera in view.images]
    poses = [pose.tobytes() for pose in first.scene.settled.values()]
    return (*views, *poses, first.view.state.tobytes(), last.view.state.tobytes(), first.scene.init_state_digest)


def test_a_rollout_sees_the_same_on_the_simulators_of_another_as_on_its_own() -> None:
    with simulator_pool(SPEC, STAND_INS, 1) as alone:
        wanted = episode(alone, 4)
    assert not alone._processes[0].process.is_alive()
    with kept_simulators():
        with simulator_pool(SPEC, STAND_INS, 1) as first:
            episode(first, 9)
        with simulator_pool(SPEC, STAND_INS, 1) as second:
            assert second is first
            assert episode(second, 4) == wanted
    assert not first._processes[0].process.is_alive()


def fail_with(pool: Pool) -> None:
    with simulator_pool(sim_spec(settle_steps=2), STAND_INS, 1) as again:
        assert again is pool
        raise ZeroDivisionError


def test_simulators_are_kept_for_equal_ones_alone_and_not_after_a_failure() -> None:
    with kept_simulators():
        with simulator_pool(SPEC, STAND_INS, 1) as first:
            pass
        with simulator_pool(sim_spec(settle_steps=2), STAND_INS, 1) as other:
            assert other is not first
            first._processes[0].process.join(10)
            assert not first._processes[0].process.is_alive()
        with pytest.raises(ZeroDivisionError):
            fail_with(other)
        assert not other._processes[0].process.is_alive()
        with simulator_pool(sim_spec(settle_steps=2), STAND_INS, 1) as unanswered:
            assert unanswered is not other
            unanswered.send(Begin(0, 0, 1, 0))
        assert not unanswered._processes[0].process.is_alive()
