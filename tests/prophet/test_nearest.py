"""Nearest training frames: what tells moments apart does so here, and what does not, does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.latent_episodes import LatentEpisodes

from world_modality.memory.attachment import ProphetSizes
from world_modality.prophet import nearest
from world_modality.prophet.nearest import JudgedEpisodes, nearest_frames

LENGTH, STEP, WIDTH = 30, 4, 16
TASKS = ("lift", "push") * 4
HELD_OUT = (6, 7)

Draw = Callable[[int, np.random.Generator], NDArray[np.float64]]


def clock(episode: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Latents that tell the time, and the task."""
    time = np.linspace(0, 3, LENGTH)[:, None]
    turns = np.concatenate([np.cos(time * (1 + k)) for k in range(WIDTH)], axis=1)
    return (turns + 0.02 * rng.normal(size=turns.shape) + 3.0 * (episode % 2))[:, None]


def noise(_: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Latents that tell nothing."""
    return rng.normal(size=(LENGTH, 1, WIDTH))


def episodes_of(draw: Draw, count: int = len(TASKS)) -> LatentEpisodes:
    numbers = iter(range(count))
    return LatentEpisodes.drawn(lambda rng: draw(next(numbers), rng), count, 3, STEP, seed=0)


def found_in(draw: Draw, held_out: tuple[int, ...] = HELD_OUT, ahead: int = STEP) -> dict[str, Any] | None:
    """Of a Prophet that knows the frame ``ahead`` steps later."""
    world = episodes_of(draw)
    sizes = ProphetSizes(
        dim=WIDTH, context=3, prediction_horizon=STEP, heads=1, prophet_layers=1, prophet_width=8, delta=True
    )

    def predict(_: torch.Tensor, frames: NDArray[np.int64]) -> torch.Tensor:
        _, end = world.bounds.around(frames)
        rows = np.minimum(frames + ahead, end - 1)
        return torch.from_numpy(world.latents[rows])[:, None, None].expand(-1, 1, STEP, -1, -1)

    def latents(frames: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(world.latents[frames])

    return nearest_frames(predict, sizes, JudgedEpisodes(world.bounds, TASKS, held_out), world.windows, latents)


def shares(found: dict[str, Any], kind: str) -> tuple[float, float]:
    """Distance in time relative to chance, and how often the task is the same."""
    sums = found["by_episode"]
    gap = sum(sums["moment_gap"][kind]) / sum(sums["moment_gap"]["chance"])
    return gap, sum(sums["same_task"][kind]) / sum(sums["frames"])


def test_latents_that_tell_the_time_find_it() -> None:
    found = found_in(clock)
    assert found is not None
    assert (found["step"], found["frames"], found["candidates"]) == (STEP, 2 * (LENGTH - STEP), 6 * LENGTH)
    assert found["by_episode"]["episodes"] == list(HELD_OUT)
    for kind in ("true", "predicted"):
        gap, same = shares(found, kind)
        assert gap < 0.1
        assert same == 1.0
    assert shares(found, "chance")[1] == 0.5
    late = shares(found, "present")[0]  # the present is as far off as the step is long
    assert shares(found, "true")[0] < late < 1


def test_latents_that_tell_nothing_find_it_by_chance() -> None:
    found = found_in(noise)
    assert found is not None
    gap, same = shares(found, "true")
    assert 0.7 < gap < 1.3
    assert 0.2 < same < 0.8


def test_a_prophet_that_foresees_the_present_is_late() -> None:
    found = found_in(clock, ahead=0)
    assert found is not None
    assert shares(found, "predicted") == pytest.approx(shares(found, "present"))
    assert shares(found, "predicted")[0] > 2 * shares(found, "true")[0]


def test_the_nearest_frame_is_never_of_the_same_episode() -> None:
    """Where none is held out the frame itself would be the nearest one."""
    found = found_in(clock, held_out=())
    assert found is not None
    for example in found["examples"]:
        assert example["true"] == example["present"] + STEP
        assert example["nearest_to_true"] // LENGTH != example["true"] // LENGTH
        assert abs(example["nearest_to_true"] % LENGTH - example["true"] % LENGTH) <= 2


def test_the_effective_rank_is_that_within_tasks() -> None:
    """Two tasks that lie apart would be one more axis."""
    spread, flat = found_in(noise), found_in(lambda episode, _: np.full((LENGTH, 1, WIDTH), float(episode % 2)))
    assert spread is not None
    assert flat is not None
    assert WIDTH - 2 < spread["rank"]["within_tasks"] <= WIDTH
    assert flat["rank"]["within_tasks"] == 0.0
    assert spread["rank"]["fewest_frames"] == 3 * LENGTH


def test_there_is_nothing_to_tell_without_another_episode_or_a_frame_as_far_ahead() -> None:
    one = episodes_of(clock, 1)
    sizes = ProphetSizes(
        dim=WIDTH, context=3, prediction_horizon=STEP, heads=1, prophet_layers=1, prophet_width=8, delta=True
    )
    alone = JudgedEpisodes(one.bounds, TASKS[:1])
    assert nearest_frames(lambda *_: pytest.fail("asked"), sizes, alone, one.windows, torch.from_numpy) is None
    far = ProphetSizes(
        dim=WIDTH, context=3, prediction_horizon=LENGTH, heads=1, prophet_layers=1, prophet_width=8, delta=True
    )
    both = JudgedEpisodes(episodes_of(clock, 2).bounds, TASKS[:2])
    assert nearest_frames(lambda *_: pytest.fail("asked"), far, both, one.windows, torch.from_numpy) is None


def test_more_frames_than_can_be_searched_are_drawn_by_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "ASKED", 10)
    monkeypatch.setattr(nearest, "CANDIDATES", 50)
    found = found_in(clock)
    assert found is not None
    assert (found["frames"], found["candidates"]) == (10, 50)
    assert found == found_in(clock)
