"""Flow noise and time in training: SmolVLA's distribution, keyed by (seed, step, frame)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from support.tiny_policy import TinyWorld
from torch.distributions import Distribution

from lerobot_policy_world_modality.keyed_draws import draw_noise_and_time, seeds_of_frames, seeds_of_noise
from world_modality.memory.randomness import draw_each

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def policy(tiny: TinyWorld) -> Any:
    return tiny.policy("disabled").train()


@contextmanager
def recorded(policy: Any) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Noise and time of every training pass of SmolVLA's model, whose ``forward`` LeRobot calls by name."""
    seen, forward = [], policy.model.forward

    def recording(*arguments: Any) -> torch.Tensor:
        seen.append(arguments[-2:])
        return forward(*arguments)

    policy.model.forward = recording
    try:
        yield seen
    finally:
        del policy.model.forward


def seen_by(policy: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise and time that SmolVLA's model is called with."""
    with recorded(policy) as seen:
        policy(dict(batch))
    return seen[0]


def test_a_frame_gets_the_same_draws_in_any_batch_and_other_ones_at_another_step(tiny: TinyWorld, policy: Any) -> None:
    noise, time = seen_by(policy, tiny.batch(4, 9, 30))
    again_noise, again_time = seen_by(policy, tiny.batch(30, 4))
    assert torch.equal(again_noise, noise[[2, 0]])
    assert torch.equal(again_time, time[[2, 0]])
    assert not torch.equal(noise[0], noise[1])
    policy.update()
    later_noise, later_time = seen_by(policy, tiny.batch(4, 9, 30))
    assert not torch.isclose(later_time, time).any()
    assert not torch.isclose(later_noise, noise).all(-1).any()


def test_every_mode_and_rank_meets_the_same_draws_and_another_seed_others(tiny: TinyWorld) -> None:
    batch = tiny.batch(4, 9)
    draws = [seen_by(tiny.policy(mode).train(), batch) for mode in ("disabled", "zero", "pred", "random")]
    assert all(torch.equal(noise, draws[0][0]) and torch.equal(time, draws[0][1]) for noise, time in draws)
    other = seen_by(tiny.policy("disabled", world_seed=6).train(), batch)
    assert not torch.isclose(other[1], draws[0][1]).any()


def test_evaluation_losses_do_not_depend_on_the_step(tiny: TinyWorld) -> None:
    policy, batch = tiny.policy("pred").eval(), tiny.batch(4, 9)
    first = policy(dict(batch))[0]
    policy.update()
    assert torch.equal(policy(dict(batch))[0], first)
    assert policy.train()(dict(batch))[0] != first


def test_what_the_caller_gives_is_used(tiny: TinyWorld, policy: Any) -> None:
    batch = tiny.batch(4)
    given = torch.zeros(1, policy.config.chunk_size, policy.config.max_action_dim)
    drawn = seen_by(policy, batch)
    with recorded(policy) as seen:
        policy(dict(batch), noise=given)
        policy(dict(batch), time=torch.full((1,), 0.5))
    assert not seen[0][-2].any()
    assert torch.equal(seen[0][-1], drawn[1])
    assert torch.equal(seen[1][-2], drawn[0])
    assert seen[1][-1].item() == 0.5


def test_without_an_index_smolvla_draws_itself(tiny: TinyWorld, policy: Any) -> None:
    batch = {key: value for key, value in tiny.batch(4, 9).items() if key != "index"}
    stock = tiny.stock().train()
    torch.manual_seed(2)
    expected, _ = stock(dict(batch))
    torch.manual_seed(2)
    assert torch.equal(policy(dict(batch))[0], expected)


def test_the_draws_are_distributed_as_smolvlas(policy: Any) -> None:
    count = 2000
    seeds = seeds_of_frames("training-flow", 0, 0, torch.arange(count))
    noise, time = draw_noise_and_time(policy.model, seeds, CPU)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        own = policy.model.sample_time(count, CPU)
    quantiles = torch.linspace(0.05, 0.95, 10)
    torch.testing.assert_close(torch.quantile(time, quantiles), torch.quantile(own, quantiles), atol=0.04, rtol=0)
    assert noise.mean().abs() < 0.02
    assert (noise.std() - 1).abs() < 0.02
    # Neighbouring keys are not alike.
    flat = noise.flatten(1)
    assert torch.nn.functional.cosine_similarity(flat[1:], flat[:-1]).mean().abs() < 0.02


def test_constants_are_not_checked_while_drawing_which_changes_no_draw(policy: Any) -> None:
    seeds = seeds_of_frames("training-flow", 0, 0, torch.arange(20))
    checked = Distribution._validate_args
    own = draw_noise_and_time(policy.model, seeds, CPU)
    assert Distribution._validate_args is checked is True
    shape = (1, policy.config.chunk_size, policy.config.max_action_dim)
    plain = draw_each(seeds, lambda: (policy.model.sample_noise(shape, CPU), policy.model.sample_time(1, CPU)))
    assert all(torch.equal(mine, torch.cat(each)) for mine, each in zip(own, zip(*plain, strict=True), strict=True))


def test_rollout_seeds_depend_on_each_samples_noise_alone() -> None:
    noise = torch.randn(3, 6, 4)
    seeds = seeds_of_noise("x", noise)
    assert seeds_of_noise("x", noise[[2, 0]]) == (seeds[2], seeds[0])
    assert seeds_of_noise("x", noise.double()) == seeds
    assert len({*seeds, *seeds_of_noise("y", noise)}) == 6
