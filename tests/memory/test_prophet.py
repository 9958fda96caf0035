from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.world_sizes import world_sizes

from world_modality.memory.prophet import Prophet
from world_modality.memory.target import SHARE_OF_ALL, diversity
from world_modality.memory.target import score_latents as score

DIM, CONTEXT, HORIZON = 6, 3, 4


def small_prophet(**changes: Any) -> Prophet:
    torch.manual_seed(0)
    return Prophet(world_sizes(**changes))


def test_it_predicts_k_latents_and_adds_them_to_the_current_one_only_with_delta() -> None:
    history = torch.randn(5, CONTEXT, 1, DIM)
    prophet = small_prophet()
    assert prophet(history).shape == (5, 1, HORIZON, 1, DIM)
    absolute = small_prophet(delta=False)
    assert torch.equal(prophet(history), history[:, -1:, None] + absolute(history))


@pytest.mark.defect("W1")
def test_the_order_of_the_history_and_of_the_slots_matters() -> None:
    # Of the older frames only: the current one is also added to the prediction.
    prophet, history = small_prophet(delta=False), torch.randn(2, CONTEXT, 1, DIM)
    assert not torch.allclose(prophet(history), prophet(history[:, [1, 0, 2]]), atol=1e-4)
    prediction = prophet(history)
    assert not torch.allclose(prediction[:, 0, 0], prediction[:, 0, 1], atol=1e-4)


def test_hypotheses_and_cameras_are_told_apart() -> None:
    history = torch.randn(2, CONTEXT, 1, DIM)
    prediction = small_prophet(hypotheses=3, cameras=2, delta=False)(history)
    assert prediction.shape == (2, 3, HORIZON, 1, DIM)
    assert not torch.allclose(prediction[:, 0], prediction[:, 1], atol=1e-4)
    same = history[..., : DIM // 2].repeat(1, 1, 1, 2)  # both cameras see the same
    left, right = small_prophet(cameras=2, delta=False)(same).chunk(2, dim=-1)
    assert not torch.allclose(left, right, atol=1e-4)
    swapped = small_prophet(cameras=2, delta=False)(history.roll(DIM // 2, -1)).roll(DIM // 2, -1)
    assert not torch.allclose(swapped, small_prophet(cameras=2, delta=False)(history), atol=1e-4)


def test_tokens_of_a_frame_are_told_apart_and_read_together() -> None:
    history = torch.randn(2, CONTEXT, 3, DIM)
    prophet = small_prophet(tokens=3, hypotheses=2, cameras=2, delta=False)
    prediction = prophet(history)
    assert prediction.shape == (2, 2, HORIZON, 3, DIM)
    same = prophet(history[:, :, :1].expand(-1, -1, 3, -1))
    assert not torch.allclose(same[..., 0, :], same[..., 1, :], atol=1e-4)
    changed = history.clone()
    changed[:, 0, 2] += 1  # one token of the oldest frame
    moved = (prophet(changed) - prediction).abs().amax((0, 1, 4))
    assert (moved > 1e-5).all()
    exchanged = prophet(history[:, :, [1, 0, 2]])[..., [1, 0, 2], :]
    assert not torch.allclose(exchanged, prediction, atol=1e-4)


def test_one_token_needs_no_weights_of_its_own() -> None:
    one, three = small_prophet(), small_prophet(tokens=3)
    assert {name for name, _ in three.named_parameters()} - {name for name, _ in one.named_parameters()} == {
        "history.token",
        "slots.token",
    }


def test_training_and_inference_agree() -> None:
    prophet, history = small_prophet(), torch.randn(3, CONTEXT, 1, DIM)
    with torch.no_grad():
        torch.testing.assert_close(prophet.eval()(history), prophet.train()(history))


def reference_loss(prediction: Any, current: Any, future: Any, valid: Any, delta: bool) -> np.ndarray:
    """The document's formula with loops."""
    losses = np.zeros(valid.shape)
    tokens = current.shape[1]
    for b, k, p in ((b, k, p) for b, k in np.argwhere(valid) for p in range(tokens)):
        origin = current[b, p] if delta else 0
        guess, truth = prediction[b, k, p] - origin, future[b, k, p] - origin
        norms = np.linalg.norm(guess) * np.linalg.norm(truth)
        error = np.abs(guess - truth)
        huber = np.where(error < 1, error**2 / 2, error - 0.5).mean()
        losses[b, k] += ((1 - guess @ truth / norms if np.linalg.norm(truth) > 1e-6 else 0) + huber) / tokens
    return losses


@pytest.mark.defect("W3")
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 5), tokens=st.integers(1, 3), delta=st.booleans())
def test_the_loss_equals_its_formula(seed: int, batch: int, tokens: int, delta: bool) -> None:
    rng = np.random.default_rng(seed)
    prediction, future = rng.normal(size=(2, batch, HORIZON, tokens, DIM)) * rng.uniform(0.1, 4)
    current, valid = rng.normal(size=(batch, tokens, DIM)), rng.random((batch, HORIZON)) < 0.6
    result = score(
        *(torch.tensor(x, dtype=torch.float32) for x in (prediction[:, None], current, future)),
        torch.tensor(valid),
        delta=delta,
    )
    expected = reference_loss(prediction, current, future, valid, delta)
    np.testing.assert_allclose(result.losses.numpy(), expected, atol=1e-4)
    assert result.loss().item() == pytest.approx(expected.sum() / max(valid.sum(), 1), abs=1e-4)
    np.testing.assert_allclose(result.loss_per_sample().numpy(), expected.sum(1) / valid.sum(1).clip(min=1), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), hypotheses=st.integers(2, 4))
