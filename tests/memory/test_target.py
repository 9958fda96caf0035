"""A target's row says what its code gives, and nothing but the target knows how predictions are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.world_sizes import world_sizes

from world_modality.errors import UserError
from world_modality.facts import table
from world_modality.facts.table import Reference, Table
from world_modality.facts.targets import TARGETS
from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows
from world_modality.memory import target
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.target import at_least_one, mean_over_processes, shares_batches
from world_modality.memory.world import WorldMemory
from world_modality.tokens.baselines import likeliest_followers
from world_modality.tokens.target import TOKENS

FRAMES, BOUNDS = np.array([0, 1, 2, 5, 6]), EpisodeBounds.of([0, 4], [4, 9])


def window(frames: np.ndarray, context: int = 2, prediction_horizon: int = 3, tokens: int = 2) -> LatentWindow:
    latents = torch.randn(9, tokens, 4, generator=torch.Generator().manual_seed(0))
    start, end = BOUNDS.around(frames)
    future, valid = future_rows(frames, end, prediction_horizon)
    return LatentWindow(latents[past_rows(frames, start, context)], latents[future], torch.from_numpy(valid))


VOCABULARY = 4


def token_window(frames: np.ndarray) -> LatentWindow:
    """The windows of ``window``, of tokens: each latent's largest number."""
    found = window(frames)
    return LatentWindow(found.history.argmax(-1), found.future.argmax(-1), found.valid)


WINDOWS = {"latents": window, "tokens": token_window}


@pytest.mark.parametrize("name", TARGETS.names)
@pytest.mark.parametrize("hypotheses", [1, 3])
def test_the_row_names_what_the_code_gives(name: str, hypotheses: int) -> None:
    row, code = TARGETS[name], target.target_of(name)
    ahead = np.minimum(BOUNDS.around(FRAMES)[1] - 1 - FRAMES, 3)
    baselines = code.fit_baselines(WINDOWS[name], FRAMES, ahead, np.zeros(len(FRAMES), bool))
    seen = WINDOWS[name](FRAMES)
    predicted = baselines.predict(seen.history)
    assert tuple(predicted) == row.baselines
    assert all(each.shape == window(FRAMES).future.shape for each in predicted.values())  # W numbers, or V logits
    metrics = code.metrics(3)
    guess = torch.randn(len(FRAMES), hypotheses, 3, 2, 4)
    best = code.best_hypothesis(guess, seen.future, seen.valid)
    assert best.shape == (len(FRAMES), 1, 3, 2, 4)
    metrics.add({"prophet": guess, row.baselines[0]: predicted[row.baselines[0]][:, None]}, seen.history[:, -1],
                seen.future, seen.valid)  # fmt: skip
    figures = metrics.figures()
    assert set(figures["prophet"]) == {figure.name for figure in row.figures}
    assert all(len(values) == 3 for values in figures["prophet"].values())
    still = (seen.history[:, -1:] == seen.future).float().mean(-1) if name == "tokens" else None
    for k, value in enumerate(figures[row.baselines[0]][row.figures[0].name]):
        there = seen.valid[:, k]
        assert value == (0 if still is None else pytest.approx(float(still[there, k].mean()), abs=1e-4))
    assert metrics.frames == seen.valid.sum(0).tolist()
    summary = code.score(guess, seen.history[:, -1], seen.future, seen.valid, delta=True).summary()
    logged = [f"{row.logged}{ending}{k}" for ending in ("", row.logged_baseline) for k in ("", "_1", "_2", "_3")]
    assert {"world_loss", *logged} <= summary.keys()


def test_a_score_of_tokens_is_that_of_the_textbook() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 1, 3, 2, VOCABULARY, generator=generator)
    seen = token_window(FRAMES)
    score = TOKENS.score(logits, seen.history[:, -1], seen.future, seen.valid, delta=True)
    chances = logits[:, 0].softmax(-1)
    wanted, right, counted = 0.0, 0.0, 0
    for row, k in seen.valid.nonzero().tolist():
        for place in range(2):
            came = int(seen.future[row, k, place])
            wanted -= float(chances[row, k, place, came].log())
            right += float(chances[row, k, place].argmax() == came)
            counted += 1
    assert score.loss().item() == pytest.approx(wanted / counted, rel=1e-5)
    summary = score.summary()
    assert summary["world_top1"] == pytest.approx(right / counted, rel=1e-5)
    assert summary["world_top5"] == 1.0  # of four tokens
    assert score.loss_per_sample().shape == (5,)


def test_bigrams_of_a_target_are_those_of_the_analysis() -> None:
    ahead = np.minimum(BOUNDS.around(FRAMES)[1] - 1 - FRAMES, 3)
    found = TOKENS.fit_baselines(token_window, FRAMES, ahead, np.zeros(len(FRAMES), bool))
    seen = token_window(FRAMES)
    there = ahead > 0
    followers = likeliest_followers(
        seen.history[there, -1].numpy().astype(np.int32), seen.future[there, 0].numpy().astype(np.int32), found.size
    )
    assert found.following[0].tolist() == followers.tolist()


class Counted:
    """A target of another package: its loss is the number of frames that are predicted."""

    def score(self, prediction: Any, current: Any, future: Any, valid: Any, *, delta: bool) -> Any:
        return float(valid.sum())


OTHER = Counted()


def test_a_target_of_another_package_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        dist = None

        def load(self) -> Any:
            row = TARGETS["latents"]
            return type(row)(**{**vars(row), "name": "counted", "code": Reference(f"{__name__}:OTHER")})

    monkeypatch.setattr(table, "entry_points", lambda group: [Point()] if group.endswith("targets") else [])
    monkeypatch.setattr(target, "TARGETS", Table("target", "targets", tuple(TARGETS)))
    world = WorldMemory(world_sizes(target="counted"), seed=0)
    assert world.target.score(None, None, None, torch.ones(2, 3), delta=True) == 6
    with pytest.raises(UserError, match="'pixels' is not a target; choose one of latents, tokens, counted"):
        WorldMemory(world_sizes(target="pixels"), seed=0)


def test_a_single_process_has_the_whole_batch() -> None:
    counts = torch.tensor([3, 0])
    assert not shares_batches()
    assert mean_over_processes(counts) is counts


def test_nothing_is_divided_by_one() -> None:
    assert at_least_one(torch.tensor([0, 1, 7])).tolist() == [1, 1, 7]
    assert at_least_one(torch.tensor([0.0, 0.5])).tolist() == [1.0, 0.5]  # half a sample per process is one of two
