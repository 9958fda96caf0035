"""At the start, and with zero memory whatever the world's weights, the policy is SmolVLA bit for bit."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
import torch
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from support.rarely import diagonal, rarely
from support.tiny_policy import CONTEXT, LATENT_DIM, TinyWorld, build_tiny_world, save_backbone_with_weights

from world_modality.facts.memory import FUSIONS, trainable_modes
from world_modality.memory.injector import Observer

FRAMES = (0, 5, 13, 14, 44)
WORLD_MODES = sorted(set(trainable_modes()) - {"disabled"})
UNREAD = {"disabled", "zero", "aux_only"}  # modes whose memory the policy does not see
ARMS = [(mode, "late") for mode in sorted(trainable_modes())] + [
    ("pred", name) for name in FUSIONS.names if name != "late"
]

BUILT = {("disabled", "late"), ("learned", "late"), ("pred", "late"), ("pred", "layers"), ("pred", "prefix_tokens")}
"""Those that differ in the parts that they are built of."""
AUTOCAST = pytest.param("bfloat16 autocast", marks=pytest.mark.slow)  # the longest of all, and the least used
LOW_PI0 = pytest.param("pi0 bfloat16 weights", marks=pytest.mark.slow)  # covered by each of the two in its name


@pytest.fixture(scope="module", params=["float32", "bfloat16 weights", AUTOCAST, "pi0", LOW_PI0])
def precision(
    request: pytest.FixtureRequest,
    tiny: TinyWorld,
    tiny_pi0_world: TinyWorld,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[TinyWorld, Any]]:
    """A world and the context its forward passes run in; loading VLM weights makes VLM and expert bfloat16."""
    if request.param == "bfloat16 weights":
        root = tmp_path_factory.mktemp("bfloat16")
        backbone = save_backbone_with_weights(root / "backbone")
        yield build_tiny_world(root, vlm_model_name=str(backbone), load_vlm_weights=True), nullcontext
    elif request.param == "pi0":
        yield tiny_pi0_world, nullcontext
    elif request.param == "pi0 bfloat16 weights":
        yield build_tiny_world(tmp_path_factory.mktemp("pi0_bfloat16"), "pi0", dtype="bfloat16"), nullcontext
    elif request.param == "bfloat16 autocast":
        yield tiny, lambda: torch.autocast("cpu", torch.bfloat16)
    else:
        yield tiny, nullcontext


class Calls(Observer):
    """Counts how often the memory is read."""

    count = 0

    def see(self, *_: Any) -> None:
        self.count += 1


@dataclass
class Reference:
    """Stock SmolVLA's loss, gradients and chunk, and a policy per fusion that can be in every memory mode."""

    world: TinyWorld
    context: Any
    stock: Any
    loss: float
    gradients: dict[str, torch.Tensor]
    chunk: torch.Tensor
    policies: dict[str, Any] = field(default_factory=dict)

    def policy(self, mode: str, fusion: str) -> Any:
        """Built once per fusion, in the mode that has all parts, which the others leave alone."""
        if fusion not in self.policies:
            self.policies[fusion] = self.world.policy("learned", world_fusion=fusion)
        self.policies[fusion].config.world_memory_mode_train = mode
        self.policies[fusion].config.world_memory_mode_rollout = ""
        return self.policies[fusion]


@pytest.fixture(scope="module")
def reference(precision: tuple[TinyWorld, Any]) -> Reference:
    world, context = precision
    stock = world.stock()
    loss, gradients = loss_and_gradients(world, stock, world.batch(*FRAMES), context)
    return Reference(world, context, stock, loss, gradients, chunk(stock, world, context))