def test_the_best_hypothesis_learns_and_the_others_a_little(seed: int, hypotheses: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.normal(size=(3, hypotheses, HORIZON, 2, DIM))
    current, future = rng.normal(size=(3, 2, DIM)), rng.normal(size=(3, HORIZON, 2, DIM))
    valid = rng.random((3, HORIZON)) < 0.7
    tensors = (torch.tensor(x, dtype=torch.float32) for x in (prediction, current, future))
    result = score(*tensors, torch.tensor(valid), delta=True)
    each = np.stack([reference_loss(prediction[:, n], current, future, valid, True) for n in range(hypotheses)])
    winner = each.sum(-1).argmin(0)
    expected = (1 - SHARE_OF_ALL) * each[winner, np.arange(3)] + SHARE_OF_ALL * each.mean(0)
    np.testing.assert_allclose(result.losses.numpy(), expected, atol=1e-4)
    summary = result.summary()
    assert {"world_cos_best", "world_diversity"} <= summary.keys()


def test_diversity_is_one_minus_the_mean_cosine_of_all_pairs() -> None:
    changes = torch.randn(2, 3, HORIZON, 2, DIM)
    pairs = [(0, 1), (0, 2), (1, 2)]
    cosines = [torch.cosine_similarity(changes[:, a], changes[:, b], dim=-1) for a, b in pairs]
    torch.testing.assert_close(diversity(changes), 1 - torch.stack(cosines).mean(0).mean(-1))
    assert diversity(changes[:, :1].expand(-1, 4, -1, -1, -1)).abs().max() < 1e-5


def test_targets_past_the_end_of_an_episode_have_no_influence() -> None:
    prophet, history = small_prophet(), torch.randn(2, CONTEXT, 1, DIM)
    valid = torch.tensor([[True, True, False, False], [True, False, False, False]])
    future = torch.randn(2, HORIZON, 1, DIM)
    gradients = []
    for garbage in (0.0, 1e4):
        prophet.zero_grad()
        target = torch.where(valid[..., None, None], future, torch.full_like(future, garbage))
        result = score(prophet(history), history[:, -1], target, valid, delta=True)
        result.loss().backward()
        gradients.append([result.summary(), [p.grad.clone() for p in prophet.parameters()]])
    assert gradients[0][0] == gradients[1][0]
    assert all(torch.equal(a, b) for a, b in zip(gradients[0][1], gradients[1][1], strict=True))


def test_a_future_that_does_not_change_gives_a_finite_loss_without_direction() -> None:
    history = torch.randn(2, CONTEXT, 1, DIM)
    future = history[:, -1:].expand(-1, HORIZON, -1, -1)
    prediction = future[:, None].clone().requires_grad_()
    result = score(prediction, history[:, -1], future, torch.ones(2, HORIZON, dtype=torch.bool), delta=True)
    result.loss().backward()
    assert result.loss() == 0
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.defect("W4")
def test_the_summary_compares_with_persistence() -> None:
    current = torch.randn(3, 1, DIM)
    future = current[:, None] + 0.3 * torch.randn(3, HORIZON, 1, DIM)
    valid = torch.ones(3, HORIZON, dtype=torch.bool)
    perfect = score(future[:, None], current, future, valid, delta=True).summary()
    lazy = score(current[:, None, None].expand(-1, 1, HORIZON, -1, -1), current, future, valid, delta=True).summary()
    assert perfect["world_cos"] == pytest.approx(1)
    assert lazy["world_cos"] == pytest.approx(lazy["world_cos_persistence"])
    assert perfect["world_cos_persistence"] == pytest.approx(lazy["world_cos_persistence"])
    cosine = torch.nn.functional.cosine_similarity(current, future[:, 1], dim=-1).mean()
    assert lazy["world_cos_2"] == pytest.approx(cosine.item(), abs=1e-6)
    empty = score(future[:, None], current, future, torch.zeros_like(valid), delta=True).summary()
    assert set(empty) == set(perfect)
    assert all(value == 0 for value in empty.values())


def test_it_learns_a_future_that_its_history_tells() -> None:
    torch.manual_seed(0)
    prophet = small_prophet()
    optimiser = torch.optim.Adam(prophet.parameters(), 3e-3)
    for _ in range(200):
        path = [torch.randn(64, 1, DIM)]
        while len(path) < CONTEXT + HORIZON:
            path.append(path[-1].roll(1, dims=-1))  # nothing stays, everything is foreseeable
        history, future = torch.stack(path, 1).split([CONTEXT, HORIZON], dim=1)
        result = score(prophet(history), history[:, -1], future, torch.ones(64, HORIZON, dtype=torch.bool), delta=True)
        optimiser.zero_grad()
        result.loss().backward()
        optimiser.step()
    summary = result.summary()
    assert summary["world_cos"] > summary["world_cos_persistence"] + 0.5
