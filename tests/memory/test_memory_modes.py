from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.world_sizes import world_sizes
from torch import Tensor

from world_modality.errors import UserError
from world_modality.facts import table
from world_modality.facts.memory import FUSIONS, MODES, Fusion, MemoryMode
from world_modality.facts.table import Reference, Table
from world_modality.memory.bank import Bank
from world_modality.memory.modes import MemoryInputs, make_memory, permutation
from world_modality.memory.standardiser import Standardiser

DIM, HYPOTHESES, HORIZON, TOKENS, CAMERAS, BATCH = 6, 2, 4, 3, 2, 3
SIZES = world_sizes(dim=DIM, hypotheses=HYPOTHESES, prediction_horizon=HORIZON, tokens=TOKENS, cameras=CAMERAS)
SHAPE = (BATCH, HYPOTHESES, HORIZON, TOKENS, DIM)
FLAGS = (
    *("needs_world", "needs_history", "needs_future", "needs_donors", "needs_learned", "needs_moments"),
    *("needs_bank", "needs_prophet", "needs_truth", "delay", "look_ahead", "rollable", "trainable", "encodes"),
)
NOTHING = {"disabled", "aux_only"}  # modes that inject nothing


def inputs(seeds: tuple[int, ...] = (1, 2, 3), standardiser: Standardiser | None = None) -> MemoryInputs:
    generator = torch.Generator().manual_seed(0)
    count = len(seeds)
    return MemoryInputs(
        sizes=SIZES,
        seeds=seeds,
        standardiser=standardiser or Standardiser(DIM, TOKENS),
        predict=prophecy,
        history=torch.randn(count, 2, TOKENS, DIM, generator=generator),
        future=torch.randn(count, HORIZON, TOKENS, DIM, generator=generator),
        donors=torch.randn(count, 2, TOKENS, DIM, generator=generator),
        learned=torch.randn(HYPOTHESES, HORIZON, TOKENS, DIM, generator=generator),
        bank=bank(),
        own=torch.full((count,), -1),
    )


def bank() -> Bank:
    """Two episodes of random latents."""
    found = Bank(12, 2, TOKENS, DIM)
    found.latents.copy_(torch.randn(found.latents.shape, generator=torch.Generator().manual_seed(1)))
    found.starts.copy_(torch.tensor([0, 5]))
    found.ends.copy_(torch.tensor([5, 12]))
    return found


def prophecy(history: Tensor) -> Tensor:
    """A stand-in Prophet that every latent of the history and every slot shows in."""
    slots = 1 + torch.arange(HYPOTHESES * HORIZON).view(HYPOTHESES, HORIZON, 1, 1)
    return (history[:, 0] + 10 * history[:, 1])[:, None, None] * slots


def memory(name: str, given: MemoryInputs) -> Tensor | None:
    return make_memory(MODES[name], given)


@pytest.mark.parametrize("name", sorted(MODES.names))
def test_a_mode_leaves_the_global_generators_alone_and_depends_on_its_seeds_alone(name: str) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = memory(name, inputs())
    torch.manual_seed(99)
    second = memory(name, inputs())
    torch.set_rng_state(before)
    memory(name, inputs())
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
    assert not memory("zero", given).any()
    assert torch.equal(memory("pred", given), prophecy(given.history))
    made = replace(given, prediction=torch.zeros(SHAPE))
    assert memory("pred", made) is made.prediction
    assert torch.equal(memory("stale", given), prophecy(given.history))
    assert torch.equal(memory("shuffle", given), prophecy(given.donors))
    persistence, oracle = memory("persistence", given), memory("oracle", given)
    learned = memory("learned", given)
    for hypothesis in range(HYPOTHESES):
        assert torch.equal(oracle[:, hypothesis], given.future)
        for k in range(HORIZON):
            assert torch.equal(persistence[:, hypothesis, k], given.history[:, -1])
    for row in learned:
        assert torch.equal(row, given.learned)
    near = given.bank.nearest(given.history[:, -1], given.own, given.standardiser)
    looked_up = memory("nearest_other", given)
    for hypothesis in range(HYPOTHESES):
        assert torch.equal(looked_up[:, hypothesis], given.bank.future(near, HORIZON))
    readers = {"pred", "persistence", "stale", "time_shuffle", "signflip", "random_scaled", "nearest_other"}
    ahead = {"oracle_policy", "oracle_expert"}
    needs = {flag: {mode.name for mode in MODES if getattr(mode, flag)} for flag in FLAGS}
    assert needs == {
        "needs_world": set(MODES.names) - {"disabled"},
        "needs_history": readers,
        "needs_future": {"oracle", "scheduled"} | ahead,
        "needs_donors": {"shuffle"},
        "needs_learned": {"learned"},
        "needs_moments": {"random"},
        "needs_bank": {"nearest_other"},
        "needs_prophet": {"pred", "scheduled", "stale", "shuffle", "time_shuffle", "signflip"},
        "needs_truth": {"scheduled"},
        "delay": {"stale"},
        "look_ahead": ahead,
        "rollable": set(MODES.names) - {"oracle", "scheduled"},
        "trainable": set(MODES.names) - ahead,
        "encodes": readers | ahead,
    }
    assert {mode.name: mode.rollout for mode in MODES if mode.rollout != mode.name} == {"scheduled": "pred"}
    assert all(mode.isolates and mode.holds and mode.noun for mode in MODES)


