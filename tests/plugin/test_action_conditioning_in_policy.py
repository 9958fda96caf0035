"""SmolVLA with a Prophet that is told the noisy actions: what it reads, what it does not, and what stays as it was."""

import copy
from typing import Any

import pytest
import torch
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
from support.rarely import rarely
from support.tiny_policy import CONTEXT, LATENT_DIM, TinyWorld

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS, trainable_modes
from world_modality.memory.action_conditioning import NoisyActions

FRAMES = (0, 5, 13, 14, 44)
FOLLOWING = {"world_actions": True}
FOLLOWERS = {"pred", "stale", "shuffle", "time_shuffle", "signflip", "random_scaled"}  # made of a prediction
LATER = [fusion.name for fusion in FUSIONS if not fusion.before_actions]
ARMS = [(mode, "late") for mode in trainable_modes() if mode != "disabled"] + [
    ("pred", f) for f in LATER if f != "late"
]


def loss_and_gradients(policy: Any, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim, generator=generator)
    policy.train().zero_grad()
    loss, info = policy(dict(batch), noise=noise, time=torch.rand(len(FRAMES), generator=generator))
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    return info.get("flow_loss", info["loss"]), gradients


def chunk(policy: Any, world: TinyWorld, **more: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim, generator=generator)
    history = 5 + 4 * torch.randn(len(FRAMES), CONTEXT, 1, LATENT_DIM, generator=generator)
    if getattr(policy.config, "world_memory_mode_train", "") == "oracle":
        policy.config.world_memory_mode_rollout = "pred"
    observation = {**world.observation(*FRAMES), "observation.world_history": history}
    return policy.predict_action_chunk(observation, noise=noise, **more)


def awake(policy: Any, gate: float = 1.0) -> Any:
    """Gates open, and what the slots are told no longer zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in policy.world.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(gate)
            if name.endswith("condition.write.weight"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return policy


class Memories:
    """Keeps the memory that each velocity is given."""

    def __init__(self, policy: Any) -> None:
        self.seen: list[torch.Tensor | None] = []
        self.held = policy.world.fusion.held
        policy.model.action_out_proj.register_forward_pre_hook(self.keep)

    def keep(self, _layer: torch.nn.Module, _arguments: Any) -> None:
        self.seen.append(None if self.held.memory is None else self.held.memory.detach().clone())


@pytest.mark.parametrize(
    ("mode", "fusion"), rarely(ARMS, lambda arm: arm[0] in ("aux_only", "learned", "pred", "shuffle"))
)
def test_at_init_everything_is_smolvlas_and_what_is_told_has_a_gradient(
    tiny: TinyWorld, mode: str, fusion: str
) -> None:
    batch, stock = tiny.batch(*FRAMES), tiny.stock()
    policy = tiny.policy(mode, world_fusion=fusion, **FOLLOWING)
    loss, gradients = loss_and_gradients(stock, batch)
    own_loss, own_gradients = loss_and_gradients(policy, batch)
    assert own_loss == loss
    assert {name for name in own_gradients if not name.startswith("world.")} == set(gradients)
    assert all(torch.equal(own_gradients[name], gradient) for name, gradient in gradients.items())
    assert torch.equal(chunk(policy, tiny), chunk(stock, tiny))
    assert own_gradients["world.prophet.condition.write.weight"].abs().max() > 1e-7
    gates = [name for name, _ in policy.named_parameters() if name.endswith("gate")]
    if mode in ("zero", "aux_only"):
        return
    assert all(own_gradients[name].abs() > 1e-7 for name in gates)


@pytest.mark.parametrize("mode", sorted(set(trainable_modes()) - {"disabled"}))
def test_only_what_the_prophet_makes_follows_the_denoising(tiny: TinyWorld, mode: str) -> None:
    policy = awake(tiny.policy(mode, **FOLLOWING))
    loss_and_gradients(policy, tiny.batch(*FRAMES))  # a training pass brings the donors
    memories = Memories(policy)
    chunk(policy, tiny)
    assert len(memories.seen) == policy.config.num_steps > 1
    first, *rest = memories.seen
    if mode == "aux_only":
        assert memories.seen == [None] * policy.config.num_steps
    elif mode in FOLLOWERS or mode in ("oracle", "scheduled"):  # rolled out with pred
        assert not any(torch.allclose(first, other, atol=1e-3) for other in rest)
    else:
        assert all(torch.equal(first, other) for other in rest)


@pytest.mark.parametrize("fusion", LATER)
def test_each_velocity_reads_the_memory_of_its_own_noisy_actions(tiny: TinyWorld, fusion: str) -> None:
    """Also the suffix fusion, which reads it inside the suffix's embedding."""
    policy = awake(tiny.policy("pred", world_fusion=fusion, **FOLLOWING))
    asked: list[NoisyActions] = []
    read: list[torch.Tensor] = []
    predict = policy.world.prophet.forward

    def forward(history: torch.Tensor, noisy: NoisyActions) -> torch.Tensor:
        asked.append(NoisyActions(noisy.actions.clone(), noisy.time.clone()))
        read.append(predict(history, noisy))
        return read[-1]

    policy.world.prophet.forward = forward
    actions = chunk(policy, tiny)
    steps = policy.config.num_steps
    assert [each.time[0].item() for each in asked] == pytest.approx([1 - step / steps for step in range(steps)])
    held = iter(read)
    policy.world.prophet.forward = lambda history, noisy: next(held)  # the same memories, whatever is asked
    assert torch.equal(chunk(policy, tiny), actions)
    policy.world.prophet.forward = lambda history, noisy: read[0]  # the first one's all the way
    assert not torch.equal(chunk(policy, tiny), actions)


