"""How episodes become jobs, and how settings that are left out are filled in."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_study import SMALL_STUDY, edited, fixed_sources

from world_modality.study.load import load_study
from world_modality.study.slices import blocks, dataset_spec, optim_spec, round_optim_spec
from world_modality.study.study import Rollouts, Study


def study_of(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_study(path).study


@st.composite
def rollouts(draw: st.DrawFn) -> Rollouts:
    states = draw(st.integers(1, 50))
    episodes = draw(st.integers(1, states) | st.integers(1, 5).map(lambda repeats: repeats * states))
    return Rollouts(init_states=f"0-{states - 1}", episodes=episodes, block=draw(st.integers(1, 60)))


@given(rollouts())
def test_blocks_hold_every_episode_once_and_at_most_block_of_them(settings: Rollouts) -> None:
    episodes = [(state, repeat) for states, repeat in blocks(settings) for state in states]
    used = settings.init_states[: settings.episodes]
    assert sorted(episodes) == sorted(product(used, range(settings.episodes // len(used))))
    assert len(episodes) == settings.episodes
    assert all(len(states) <= settings.block for states, _ in blocks(settings))


@given(rollouts(), st.integers(1, 4))
def test_more_repeats_keep_every_block(settings: Rollouts, more: int) -> None:
    if settings.episodes < len(settings.init_states):
        return
    longer = settings.model_copy(update={"episodes": settings.episodes + more * len(settings.init_states)})
    assert blocks(longer)[: len(blocks(settings))] == blocks(settings)


@given(rollouts())
def test_more_initial_states_keep_every_full_block(settings: Rollouts) -> None:
    if settings.episodes >= len(settings.init_states):
        return
    longer = settings.model_copy(update={"episodes": len(settings.init_states)})
    full = {block for block in blocks(settings) if len(block[0]) == settings.block}
    assert full <= set(blocks(longer))


def test_schedule_defaults(tmp_path: Path) -> None:
    optim = optim_spec(study_of(tmp_path, edited(("batch_size: 2", "batch_size: 2\n  lr: 4e-4"))), "pred")
    assert (optim.decay_steps, optim.decay_lr) == (10, pytest.approx(1e-5))


def test_a_round_takes_over_everything_but_the_schedule(tmp_path: Path) -> None:
    text = edited(("batch_size: 2", "batch_size: 2\n  lr: 4e-4\n  warmup_steps: 9\n  decay_steps: 99\n  grad_clip: 3"))
    study = study_of(tmp_path, text + "pretrain: [{demonstrations: 1, steps: 5, batch_size: 7}]\n")
    optim = round_optim_spec(study, study.pretrain[0])
    assert (optim.steps, optim.batch_size, optim.lr, optim.grad_clip) == (5, 7, 4e-4, 3)
    assert (optim.warmup_steps, optim.decay_steps, optim.decay_lr) == (0, 5, pytest.approx(1e-5))


def test_horizon_is_the_suites_unless_given(tmp_path: Path) -> None:
    assert study_of(tmp_path, SMALL_STUDY).horizon("libero_spatial") == 220
    assert study_of(tmp_path, edited((", horizon: 220}", "}"))).horizon("libero_spatial") == 280


@pytest.mark.parametrize(
    ("data", "fps"),
    [
        ("source: scripted\n  demonstrations: {per_task: 1, init_states: 0-9}", 10),
        ("{source: hub, repo_id: lerobot/libero, revision: main}", None),
        ("{source: folder, path: data}", None),
    ],
)
def test_only_data_made_here_is_given_a_rate(tmp_path: Path, data: str, fps: int | None) -> None:
    start, end = SMALL_STUDY.index("  source: scripted"), SMALL_STUDY.index("encoder:")
    study = study_of(tmp_path, SMALL_STUDY[:start] + f"  {data}\n" + SMALL_STUDY[end:])
    source = fixed_sources(study).dataset
    assert source is not None
    assert dataset_spec(study, source).fps == fps
