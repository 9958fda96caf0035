from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from world_modality.errors import UserError
from world_modality.facts.memory import MODES as ROWS
from world_modality.memory.modes import MODES, MemoryInputs, MemoryMode, find_mode, register
from world_modality.memory.modes.predicted import permutation
from world_modality.memory.standardiser import Standardiser

DIM, HYPOTHESES, HORIZON, BATCH = 5, 2, 4, 3
SHAPE = (BATCH, HYPOTHESES, HORIZON, DIM)
FLAGS = (
    *("needs_world", "needs_history", "needs_future", "needs_donors", "needs_learned", "needs_prophet"),
    *("delay", "rollable"),
)
NOTHING = {"disabled", "aux_only"}  # modes that inject nothing


def inputs(seeds: tuple[int, ...] = (1, 2, 3), standardiser: Standardiser | None = None) -> MemoryInputs:
    generator = torch.Generator().manual_seed(0)
    count = len(seeds)
    return MemoryInputs(
        hypotheses=HYPOTHESES,
        horizon=HORIZON,
        seeds=seeds,
        standardiser=standardiser or Standardiser(DIM),
        predict=prophecy,
        history=torch.randn(count, 2, DIM, generator=generator),
        future=torch.randn(count, HORIZON, DIM, generator=generator),
        donors=torch.randn(count, 2, DIM, generator=generator),
        learned=torch.randn(HYPOTHESES, HORIZON, DIM, generator=generator),
    )


def prophecy(history: Tensor) -> Tensor:
    """A stand-in Prophet that every latent of the history and every slot shows in."""
    slots = 1 + torch.arange(HYPOTHESES * HORIZON).view(HYPOTHESES, HORIZON, 1)
    return (history[:, 0] + 10 * history[:, 1])[:, None, None] * slots


def test_the_study_and_the_registry_know_the_same_modes() -> None:
    assert set(ROWS.names) == set(MODES)


@pytest.mark.parametrize("name", sorted(MODES))
def test_a_mode_leaves_the_global_generators_alone_and_depends_on_its_seeds_alone(name: str) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = find_mode(name).memory(inputs())
    torch.manual_seed(99)
    second = find_mode(name).memory(inputs())
    torch.set_rng_state(before)
    find_mode(name).memory(inputs())
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()
    if name in NOTHING:
        assert first is None
    else:
        assert first.shape == SHAPE
        assert torch.equal(first, second)


@pytest.mark.defect("W7")
def test_what_the_modes_hold_and_need() -> None:
    given = inputs()
    assert not find_mode("zero").memory(given).any()
    assert torch.equal(find_mode("pred").memory(given), prophecy(given.history))
    made = replace(given, prediction=torch.zeros(SHAPE))
    assert find_mode("pred").memory(made) is made.prediction
    assert torch.equal(find_mode("stale").memory(given), prophecy(given.history))
    assert torch.equal(find_mode("shuffle").memory(given), prophecy(given.donors))
    persistence, oracle = find_mode("persistence").memory(given), find_mode("oracle").memory(given)
    learned = find_mode("learned").memory(given)
    for hypothesis in range(HYPOTHESES):
        assert torch.equal(oracle[:, hypothesis], given.future)
        for k in range(HORIZON):
            assert torch.equal(persistence[:, hypothesis, k], given.history[:, -1])
    for row in learned:
        assert torch.equal(row, given.learned)
    needs = {flag: {name for name in MODES if getattr(MODES[name], flag)} for flag in FLAGS}
    assert needs == {
        "needs_world": set(MODES) - {"disabled"},
        "needs_history": {"pred", "persistence", "stale", "time_shuffle"},
        "needs_future": {"oracle"},
        "needs_donors": {"shuffle"},
        "needs_learned": {"learned"},
        "needs_prophet": {"pred", "stale", "shuffle", "time_shuffle"},
        "delay": {"stale"},
        "rollable": set(MODES) - {"oracle"},
    }
    assert all(mode.isolates for mode in MODES.values())


@pytest.mark.parametrize("name", sorted(set(MODES) - NOTHING))
@pytest.mark.parametrize("made", [True, False])
def test_a_detached_memory_is_the_same_and_without_the_prophets_gradient(name: str, made: bool) -> None:
    weight = torch.ones((), requires_grad=True)

    def predict(history: Tensor) -> Tensor:
        return weight * prophecy(history)

    given = replace(inputs(), predict=predict, learned=inputs().learned.requires_grad_())
    given = replace(given, prediction=predict(given.history)) if made else given
    own, detached = find_mode(name).memory(given), find_mode(name).memory(given.detached())
    assert torch.equal(own, detached)
    assert own.requires_grad == (name == "learned" or find_mode(name).needs_prophet)
    assert detached.requires_grad == (name == "learned")


def test_time_shuffle_moves_every_samples_steps_ahead_and_nothing_else() -> None:
    given = inputs(tuple(range(20)))
    shuffled, prediction = find_mode("time_shuffle").memory(given), prophecy(given.history)
    orders = []
    for own, other in zip(shuffled, prediction, strict=True):
        order = [next(j for j in range(HORIZON) if torch.equal(own[:, k], other[:, j])) for k in range(HORIZON)]
        assert sorted(order) == list(range(HORIZON)) != order
        orders.append(tuple(order))
    assert len(set(orders)) > 5
    assert permutation(3, 1).tolist() == [0]


def test_random_memory_is_keyed_by_sample() -> None:
    draw = find_mode("random").memory
    together, apart = draw(inputs((7, 8, 9))), [draw(inputs((seed,))) for seed in (9, 8, 7)]
    # Not bit for bit: a product of another size may sum in another order.
    torch.testing.assert_close(together, torch.cat(apart[::-1]))
    assert not torch.allclose(together[0], together[1])
    assert not torch.allclose(together[0, 0], together[0, 1])


@pytest.mark.defect("W6")
def test_random_memory_has_the_latents_mean_and_covariance() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(DIM, DIM)) * [3, 1, 0.5, 0.2, 2]
    latents = (rng.normal(size=(4000, DIM)) @ mixing.T + [10, -3, 0, 2, 1]).astype(np.float32)
    covariance = np.cov(latents.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    standardiser = Standardiser(DIM)
    standardiser.fit(latents.mean(0), (vectors * np.sqrt(values)).astype(np.float32))
    drawn = find_mode("random").memory(inputs(tuple(range(3000)), standardiser))
    back = (drawn * standardiser.scale + standardiser.mean).flatten(0, 2).numpy()
    assert np.allclose(back.mean(0), latents.mean(0), atol=0.15)
    assert np.allclose(np.cov(back.T, bias=True), covariance, atol=0.04 * np.abs(covariance).max())


def test_adding_a_mode_is_one_class_and_its_name_is_taken_once() -> None:
    class Ones(MemoryMode):
        name = "ones-for-a-test"

        def memory(self, inputs: MemoryInputs) -> Tensor:
            return torch.ones(inputs.shape)

    try:
        register(Ones)
        assert find_mode("ones-for-a-test").memory(inputs()).shape == SHAPE
        with pytest.raises(ValueError, match="twice"):
            register(Ones)
    finally:
        MODES.pop("ones-for-a-test")


def test_an_unknown_mode_is_named_with_the_choices() -> None:
    with pytest.raises(UserError, match="'predicted' is not a memory mode; choose one of disabled, zero, learned, "):
        find_mode("predicted")