def loss_and_gradients(
    world: TinyWorld, policy: Any, batch: dict[str, Any], context: Any
) -> tuple[float, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    count, config = len(batch["index"]), policy.config
    noise = torch.randn(count, config.chunk_size, config.max_action_dim, generator=generator)
    time = torch.rand(count, generator=generator)
    policy.train()
    policy.zero_grad()
    with context():
        loss, info = world.loss(policy, dict(batch), noise, time)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    return info.get("flow_loss", info["loss"]), gradients


def chunk(policy: Any, world: TinyWorld, context: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim, generator=generator)
    width = len(world.folders) * LATENT_DIM
    history = 5 + 4 * torch.randn(len(FRAMES), CONTEXT, 1, width, generator=generator)
    observation = {**world.observation(*FRAMES), "observation.world_history": history}
    if getattr(policy.config, "world_memory_mode_train", "") == "oracle":
        policy.config.world_memory_mode_rollout = "pred"
    with context():
        return policy.predict_action_chunk(observation, noise=noise)


@pytest.mark.parametrize(
    ("mode", "fusion"), rarely(product(WORLD_MODES, FUSIONS.names), diagonal(WORLD_MODES, FUSIONS.names))
)
def test_at_init_every_mode_in_every_fusion_is_smolvla_with_a_gradient_at_every_gate(
    reference: Reference, mode: str, fusion: str
) -> None:
    policy = reference.policy(mode, fusion)
    loss, gradients = loss_and_gradients(reference.world, policy, reference.world.batch(*FRAMES), reference.context)
    assert loss == reference.loss
    assert {name for name in gradients if not name.startswith("world.")} == set(reference.gradients)
    assert all(torch.equal(gradients[name], gradient) for name, gradient in reference.gradients.items())
    assert torch.equal(chunk(policy, reference.world, reference.context), reference.chunk)
    assert not policy.world.fusion.gates().any()
    living = [gate.grad is not None and bool(gate.grad.abs() > 1e-7) for gate in gates(policy)]
    assert living == [mode not in UNREAD] * len(living)
    assert ("world.learned.values" in gradients) == (mode == "learned")


@pytest.mark.parametrize(("mode", "fusion"), rarely(ARMS, lambda arm: arm in BUILT))
def test_at_init_loss_gradients_and_actions_are_smolvlas(
    precision: tuple[TinyWorld, Any], mode: str, fusion: str
) -> None:
    world, context = precision
    batch, stock, policy = world.batch(*FRAMES), world.stock(), world.policy(mode, world_fusion=fusion)
    dtypes = {parameter.dtype for parameter in stock.parameters()}
    low = stock.config.load_vlm_weights if world.backbone == "smolvla" else stock.config.dtype == "bfloat16"
    assert (torch.bfloat16 in dtypes) == low
    assert dtypes == {p.dtype for name, p in policy.named_parameters() if not name.startswith("world.")}
    loss, gradients = loss_and_gradients(world, stock, batch, context)
    own_loss, own_gradients = loss_and_gradients(world, policy, batch, context)
    assert own_loss == loss
    assert {name for name in own_gradients if not name.startswith("world.")} == set(gradients)
    for name, gradient in gradients.items():
        assert torch.equal(own_gradients[name], gradient), name
    assert torch.equal(chunk(policy, world, context), chunk(stock, world, context))
    assert set(stock.state_dict()) == {name for name in policy.state_dict() if not name.startswith("world.")} - {
        "keyed_step"
    }


def gates(policy: Any) -> list[torch.nn.Parameter]:
    return [parameter for name, parameter in policy.world.fusion.named_parameters() if name.endswith("gate")]


def set_gates(policy: Any, value: float) -> None:
    with torch.no_grad():
        for gate in gates(policy):
            gate.fill_(value)


@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_the_reference_is_sensitive(precision: tuple[TinyWorld, Any], fusion: str) -> None:
    """An open gate does change loss, gradients and actions: the comparison above can fail."""
    world, context = precision
    policy, batch = world.policy("pred", world_fusion=fusion), world.batch(*FRAMES)
    loss, gradients = loss_and_gradients(world, policy, batch, context)
    actions = chunk(policy, world, context)
    set_gates(policy, 1.0)
    open_loss, open_gradients = loss_and_gradients(world, policy, batch, context)
    assert open_loss != loss
    assert not torch.equal(open_gradients["model.action_out_proj.weight"], gradients["model.action_out_proj.weight"])
    assert not torch.equal(chunk(policy, world, context), actions)


@pytest.mark.defect("B3")
@pytest.mark.parametrize(
    ("mode", "fusion"), rarely([arm for arm in ARMS if arm[0] not in UNREAD], lambda arm: arm in BUILT)
)
def test_every_closed_gate_has_a_gradient(precision: tuple[TinyWorld, Any], mode: str, fusion: str) -> None:
    world, context = precision
    policy = world.policy(mode, world_fusion=fusion)
    loss_and_gradients(world, policy, world.batch(*FRAMES), context)
    assert len(gates(policy)) == (1 if fusion not in ("layers", "prefix_tokens") else policy.world.sizes.layers)
    assert all(gate.item() == 0 and gate.grad is not None and gate.grad.abs() > 1e-7 for gate in gates(policy))


@pytest.mark.defect("W5")
@pytest.mark.parametrize(
    ("gate", "fusion"), [(-3.0, "late"), (0.01, "late"), *((2.0, fusion) for fusion in FUSIONS.names)]
)
def test_zero_memory_with_any_world_weights_gives_smolvlas_actions(
    precision: tuple[TinyWorld, Any], gate: float, fusion: str
) -> None:
    world, context = precision
    policy, stock = world.policy("pred", world_fusion=fusion), world.stock()
    policy.config.world_memory_mode_rollout = "zero"
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in policy.world.parameters():
            parameter.copy_(3 * torch.randn(parameter.shape, generator=generator))
    set_gates(policy, gate)
    observer = Calls()
    policy.world.fusion.observe(observer)
    actions, expected = chunk(policy, world, context), chunk(stock, world, context)
    reads = {"prefix_cross": 1, "layers": 2 * world.denoising_steps, "prefix_tokens": 2 * world.denoising_steps}
    assert observer.count == reads.get(fusion, world.denoising_steps)  # computed, not bypassed
    assert torch.equal(actions.view(torch.int32), expected.view(torch.int32))
    policy.config.world_memory_mode_rollout = "disabled"
    assert torch.equal(chunk(policy, world, context).view(torch.int32), expected.view(torch.int32))
    assert observer.count == reads.get(fusion, world.denoising_steps)
    policy.config.world_memory_mode_rollout = "pred"
    assert not torch.equal(chunk(policy, world, context), expected)


@pytest.mark.defect("W5")
@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_zero_memory_with_any_world_weights_gives_smolvlas_loss_and_gradients(
    reference: Reference, fusion: str
) -> None:
    world, batch = reference.world, reference.world.batch(*FRAMES)
    generator = torch.Generator().manual_seed(7)
    found = {}
    for mode in ("zero", "pred"):
        policy = world.policy(mode, world_fusion=fusion)
        with torch.no_grad():
            for parameter in policy.world.parameters():
                parameter.copy_(3 * torch.randn(parameter.shape, generator=generator))
        set_gates(policy, 2.0)
        loss, gradients = loss_and_gradients(reference.world, policy, batch, reference.context)
        found[mode] = loss, {name: each for name, each in gradients.items() if not name.startswith("world.")}
    loss, gradients = found["zero"]
    assert loss == reference.loss
    assert gradients.keys() == reference.gradients.keys()
    for name, gradient in reference.gradients.items():
        assert torch.equal(gradients[name], gradient), name
    loss, gradients = found["pred"]  # so the comparison can fail
    assert loss != reference.loss
    assert not all(torch.equal(gradients[name], gradient) for name, gradient in reference.gradients.items())


@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_with_two_cameras_too(either: TinyWorld, fusion: str) -> None:
    """SmolVLA at the start, though every gate has a gradient; with zero memory whatever the weights; else not."""
    world = either.with_wrist()
    batch, stock, policy = world.batch(*FRAMES), world.stock(), world.policy("pred", world_fusion=fusion)
    assert policy.world.sizes.cameras == 2
    assert policy.world.prophet.history.camera.shape == (2, 32)
    loss, gradients = loss_and_gradients(world, stock, batch, nullcontext)
    own_loss, own_gradients = loss_and_gradients(world, policy, batch, nullcontext)
    assert own_loss == loss
    assert all(torch.equal(own_gradients[name], gradient) for name, gradient in gradients.items())
    assert all(gate.grad is not None and gate.grad.abs() > 1e-7 for gate in gates(policy))
    assert all(own_gradients[f"world.prophet.{name}.camera"].abs().sum() > 0 for name in ("history", "slots"))
    expected = chunk(stock, world, nullcontext)
    assert torch.equal(chunk(policy, world, nullcontext), expected)
    set_gates(policy, 2.0)
    assert not torch.equal(chunk(policy, world, nullcontext), expected)
    _, open_gradients = loss_and_gradients(world, policy, batch, nullcontext)
    cameras = [gradient for name, gradient in open_gradients.items() if name.endswith("slots.camera")]
    assert all(gradient.abs().sum() > 0 for gradient in cameras)
    assert len(cameras) > 1  # the Prophet's and at least one of the fusion's
    policy.config.world_memory_mode_rollout = "zero"
    assert torch.equal(chunk(policy, world, nullcontext).view(torch.int32), expected.view(torch.int32))


@pytest.mark.parametrize("mode", ["zero", "pred"])
def test_real_time_chunking_is_smolvlas(either: TinyWorld, mode: str) -> None:
    policies = [either.stock(), either.policy(mode)]
    chunks = []
    for policy in policies:
        policy.config.rtc_config = RTCConfig(enabled=True, execution_horizon=3)
        policy.init_rtc_processor()
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(1, policy.config.chunk_size, policy.config.max_action_dim, generator=generator)
        rest = torch.randn(1, 4, policy.config.max_action_dim, generator=generator)
        history = torch.randn(1, CONTEXT, 1, LATENT_DIM, generator=generator)
        observation = {**either.observation(20), "observation.world_history": history}
        chunks.append(
            policy.predict_action_chunk(observation, noise=noise, inference_delay=1, prev_chunk_left_over=rest)
        )
    assert torch.equal(*chunks)


@pytest.mark.parametrize("shape", [(1, 1, 1, LATENT_DIM), (2, CONTEXT, 1, LATENT_DIM), (1, CONTEXT, 1, LATENT_DIM - 1)])
def test_a_history_of_another_shape_is_refused(either: TinyWorld, shape: tuple[int, ...]) -> None:
    policy = either.policy("pred")
    batch = {**either.observation(3), "observation.world_history": torch.zeros(shape)}
    with pytest.raises(ValueError, match="world_history must be"):
        policy.predict_action_chunk(batch)


@pytest.mark.defect("W9")
@pytest.mark.parametrize("mode", sorted(trainable_modes()))
def test_the_global_generator_is_left_as_smolvla_leaves_it(either: TinyWorld, mode: str) -> None:
    checkpoint, batch = either.checkpoint(mode, world_latents=str(either.latents)), either.batch(*FRAMES)
    states = []
    for load in (either.stock, lambda: either.load(checkpoint)):
        torch.manual_seed(3)
        policy = load()
        states.append(torch.get_rng_state())
        policy.train()
    assert torch.equal(*states)
    before = torch.get_rng_state()
    policy(dict(batch))[0].backward()
    chunk(policy, either, nullcontext)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("mode", "fusion"), rarely(ARMS, lambda arm: arm in BUILT))
