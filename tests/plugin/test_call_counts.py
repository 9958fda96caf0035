"""How often and in which order LeRobot passes what is hooked: a hook that is passed twice injects twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from lerobot.scripts.lerobot_train import update_policy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from support.contract import reach
from support.tiny_policy import TinyWorld

LAYERS = [f"model.vlm_with_expert.lm_expert.layers.{layer}" for layer in (0, 1)]
PARTS = ("input_layernorm", "mlp", "self_attn.q_proj", "self_attn.o_proj")
FLOW = {  # method of the flow model -> calls per (training pass, chunk); "steps": one per denoising step
    "forward": (1, 0),
    "sample_actions": (0, 1),
    "embed_prefix": (1, 1),
    "embed_suffix": (1, "steps"),
    "denoise_step": (0, "steps"),
    "sample_noise": (0, 0),  # both are given
    "sample_time": (0, 0),
}
MODULES = {  # module -> the same for its forward
    "model.action_time_mlp_out": (1, "steps"),
    "model.action_out_proj": (1, "steps"),
    **{f"{layer}.{part}": (1, "steps") for layer in LAYERS for part in PARTS},
    **dict.fromkeys(LAYERS, (0, 0)),  # LeRobot calls their parts by hand
    **{f"{layer}.self_attn": (0, 0) for layer in LAYERS},
}


def counted(policy: Any) -> Counter[str]:
    """Calls from now on: of modules by hooks, of methods by replacing them on the instance, as our hooks do."""
    counts: Counter[str] = Counter()

    def replace(name: str) -> None:
        original = getattr(policy.model, name)
        setattr(policy.model, name, lambda *given, **named: counts.update([name]) or original(*given, **named))

    def hook(name: str) -> Callable[..., None]:
        return lambda *_: counts.update([name])

    for name in FLOW:
        replace(name)
    for name in MODULES:
        reach(policy, name).register_forward_hook(hook(name))
    return counts


def differences(counts: Counter[str], expected: dict[str, int]) -> list[str]:
    return [f"{name}: {counts[name]} calls, not {calls}" for name, calls in expected.items() if counts[name] != calls]


def test_each_hooked_name_is_passed_as_often_as_expected(tiny: TinyWorld) -> None:
    policy = tiny.stock()
    steps, config = policy.config.num_steps, policy.config
    noise = torch.randn(2, config.chunk_size, config.max_action_dim)
    counts = counted(policy)
    policy.train()(tiny.batch(0, 20), noise=noise, time=torch.rand(2))
    assert differences(counts, {name: calls[0] for name, calls in (FLOW | MODULES).items()}) == []
    counts.clear()
    policy.predict_action_chunk(tiny.observation(0, 20), noise=noise)
    chunk = {name: steps if calls[1] == "steps" else calls[1] for name, calls in (FLOW | MODULES).items()}
    assert differences(counts, chunk) == []
    assert differences(counts, {"denoise_step": 1}) == [f"denoise_step: {steps} calls, not 1"]


def test_queries_and_attention_outputs_are_the_suffixs(tiny: TinyWorld) -> None:
    """In layers of self-attention and of cross-attention alike; the prefix has projections of its own."""
    policy = tiny.stock()
    shapes: list[tuple[int, ...]] = []
    for layer in LAYERS:
        attention = reach(policy, layer).self_attn
        attention.q_proj.register_forward_hook(lambda _layer, _given, output: shapes.append(tuple(output.shape)))
        attention.o_proj.register_forward_pre_hook(lambda _layer, given: shapes.append(tuple(given[0].shape)))
    expert = policy.model.vlm_with_expert
    width = expert.num_attention_heads * expert.config.text_config.head_dim
    policy.train()(tiny.batch(0, 20))
    policy.predict_action_chunk(tiny.observation(0, 20))
    assert set(shapes) == {(2, policy.config.chunk_size, width)}


def test_the_trainer_clips_nothing_steps_then_updates(tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny.policy("pred")
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    order: list[str] = []

    def note(owner: Any, name: str) -> None:
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: order.append(name) or original(*given, **named))

    for owner, name in ((policy, "forward"), (optimizer, "step"), (optimizer, "zero_grad"), (policy, "update")):
        note(owner, name)
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *_: pytest.fail("clipped over all groups"))
    tracker = MetricsTracker(4, 45, 3, {key: AverageMeter(key) for key in ("loss", "grad_norm", "lr", "update_s")})
    accelerator = Accelerator(cpu=True)
    for _ in range(2):
        update_policy(tracker, policy, tiny.batch(0, 20), optimizer, 0.0, accelerator)
    assert order == ["forward", "step", "zero_grad", "update"] * 2
    assert policy.keyed_step == 2


def test_a_batch_keeps_the_frames_global_index(tiny: TinyWorld) -> None:
    batch = tiny.batch(3, 20, 44)  # of three episodes
    assert {"index", "episode_index", "task_index", "timestamp", "task", "action_is_pad"} <= batch.keys()
    assert batch["index"].tolist() == [3, 20, 44]
    assert "frame_index" not in batch
