"""The figures against loops over samples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.memory.target import LATENTS


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 6),
    hypotheses=st.integers(1, 3),
    prediction_horizon=st.integers(1, 4),
)
def test_figures_are_means_over_valid_frames(seed: int, batch: int, hypotheses: int, prediction_horizon: int) -> None:
    rng = np.random.default_rng(seed)
    guess = rng.normal(size=(batch, hypotheses, prediction_horizon, 2, 5))
    now, future = rng.normal(size=(batch, 2, 5)), rng.normal(size=(batch, prediction_horizon, 2, 5))
    valid = rng.random((batch, prediction_horizon)) < 0.7
    tensors = [torch.tensor(part) for part in (now, future, valid)]
    metrics = LATENTS.metrics(prediction_horizon)
    for rows in np.array_split(np.arange(batch), 2):  # in batches, one of which may be empty
        metrics.add({"own": torch.tensor(guess[rows])}, *(part[rows] for part in tensors))
    figures = metrics.figures(digits=9)["own"]
    assert metrics.frames == valid.sum(0).tolist()
    for k in range(prediction_horizon):
        rows = np.flatnonzero(valid[:, k])
        if not len(rows):
            assert [figures[name][k] for name in ("cosine", "change_cosine", "skill")] == [None] * 3
            continue
        places = [(b, n, p) for b in rows for n in range(hypotheses) for p in range(2)]
        pairs = [(guess[b, n, k, p], future[b, k, p], now[b, p]) for b, n, p in places]
        expected = np.mean([cosine(g, f) for g, f, _ in pairs])
        assert figures["cosine"][k] == pytest.approx(expected, abs=1e-9)
        expected = np.mean([cosine(g - z, f - z) for g, f, z in pairs])
        assert figures["change_cosine"][k] == pytest.approx(expected, abs=1e-9)
        error = np.mean([((g - f) ** 2).mean() for g, f, _ in pairs])
        still = np.mean([((z - f) ** 2).mean() for _, f, z in pairs])
        assert figures["skill"][k] == pytest.approx(1 - error / still, abs=1e-9)


def test_a_scene_that_does_not_change_has_no_direction_and_no_skill_to_show() -> None:
    now = torch.randn(3, 1, 5)
    future = now[:, None].expand(-1, 2, -1, -1)
    metrics = LATENTS.metrics(2)
    metrics.add({"own": future[:, None]}, now, future, torch.ones(3, 2, dtype=torch.bool))
    figures = metrics.figures()["own"]
    assert figures == {"cosine": [1.0, 1.0], "change_cosine": [None, None], "skill": [None, None]}


def test_the_best_hypothesis_is_one_for_all_frames_ahead_that_exist() -> None:
    future = torch.zeros(2, 2, 1, 4)
    far, near = torch.full((2, 2, 1, 4), 2.0), torch.full((2, 2, 1, 4), 1.0)
    near[1, 1] = 9.0  # bad, but only where sample 1 has no future
    valid = torch.tensor([[True, True], [True, False]])
    best = LATENTS.best_hypothesis(torch.stack([far, near], 1), future, valid)
    assert torch.equal(best[:, 0], near)
    assert torch.equal(LATENTS.best_hypothesis(torch.stack([far, near], 1), future, ~valid | valid)[1, 0], far[1])