def test_a_copied_policy_is_its_own(either: TinyWorld, mode: str, fusion: str) -> None:
    policy = either.policy(mode, world_gate_init=0.8, world_fusion=fusion)
    batch = either.batch(*FRAMES)
    loss_and_gradients(either, policy, batch, nullcontext)  # a training pass brings the donors
    twin = copy.deepcopy(policy)
    assert torch.equal(chunk(twin, either, nullcontext), chunk(policy, either, nullcontext))
    assert (
        loss_and_gradients(either, twin, batch, nullcontext)[0]
        == loss_and_gradients(either, policy, batch, nullcontext)[0]
    )
    if mode != "disabled":
        assert twin._latents is policy._latents
        before = chunk(policy, either, nullcontext)
        set_gates(twin, -2.0)
        assert torch.equal(chunk(policy, either, nullcontext), before)
        assert mode in UNREAD or not torch.equal(chunk(twin, either, nullcontext), before)


@pytest.mark.defect("B13")
@pytest.mark.parametrize(
    ("mode", "fusion"), rarely([arm for arm in ARMS if arm[0] != "disabled"], lambda arm: arm in BUILT)
)
def test_a_saved_policy_comes_back(either: TinyWorld, mode: str, fusion: str, tmp_path: Any) -> None:
    policy = either.policy(mode, world_gate_init=0.8, world_fusion=fusion)
    loss_and_gradients(either, policy, either.batch(*FRAMES), nullcontext)  # a training pass brings the donors
    policy.save_pretrained(tmp_path)
    again = type(policy).from_pretrained(tmp_path, strict=True)
    assert again._latents is None
    assert torch.equal(chunk(again, either, nullcontext), chunk(policy, either, nullcontext))
