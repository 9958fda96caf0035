"""Checkpoints of the earlier system, built to the description of its format, with random weights around a tiny SmolVLA.

And what such a checkpoint computes, a second time, in plain torch: nothing of the package's world memory is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from support.given_inputs import edit_json
from support.tiny_checkpoints import plain_checkpoint
from torch import Tensor

D, T, K = 128, 3, 4  # numbers of a latent, frames of history, frames ahead
LAYERS, PROPHET_HEADS, INJECT_HEADS = 2, 8, 4
FRAMES = 4  # of a clip
GATE = 0.7
PROPHET, INJECT = "prophet.", "model.world_inject."

FIELDS: Mapping[str, Any] = {
    "dataset_repo_id": "HuggingFaceVLA/libero",
    "cache_dir": "cache",
    "world_latents_source": "vjepa",
    "latent_suffix": f"m{FRAMES}",
    "world_latent_dim": D,
    "init_from_policy_path": "HuggingFaceVLA/smolvla_libero",
    "init_from_strict": False,
    "push_to_hub": False,
    "context_frames": T,
    "future_offset": K,
    "enable_world_injection": True,
    "world_inject_num_heads": INJECT_HEADS,
    "world_gate_init": 0.0,
    "world_memory_mode_train": "pred",
    "world_memory_mode_rollout": "pred",
    "log_attn_stats": True,
    "log_grad_stats": True,
    "world_inject_suffix_in": False,
    "world_prefix_tokens": 0,
    "world_prefix_block": "state",
    "world_prefix_gate_init": 0.0,
    "world_prefix_cross_attn": False,
    "world_prefix_num_heads": 8,
    "enable_world_predictor": True,
    "prophet_layers": LAYERS,
    "prophet_heads": PROPHET_HEADS,
    "prophet_dropout": 0.0,
    "delta_prediction": True,
    "lambda_world": 0.2,
    "world_vision_model_name": "facebook/vjepa2-vitg-fpc64-256",
    "world_use_first_camera_only": True,
    "world_rollout_temporal_window": 0,
}
"""Every setting that its config had beside SmolVLA's; sizes are small, the rest its defaults."""

CACHE_STEP = {"registry_name": "world_latents_from_cache", "config": {}}
"""The step of its training's preprocessor, which no other program has."""


def earlier_checkpoint(folder: Path, seed: int = 0, **settings: Any) -> Path:
    """A ``pretrained_model`` folder of it. ``settings`` are those of its config to change."""
    plain_checkpoint(folder, seed)
    edit_json(folder / "config.json", lambda config: config.update({**FIELDS, **settings, "type": "smolvla_world"}))
    edit_json(folder / "policy_preprocessor.json", lambda pipeline: pipeline["steps"].insert(2, CACHE_STEP))
    file = folder / "model.safetensors"
    weights = load_file(file)
    width = weights["model.action_out_proj.weight"].shape[1]
    save_file({**weights, **_world_tensors(width, seed)}, file, metadata={"format": "pt"})
    return folder


def earlier_e1(folder: Path, seed: int = 0) -> Path:
    """The one trained with a memory of zeros, as its launcher left it: rolled out with ``pred`` by its settings."""
    return earlier_checkpoint(folder, seed, world_memory_mode_train="zero")


def plain_of(folder: Path) -> dict[str, Tensor]:
    """SmolVLA's own tensors of such a checkpoint."""
    weights = load_file(folder / "model.safetensors")
    return {name: value for name, value in weights.items() if not name.startswith((PROPHET, INJECT))}


def world_of(folder: Path) -> dict[str, Tensor]:
    """The others."""
    weights = load_file(folder / "model.safetensors")
    return {name: value for name, value in weights.items() if name.startswith((PROPHET, INJECT))}