@pytest.mark.parametrize("fusion", LATER)
def test_zero_memory_with_any_weights_gives_smolvlas_actions(tiny: TinyWorld, fusion: str) -> None:
    policy = awake(tiny.policy("pred", world_fusion=fusion, **FOLLOWING), gate=2.0)
    assert not torch.equal(chunk(policy, tiny), chunk(tiny.stock(), tiny))
    policy.config.world_memory_mode_rollout = "zero"
    assert torch.equal(chunk(policy, tiny), chunk(tiny.stock(), tiny))


def test_the_target_cannot_be_told_from_the_memory(tiny: TinyWorld) -> None:
    """Other demonstrated actions, and the noise with which x_t is the same: the memory is the same, bit for bit.

    Time 1/2 and actions in sixteenths, so that x_t is computed without rounding.
    """
    policy, batch = awake(tiny.policy("pred", **FOLLOWING)), tiny.batch(*FRAMES)
    memories = Memories(policy)
    generator = torch.Generator().manual_seed(0)
    shape = (len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim)
    noise = torch.randint(-32, 33, shape, generator=generator) / 16.0
    actions, others = (torch.randint(-32, 33, (*shape[:2], 7), generator=generator) / 16.0 for _ in range(2))
    shift = torch.nn.functional.pad(actions - others, (0, shape[2] - 7))
    time = torch.full((len(FRAMES),), 0.5)
    results = []
    for target, drawn in ((actions, noise), (others, noise + shift), (others, noise)):
        results.append(policy.train()({**batch, "action": target}, noise=drawn, time=time)[1])
    same, one, different = memories.seen
    assert torch.equal(same, one)
    assert results[0]["flow_loss"] != results[1]["flow_loss"]  # the target is another one
    assert results[0]["world_loss"] == results[1]["world_loss"]
    assert not torch.equal(same, different)  # and the comparison can fail: here x_t is another one too


def test_the_loss_of_the_prophet_is_that_of_the_memory_it_made(tiny: TinyWorld) -> None:
    policy, batch = awake(tiny.policy("pred", **FOLLOWING)), tiny.batch(*FRAMES)
    memories = Memories(policy)
    info = policy.train()(dict(batch))[1]
    (memory,) = memories.seen
    from world_modality.memory.target import LATENTS

    window = policy._window(policy.world, batch)
    expected = LATENTS.score(memory, window.history[:, -1], window.future, window.valid, delta=True).summary()
    assert info["world_loss"] == pytest.approx(expected["world_loss"])
    assert info["world_cos_2"] == pytest.approx(expected["world_cos_2"])


