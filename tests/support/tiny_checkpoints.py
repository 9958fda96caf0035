"""Checkpoints of the packaged small architecture with random weights: plain SmolVLA and with world modules."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from support.toy_results import ToyResults

from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.world_config import encoder_fields
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.host import small_host
from world_modality.study.specs import EncoderSpec

WIDTH = 128  # of the embedded encoder's latents
ENCODER = EncoderSpec(
    kind="vjepa2",
    source="embedded",
    name="vjepa2-small",
    revision="",
    seed=3,
    frames=4,
    image_size=64,
    pooling="mean",
    dtype="float32",
)


def statistics(suite: str = "libero_spatial") -> dict[str, dict[str, torch.Tensor]]:
    """Means and deviations as a dataset would have them, none of them trivial."""
    state, action = len(SUITES[suite].state), SUITES[suite].action.size
    return {
        "observation.state": {"mean": torch.linspace(-0.5, 0.9, state), "std": torch.linspace(0.1, 1.2, state)},
        "action": {"mean": torch.linspace(-0.1, 0.2, action), "std": torch.linspace(0.2, 0.9, action)},
    }


def plain_checkpoint(
    folder: Path, seed: int = 0, architecture: str = "smolvla-tiny", suite: str = "libero_spatial", pixels: int = 256
) -> Path:
    """A checkpoint of a small architecture without memory."""
    host = small_host(architecture)
    host.build_small(architecture, seed, folder, SUITES[suite], pixels)
    config = host.small_config(architecture, SUITES[suite], pixels)
    for processor in host.new_processors(config, statistics(suite)):
        processor.save_pretrained(folder)
    return folder


def world_checkpoint(
    folder: Path, plain: Path, memory: str, gate: float = 0.5, cameras: tuple[str, ...] = ("image",)
) -> Path:
    """The same weights with a world memory; with world modules, the gate is open and nothing in them is zero."""
    if memory == "disabled":
        convert(plain, folder, world_memory_mode_train=memory)
        return folder
    latents = {"world_latent_dim": len(cameras) * WIDTH, "world_cameras": ",".join(cameras)}
    settings = {"world_memory_mode_train": memory, "world_heads": 2, "world_prediction_horizon": 3, **latents}
    sizes = {"world_context": 2, "world_prophet_width": 32, "world_prophet_layers": 1}
    convert(plain, folder, **settings, **sizes, **encoder_fields(ENCODER))
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(5)
    for name, value in weights.items():
        if name.startswith("world.") and value.is_floating_point() and "standardiser" not in name:
            weights[name] = value + 0.1 * torch.randn(value.shape, generator=generator)
        if name.endswith("gate"):
            weights[name] = torch.full_like(value, gate)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def seal_encoder(toy: ToyResults, spec: EncoderSpec) -> Path:
    """The folder for an encoder of ``spec`` in a results tree, sealed before anything is in it."""
    folder = toy._seal("encoder", "encoder", "encoder", 1.0, [])
    record = json.loads((folder.parent / "DONE.json").read_text()) | {"spec": spec.model_dump(mode="json")}
    (folder.parent / "DONE.json").write_text(json.dumps(record))
    return folder
