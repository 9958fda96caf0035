"""The baselines against least squares by numpy, and on worlds whose answer is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.facts.targets import TARGETS
from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows
from world_modality.memory import ridge
from world_modality.memory.baselines import LatentBaselines, fit_baselines
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.ridge import PENALTIES, USUAL_PENALTY
from world_modality.memory.target import LATENTS

DIM = 3


@dataclass(frozen=True)
class World:
    """Latents of some episodes, standardised as they are."""

    latents: np.ndarray  # [N, DIM]
    bounds: EpisodeBounds
    context: int
    prediction_horizon: int

    def windows(self, frames: np.ndarray) -> LatentWindow:
        start, end = self.bounds.around(frames)
        future, valid = future_rows(frames, end, self.prediction_horizon)
        history = past_rows(frames, start, self.context)
        parts = (self.tokens(rows) for rows in (history, future))
        return LatentWindow(*parts, torch.from_numpy(valid))

    def tokens(self, rows: np.ndarray) -> torch.Tensor:
        """Latents of ``rows`` [...] as three tokens of one number each: [..., 3, 1]."""
        return torch.tensor(self.latents[rows], dtype=torch.float32).unflatten(-1, (DIM, 1))

    @property
    def frames(self) -> np.ndarray:
        """All frames with a future."""
        spans = zip(self.bounds.starts, self.bounds.ends, strict=True)
        return np.concatenate([np.arange(start, end - 1) for start, end in spans])

    def ahead(self) -> np.ndarray:
        return np.minimum(self.bounds.around(self.frames)[1] - 1 - self.frames, self.prediction_horizon)

    def fit(self, choosing: Callable[[np.ndarray], np.ndarray] = lambda frames: frames % 3 == 0) -> LatentBaselines:
        return fit_baselines(self.windows, self.frames, self.ahead(), choosing(self.frames))

    def skills(self, fitted: LatentBaselines) -> dict[str, list[float | None]]:
        window = self.windows(self.frames)
        metrics = LATENTS.metrics(self.prediction_horizon)
        predictions = {name: each[:, None] for name, each in fitted.predict(window.history).items()}
        metrics.add(predictions, window.history[:, -1], window.future, window.valid)
        return {name: figures["skill"] for name, figures in metrics.figures().items()}


def world_of(
    step: Callable[[np.random.Generator, list[np.ndarray]], np.ndarray],
    lengths: list[int],
    context: int,
    prediction_horizon: int,
) -> World:
    """Episodes that begin at random and go on as ``step`` says of what was so far."""
    rng = np.random.default_rng(0)
    episodes = []
    for length in lengths:
        path = [rng.normal(size=DIM)]
        while len(path) < length:
            path.append(step(rng, path))
        episodes.append(np.stack(path))
    ends = np.cumsum(lengths)
    return World(np.concatenate(episodes), EpisodeBounds(ends - lengths, ends), context, prediction_horizon)


def noise(rng: np.random.Generator, _: list[np.ndarray]) -> np.ndarray:
    return rng.normal(size=DIM)


def design(world: World, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """History [n, T, DIM], z_t, velocity and change [n, DIM] of every frame whose t+k exists, with loops."""
    rows = []
    for start, end in zip(world.bounds.starts, world.bounds.ends, strict=True):
        for t in range(start, end - k):
            history = [world.latents[max(start, t - back)] for back in range(world.context - 1, -1, -1)]
            before = world.latents[max(start, t - 1)] if world.context > 1 else world.latents[t]
            rows.append((history, world.latents[t], world.latents[t] - before, world.latents[t + k] - world.latents[t]))
    return tuple(np.array(part, np.float32).astype(np.float64) for part in zip(*rows, strict=True))


@pytest.mark.defect("W4")
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 14), min_size=2, max_size=5).filter(lambda sizes: max(sizes) > 1),
    context=st.integers(1, 4),
    prediction_horizon=st.integers(1, 5),
)
def test_fits_are_those_of_numpy(lengths: list[int], context: int, prediction_horizon: int) -> None:
    world = world_of(noise, lengths, context, prediction_horizon)
    fitted = world.fit(lambda frames: np.zeros(len(frames), bool))
    for k in range(1, prediction_horizon + 1):
        if max(lengths) <= k:
            assert fitted.ridge[k - 1].abs().max() == 0
            continue
        history, now, step, change = design(world, k)
        (reversion,), *_ = np.linalg.lstsq(-now.reshape(-1, 1), change.ravel(), rcond=None)
        assert fitted.reversion[k - 1].item() == pytest.approx(reversion, abs=1e-5)
        if np.abs(step).max() > 0:
            (velocity,), *_ = np.linalg.lstsq(step.reshape(-1, 1), change.ravel(), rcond=None)
            assert fitted.velocity[k - 1].item() == pytest.approx(velocity, abs=1e-5)
        # A penalty is data too: rows of sqrt(penalty) that ask each weight but the constant's to be 0.
        features = np.concatenate([history.reshape(len(history), -1), np.ones((len(history), 1))], 1)
        shrink = np.sqrt(USUAL_PENALTY * len(history)) * np.eye(features.shape[1])[:-1]
        zeros = np.zeros((len(shrink), DIM))
        expected, *_ = np.linalg.lstsq(np.concatenate([features, shrink]), np.concatenate([change, zeros]), rcond=None)
        np.testing.assert_allclose(fitted.ridge[k - 1].numpy(), expected, atol=1e-4)
        assert fitted.penalties[k - 1] == USUAL_PENALTY


def test_ridge_foresees_a_linear_world() -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(DIM, DIM)))[0]
    world = world_of(lambda _, path: rotation @ path[-1], [40] * 12, 2, 3)
    skills = world.skills(world.fit())
    assert min(skills["ridge"]) > 0.999
    assert max(skills["velocity"]) < 0.9
    assert set(world.fit().penalties) == {PENALTIES[0]}


def test_velocity_is_exact_on_straight_lines() -> None:
    drift = np.array([0.3, -0.1, 0.2])
    world = world_of(lambda _, path: path[-1] + drift, [12] * 4, 2, 3)
    inside = World(world.latents, world.bounds, 2, 3)
    fitted = fit_baselines(
        inside.windows,
        steady := inside.frames[inside.frames % 12 > 0],  # an episode's first frame has no velocity yet
        np.minimum(inside.bounds.around(steady)[1] - 1 - steady, 3),
        np.zeros(len(steady), bool),
    )
    assert fitted.velocity.tolist() == pytest.approx([1, 2, 3], abs=1e-4)
    window = inside.windows(steady)
    predicted = fitted.predict(window.history)["velocity"]
    assert (predicted - window.future)[window.valid].abs().max() < 1e-4


@pytest.mark.parametrize("keeps", [0.0, 0.5, 0.9])
def test_mean_reversion_finds_how_much_an_autoregressive_world_forgets(keeps: float) -> None:
    def step(rng: np.random.Generator, path: list[np.ndarray]) -> np.ndarray:
        return keeps * path[-1] + np.sqrt(1 - keeps**2) * rng.normal(size=DIM)

    world = world_of(step, [400] * 20, 2, 4)
    fitted = world.fit()
    assert fitted.reversion.tolist() == pytest.approx([1 - keeps**k for k in range(1, 5)], abs=0.03)
    skills = world.skills(fitted)
    # E|change|^2 = 2 (1 - keeps^k) and what no one can foresee is 1 - keeps^2k, so their ratio is (1 + keeps^k) / 2.
    assert skills["mean_reversion"] == pytest.approx([1 - (1 + keeps**k) / 2 for k in range(1, 5)], abs=0.03)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(2, 12), min_size=2, max_size=5), prediction_horizon=st.integers(1, 4))
def test_persistence_has_no_skill_and_least_squares_never_less_than_it(
    lengths: list[int], prediction_horizon: int
) -> None:
    world = world_of(noise, lengths, 2, prediction_horizon)
    fitted = world.fit()
    skills = world.skills(fitted)
    assert tuple(skills) == TARGETS["latents"].baselines
    for k in range(prediction_horizon):
        values = {name: each[k] for name, each in skills.items()}
        if values["persistence"] is None:
            assert set(values.values()) == {None}
        else:  # judged on what they were fitted on
            assert values["persistence"] == 0.0
            assert min(value for value in values.values() if value is not None) >= -1e-4


def test_the_penalty_is_the_one_that_serves_the_other_episodes_best() -> None:
    world = world_of(noise, [12] * 10, 4, 2)  # 13 features and no structure but the mean: little data wants a penalty
    own = world.fit(lambda frames: frames >= 84)
    for k in (1, 2):
        history, _, _, change = design(world, k)
        features = np.concatenate([history.reshape(len(history), -1), np.ones((len(history), 1))], 1)
        at = np.concatenate([np.arange(s, e - k) for s, e in zip(world.bounds.starts, world.bounds.ends, strict=True)])
        chooses = at >= 84

        def error(penalty: float, x: np.ndarray = features, y: np.ndarray = change, c: np.ndarray = chooses) -> float:
            ridge = penalty * (~c).sum() * np.diag([1.0] * (x.shape[1] - 1) + [0.0])
            weights = np.linalg.solve(x[~c].T @ x[~c] + ridge, x[~c].T @ y[~c])
            return float(((x[c] @ weights - y[c]) ** 2).sum())

        assert own.penalties[k - 1] == min(PENALTIES, key=error)


def test_no_frames_make_baselines_that_expect_no_change() -> None:
    world = world_of(noise, [1, 1], 2, 3)
    fitted = world.fit()
    history = torch.randn(4, 2, DIM, 1)
    for prediction in fitted.predict(history).values():
        assert torch.equal(prediction, history[:, -1:].expand(-1, 3, -1, -1))


def test_of_frames_too_wide_each_token_is_foreseen_from_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one map for all places: as if each token were an episode of its own, and no wider whatever the grid."""

    def step(rng: np.random.Generator, path: list[np.ndarray]) -> np.ndarray:
        return 0.9 * path[-1] - 0.5 * path[max(0, len(path) - 2)] + 0.01 * rng.normal(size=DIM)

    world = world_of(step, [30] * 6, 2, 2)
    together = world.fit()
    monkeypatch.setattr(ridge, "WIDEST", DIM)
    alone = world.fit()
    assert (together.ridge.shape, alone.ridge.shape) == ((2, 2 * DIM + 1, DIM), (2, 3, 1))
    assert (together.facts().get("ridge_reads"), alone.facts()["ridge_reads"]) == (None, "each token alone")
    assert torch.allclose(alone.reversion, together.reversion, atol=1e-5)
    window = world.windows(world.frames)
    found, whole = alone.predict(window.history), together.predict(window.history)
    history = window.history[..., 0].transpose(1, 2)  # [B, P, T]
    first = history[..., -1] + history @ alone.ridge[0, :2, 0] + alone.ridge[0, 2, 0]
    assert torch.allclose(found["ridge"][:, 0, :, 0], first, atol=1e-5)
    assert torch.allclose(found["velocity"], whole["velocity"], atol=1e-5)
    assert min(world.skills(alone)["ridge"]) > 0.95