def _world_tensors(hidden: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed + 1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])

    def linear(name: str, outputs: int, inputs: int) -> dict[str, Tensor]:
        return {f"{name}.weight": normal(outputs, inputs), f"{name}.bias": 3 * normal(outputs)}

    def attention(name: str, width: int) -> dict[str, Tensor]:
        packed = {f"{name}.in_proj_weight": normal(3 * width, width), f"{name}.in_proj_bias": 3 * normal(3 * width)}
        return {**packed, **linear(f"{name}.out_proj", width, width)}

    tensors = {"prophet.query_slots": normal(1, K, D), f"{INJECT}gate": torch.tensor(GATE)}
    tensors |= linear("prophet.input_proj", D, D) | linear("prophet.output_proj", D, D)
    for number in range(LAYERS):
        layer = f"prophet.encoder.layers.{number}"
        tensors |= attention(f"{layer}.self_attn", D)
        tensors |= linear(f"{layer}.linear1", 4 * D, D) | linear(f"{layer}.linear2", D, 4 * D)
        for norm in ("norm1", "norm2"):
            tensors |= {f"{layer}.{norm}.weight": 1 + normal(D), f"{layer}.{norm}.bias": normal(D)}
    return tensors | linear(f"{INJECT}future_proj", hidden, D) | attention(f"{INJECT}cross_attn", hidden)


# What it computes.


def prophecy(weights: Mapping[str, Tensor], history: Tensor, *, delta: bool = True) -> Tensor:
    """Raw latents [B, T, D] -> memory [B, K, D]: a pre-norm encoder over the projected history and the slots."""

    def linear(name: str, tokens: Tensor) -> Tensor:
        return tokens @ weights[f"prophet.{name}.weight"].T + weights[f"prophet.{name}.bias"]

    def norm(name: str, tokens: Tensor) -> Tensor:
        centred = tokens - tokens.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[f"prophet.{name}.weight"] + weights[f"prophet.{name}.bias"]

    slots = weights["prophet.query_slots"].expand(len(history), -1, -1)
    tokens = torch.cat([linear("input_proj", history), slots], dim=1)
    for number in range(LAYERS):
        layer = f"encoder.layers.{number}"
        normed = norm(f"{layer}.norm1", tokens)
        tokens = tokens + attend(weights, f"prophet.{layer}.self_attn", normed, normed, PROPHET_HEADS)
        tokens = tokens + linear(f"{layer}.linear2", linear(f"{layer}.linear1", norm(f"{layer}.norm2", tokens)).relu())
    ahead = linear("output_proj", tokens[:, -K:])
    return history[:, -1:] + ahead if delta else ahead


def attend(weights: Mapping[str, Tensor], name: str, query: Tensor, read: Tensor, heads: int) -> Tensor:
    """Multi-head attention with biases of ``query`` [B, L, W] to ``read`` [B, M, W], as key and as value."""
    parts = zip(weights[f"{name}.in_proj_weight"].chunk(3), weights[f"{name}.in_proj_bias"].chunk(3), strict=True)
    queries, keys, values = (
        (tokens @ weight.T + bias).unflatten(-1, (heads, -1)).transpose(1, 2)
        for tokens, (weight, bias) in zip((query, read, read), parts, strict=True)
    )
    scores = (queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])).softmax(-1)
    context = (scores @ values).transpose(1, 2).flatten(2)
    return context @ weights[f"{name}.out_proj.weight"].T + weights[f"{name}.out_proj.bias"]


def injected(weights: Mapping[str, Tensor], hidden: Tensor, memory: Tensor) -> Tensor:
    """Hidden states [B, L, H] after they read the memory [B, K, D]."""
    read = F.linear(memory, weights[f"{INJECT}future_proj.weight"], weights[f"{INJECT}future_proj.bias"])
    context = attend(weights, f"{INJECT}cross_attn", hidden, read, INJECT_HEADS)
    return hidden + torch.tanh(weights[f"{INJECT}gate"]) * context


def reading(flow: Any, weights: Mapping[str, Tensor], memory: Tensor) -> Any:
    """A handle to remove; until then LeRobot's SmolVLA reads the memory, as the earlier system's did."""

    def before(_layer: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (hidden,) = arguments
        assert hidden.dtype == torch.float32
        return (injected(weights, hidden, memory),)

    hook: Callable[..., Any] = before
    return flow.action_out_proj.register_forward_pre_hook(hook)


def written(folder: Path) -> dict[str, Any]:
    """The config.json of a folder."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config