@pytest.mark.parametrize("name", sorted(set(MODES.names) - NOTHING))
@pytest.mark.parametrize("made", [True, False])
def test_a_detached_memory_is_the_same_and_without_the_prophets_gradient(name: str, made: bool) -> None:
    weight = torch.ones((), requires_grad=True)

    def predict(history: Tensor) -> Tensor:
        return weight * prophecy(history)

    given = replace(inputs(), predict=predict, learned=inputs().learned.requires_grad_())
    given = replace(given, prediction=predict(given.history)) if made else given
    own, detached = memory(name, given), memory(name, given.detached())
    assert torch.equal(own, detached)
    assert own.requires_grad == (name == "learned" or MODES[name].needs_prophet)
    assert detached.requires_grad == (name == "learned")


@pytest.mark.parametrize("truth", [0.0, 0.3, 1.0])
def test_scheduled_shows_the_true_future_to_its_share_of_samples(truth: float) -> None:
    """Whole samples; which of them only their seeds decide, whoever stands beside them."""
    given = replace(inputs(tuple(range(3000))), truth=truth)
    oracle, prediction = memory("oracle", given), memory("pred", given)
    mixed = memory("scheduled", given)
    true = (mixed == oracle).flatten(1).all(1)
    assert (true | (mixed == prediction).flatten(1).all(1)).all()
    assert true.float().mean().item() == pytest.approx(truth, abs=0.03 if 0 < truth < 1 else 0)
    some = range(0, 3000, 7)
    alone = replace(given, seeds=tuple(some), history=given.history[::7], future=given.future[::7])
    assert torch.equal(memory("scheduled", alone), mixed[::7])


def test_time_shuffle_moves_every_samples_steps_ahead_and_nothing_else() -> None:
    given = inputs(tuple(range(20)))
    shuffled, prediction = memory("time_shuffle", given), prophecy(given.history)
    orders = []
    for own, other in zip(shuffled, prediction, strict=True):
        order = [next(j for j in range(HORIZON) if torch.equal(own[:, k], other[:, j])) for k in range(HORIZON)]
        assert sorted(order) == list(range(HORIZON)) != order
        orders.append(tuple(order))
    assert len(set(orders)) > 5
    assert permutation(3, 1).tolist() == [0]


def test_random_memory_is_keyed_by_sample() -> None:
    draw = partial(memory, "random")
    together, apart = draw(inputs((7, 8, 9))), [draw(inputs((seed,))) for seed in (9, 8, 7)]
    # Not bit for bit: a product of another size may sum in another order.
    torch.testing.assert_close(together, torch.cat(apart[::-1]))
    assert not torch.allclose(together[0], together[1])
    assert not torch.allclose(together[0, 0], together[0, 1])


