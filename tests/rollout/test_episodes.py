import dataclasses
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.toy_world import SUITE, toy_spec

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.episodes import Episode, counted_seed, environment_seed, episodes_of, flow_seed

indices = st.integers(0, 60)


@pytest.mark.defect("W10")
def test_episodes_are_every_init_state_and_repeat_in_order():
    spec = toy_spec(task=1, init_states=(7, 3, 5), repeats=2)
    assert episodes_of(spec) == (
        Episode(1, 3, 0),
        Episode(1, 3, 1),
        Episode(1, 5, 0),
        Episode(1, 5, 1),
        Episode(1, 7, 0),
        Episode(1, 7, 1),
    )


def test_blocks_of_a_cell_hold_its_episodes_once():
    cell = episodes_of(toy_spec(init_states=(3, 5, 7), repeats=2))
    blocks = [
        toy_spec(init_states=states, repeats=1, first_repeat=repeat) for states in ((3, 5), (7,)) for repeat in (0, 1)
    ]
    assert sorted(episode for block in blocks for episode in episodes_of(block)) == list(cell)


def test_episodes_and_seeds_are_the_same_in_every_arm_and_mode():
    """Whatever cells may differ in (memory mode, replan rhythm, flow steps, horizon) leaves episodes and seeds
    alone."""
    plain = toy_spec()
    for changes in ({"memory": "pred"}, {"memory": "random"}, {"n_action_steps": 1}, {"num_steps": 9}, {"horizon": 7}):
        other = toy_spec(**changes)
        assert episodes_of(other) == episodes_of(plain)
    assert list(inspect.signature(environment_seed).parameters) == ["suite", "episode"]
    assert list(inspect.signature(flow_seed).parameters) == ["suite", "episode", "replan"]
    assert [field.name for field in dataclasses.fields(Episode)] == ["task", "init_state", "repeat"]


def test_suites_tasks_states_repeats_and_looks_have_seeds_of_their_own():
    first = Episode(0, 0, 0)
    others = [Episode(1, 0, 0), Episode(0, 1, 0), Episode(0, 0, 1)]
    scenes = [("libero_spatial", first), ("libero_goal", first), *(("libero_spatial", episode) for episode in others)]
    assert len({environment_seed(*scene) for scene in scenes}) == len(scenes)
    assert len({flow_seed(*scene, look) for scene in scenes for look in (0, 1)}) == 2 * len(scenes)


@given(indices, indices, indices, indices)
def test_seeds_fit_their_generators(task, init_state, repeat, replan):
    episode = Episode(task, init_state, repeat)
    assert 0 <= environment_seed("libero_spatial", episode) < 2**32
    assert 0 <= flow_seed("libero_spatial", episode, replan) < 2**63


def test_seeds_of_a_study_do_not_collide():
    episodes = [
        Episode(task, init_state, repeat) for task in range(10) for init_state in range(50) for repeat in range(4)
    ]
    assert len({environment_seed("libero_spatial", episode) for episode in episodes}) >= len(episodes) - 2
    flows = {flow_seed("libero_spatial", episode, replan) for episode in episodes for replan in range(28)}
    assert len(flows) == len(episodes) * 28


def test_lerobots_seeds_count_a_tasks_episodes():
    suite = SUITES["libero_spatial"]
    episodes = [Episode(3, state, repeat) for repeat in range(2) for state in range(50)]
    assert [counted_seed(1000, suite, episode) for episode in episodes] == list(range(1000, 1100))
    unrecorded = dataclasses.replace(SUITE, init_states=None)
    with pytest.raises(UserError, match="--lerobot-seed: toy_suite has no recorded initial states"):
        counted_seed(1000, unrecorded, episodes[0])


def test_seeds_are_pinned():
    """These numbers decide which scenes and noise a study meets: changing them changes every result."""
    episode = Episode(3, 17, 1)
    assert environment_seed("libero_spatial", episode) == 1621374241
    assert flow_seed("libero_spatial", episode, 5) == 9075847364345063142