def test_real_time_chunking_works(tiny: TinyWorld) -> None:
    chunks = []
    for gate in (0.0, 1.0):
        policy = awake(tiny.policy("pred", **FOLLOWING), gate)
        policy.config.rtc_config = RTCConfig(enabled=True, execution_horizon=3)
        policy.init_rtc_processor()
        rest = torch.randn(len(FRAMES), 4, policy.config.max_action_dim, generator=torch.Generator().manual_seed(2))
        chunks.append(chunk(policy, tiny, inference_delay=1, prev_chunk_left_over=rest))
    stock = tiny.stock()
    stock.config.rtc_config = RTCConfig(enabled=True, execution_horizon=3)
    stock.init_rtc_processor()
    assert torch.equal(chunks[0], chunk(stock, tiny, inference_delay=1, prev_chunk_left_over=rest))
    assert not torch.equal(chunks[0], chunks[1])


@pytest.mark.parametrize("mode", ["zero", "pred", "learned", "random"])
def test_no_draw_is_shifted(tiny: TinyWorld, mode: str) -> None:
    """Of weights, noise, time or memory; and the global generator is left as SmolVLA leaves it."""
    states = []
    for load in (tiny.stock, lambda: tiny.policy(mode, **FOLLOWING)):
        torch.manual_seed(3)
        policy = load()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    plain = tiny.policy(mode).state_dict()
    own = policy.state_dict()
    assert all(torch.equal(own[name], value) for name, value in plain.items())
    before = torch.get_rng_state()
    policy.train()(tiny.batch(*FRAMES))[0].backward()
    chunk(policy, tiny)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("fusion", LATER)
def test_copies_and_saved_policies_follow_their_own(tiny: TinyWorld, fusion: str, tmp_path: Any) -> None:
    policy = awake(tiny.policy("pred", world_fusion=fusion, **FOLLOWING))
    twin = copy.deepcopy(policy)
    before = chunk(policy, tiny)
    assert torch.equal(chunk(twin, tiny), before)
    with torch.no_grad():
        twin.world.prophet.condition.write.weight.zero_()
    assert torch.equal(chunk(policy, tiny), before)
    assert not torch.equal(chunk(twin, tiny), before)
    policy.save_pretrained(tmp_path)
    assert torch.equal(chunk(type(policy).from_pretrained(tmp_path, strict=True), tiny), before)


def test_the_suffix_is_embedded_on_the_instance_once_per_velocity(tiny: TinyWorld) -> None:
    """What the hook stands on: LeRobot looks ``embed_suffix`` up on the instance and hands it x_t and t."""
    policy, batch = tiny.stock(), tiny.batch(*FRAMES)
    calls: list[tuple[Any, ...]] = []
    original = policy.model.embed_suffix
    policy.model.embed_suffix = lambda *given: calls.append(given) or original(*given)
    noise, time = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim), torch.rand(5)
    policy.train()(dict(batch), noise=noise, time=time)
    ((x_t, flow_time),) = calls
    actions = policy.prepare_action(batch)
    torch.testing.assert_close(x_t, time[:, None, None] * noise + (1 - time[:, None, None]) * actions)
    assert torch.equal(flow_time, time)
    calls.clear()
    policy.predict_action_chunk(tiny.observation(*FRAMES), noise=noise)
    assert len(calls) == policy.config.num_steps
    assert torch.equal(calls[0][0], noise)
    assert all(given[1].shape == (len(FRAMES),) for given in calls)
    assert VLAFlowMatching.embed_suffix.__code__.co_varnames[:3] == ("self", "noisy_actions", "timestep")


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(UserError, match="world_fusion: 'prefix_cross' reads the memory before the noisy actions"):
        SmolVLAWorldConfig(device="cpu", world_actions=True, world_fusion="prefix_cross")
    with pytest.raises(UserError, match="world_prediction_horizon is 8 but chunk_size 6"):
        SmolVLAWorldConfig(device="cpu", world_actions=True, world_prediction_horizon=8, chunk_size=6, n_action_steps=3)
    SmolVLAWorldConfig(device="cpu", world_prediction_horizon=8, chunk_size=6, n_action_steps=3)
    SmolVLAWorldConfig(device="cpu", world_actions=True, world_prediction_horizon=6, chunk_size=6, n_action_steps=3)