@pytest.mark.defect("W6")
def test_random_memory_has_the_latents_mean_and_covariance() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(DIM, DIM)) * [3, 1, 0.5, 0.2, 2, 1]
    means = np.array([10, -3, 0, 2, 1, 4]) + np.arange(TOKENS)[:, None]
    covariance = mixing @ mixing.T
    values, vectors = np.linalg.eigh(covariance)
    standardiser = Standardiser(DIM, TOKENS)
    standardiser.fit(means.astype(np.float32), (vectors * np.sqrt(values)).astype(np.float32))
    drawn = memory("random", inputs(tuple(range(3000)), standardiser))
    back = (drawn * standardiser.scale + standardiser.mean).flatten(0, 2).numpy()
    assert np.allclose(back.mean(0), means, atol=0.15)
    found = np.cov((back - means).reshape(-1, DIM).T, bias=True)
    assert np.allclose(found, covariance, atol=0.04 * np.abs(covariance).max())


class Package:
    """Rows that another distribution adds: what ``importlib.metadata`` would find of them."""

    name, version = "other_package", "1.2"

    def __init__(self, row: object) -> None:
        self.dist, self.row = self, row

    def load(self) -> object:
        return self.row


def ones(inputs: MemoryInputs) -> Tensor:
    return torch.ones(inputs.shape)


def too_flat(inputs: MemoryInputs) -> Tensor:
    return torch.ones(inputs.shape[:-1])


def test_a_mode_of_another_package_is_one_row_and_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[Package]:
        assert group == "world_modality.memory_modes"
        rows = tuple(MemoryMode(n, "ones", "nothing", Reference(f"{__name__}:{n}")) for n in ("ones", "too_flat"))
        return [Package(rows)]

    monkeypatch.setattr(table, "entry_points", entry_points)
    modes = Table("memory mode", "memory_modes", tuple(MODES))
    assert modes.distribution("ones") == {"other_package": "1.2"}
    assert modes["ones"].noun == "ones memory"
    assert torch.equal(make_memory(modes["ones"], inputs()), torch.ones(SHAPE))
    with pytest.raises(ValueError, match=r"'too_flat' gives \[3, 2, 4, 3\], where \[3, 2, 4, 3, 6\] is read"):
        make_memory(modes["too_flat"], inputs())


def test_an_unknown_mode_is_named_with_the_choices() -> None:
    with pytest.raises(UserError, match="'predicted' is not a memory mode; choose one of disabled, zero, learned, "):
        MODES["predicted"]


def test_signflip_points_the_other_way() -> None:
    given = inputs()
    flipped, prediction = memory("signflip", given), memory("pred", given)
    assert torch.equal(flipped, -prediction)
    assert torch.equal(flipped.norm(dim=-1), prediction.norm(dim=-1))


def test_random_scaled_keeps_every_norm_and_nothing_else() -> None:
    """Per slot, token and camera; directions are spread evenly and keyed by the sample alone."""
    given = inputs(tuple(range(2000)))
    drawn, prediction = (memory(name, given).unflatten(-1, (CAMERAS, -1)) for name in ("random_scaled", "pred"))
    torch.testing.assert_close(drawn.norm(dim=-1), prediction.norm(dim=-1))
    directions = drawn / drawn.norm(dim=-1, keepdim=True)
    assert directions.mean((0, 1, 2, 3, 4)).abs().max() < 0.01
    assert (directions * prediction / prediction.norm(dim=-1, keepdim=True)).sum(-1).mean().abs() < 0.01
    assert (directions[0] * directions[1]).sum(-1).mean().abs() < 0.5
    again = replace(given, seeds=given.seeds[::-1], history=given.history.flip(0))
    assert torch.equal(memory("random_scaled", again).flip(0), drawn.flatten(-2))
    assert not memory("random_scaled", replace(given, prediction=torch.zeros(2000, *SHAPE[1:]))).any()


@pytest.mark.parametrize("row", [*MODES, *FUSIONS], ids=lambda row: row.name)
def test_the_documents_tables_have_every_row(row: MemoryMode | Fusion) -> None:
    document = Path(__file__).parents[2] / "docs" / "memory.md"
    assert any(line.startswith(f"| `{row.name}` ") for line in document.read_text().split("\n"))
