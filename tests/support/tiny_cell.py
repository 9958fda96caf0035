"""A training cell small enough for a test: tiny dataset, scratch policy, made-up latents, and the stage's context."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.episodes import dataset_fingerprint
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.latents.cache import write_cache
from world_modality.policies.host import small_host
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import EncoderSpec, OptimSpec, TrainSpec, WorldSpec, latents_role

CAMERAS = tuple(SUITES["libero_spatial"].cameras)
WORLD = WorldSpec(
    cameras=("image",),
    context=2,
    prediction_horizon=3,
    heads=2,
    prophet_layers=1,
    prophet_width=16,
    hypotheses=1,
    fusion="late",
    attention_width=0,
    delta=True,
    lambda_world=0.2,
    gate_init=0.0,
)
ENCODER = EncoderSpec(
    kind="vjepa2",
    source="embedded",
    name="tiny",
    revision="",
    seed=0,
    frames=4,
    image_size=32,
    pooling="mean",
    dtype="float32",
)


ALIGNED = "aligned"
ALIGNMENT = {"align": True, "align_weight": 0.2, "align_depth": 0.75, "align_tokens": "steps"}

ROLES = ("policy", "dataset", *map(latents_role, CAMERAS), "encoder")


def train_spec(
    memory: str,
    *,
    steps: int = 12,
    batch_size: int = 4,
    seed: int = 0,
    cameras: tuple[str, ...] = ("image",),
) -> TrainSpec:
    """A spec of few steps; one epoch of the tiny dataset is 12 steps of 4. Of ``ALIGNED`` one without memory.

    As in every study, ``world_lr`` without a memory is the default one, whatever arms with a memory use.
    """
    optim = OptimSpec(
        steps=steps,
        batch_size=batch_size,
        lr=1e-3,
        warmup_steps=2,
        decay_steps=steps,
        decay_lr=1e-5,
        weight_decay=1e-4,
        grad_clip=1.0,
        world_lr=1e-3 if memory == "disabled" else 1e-2,
        train_vision=True,
    )
    if memory == ALIGNED:
        mode, own = "disabled", {"cameras": cameras, **ALIGNMENT}
    else:
        mode, own = memory, {"cameras": cameras, "truth_steps": steps // 2 if MODES[memory].needs_truth else None}
    world = None if memory == "disabled" else WORLD.model_copy(update=own)
    return TrainSpec(family="smolvla", memory=mode, world=world, optim=optim, seed=seed, threads=1, n_action_steps=5)


def build_inputs(root: Path, *, size: int = 32, architecture: str = "smolvla-tiny") -> dict[str, tuple[Path, ...]]:
    """Policy, dataset (45 frames), both cameras' latents and an encoder folder below ``root``, by role."""
    dataset = build_tiny_dataset(root / "dataset", size=size)
    small_host(architecture).build_small(architecture, 0, root / "policy", SUITES["libero_spatial"], 256)
    rng = np.random.default_rng(5)
    for camera in CAMERAS:
        folder = root / latents_role(camera)
        folder.mkdir()
        write_cache(
            folder,
            [rng.normal(size=(length, 1, 6)).astype(np.float16) for length in (14, 15, 16)],
            (45, 1, 6),
            camera=camera,
            encoder=ENCODER,
            dataset_fingerprint=dataset_fingerprint(dataset),
        )
    (root / "encoder").mkdir()
    (root / "encoder" / "config.json").write_text("{}")
    return {role: (root / role,) for role in ROLES}


def stage_context(
    root: Path,
    inputs: dict[str, tuple[Path, ...]] | None = None,
    *,
    label: str = "stage",
    cores: int = 1,
    stream: io.StringIO | None = None,
) -> StageContext:
    """The context of a stage that works below ``root``."""
    for name in ("artifact", "work"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return StageContext(
        key="0" * 16,
        artifact=root / "artifact",
        volatile=root / "volatile",
        work=root / "work",
        inputs=inputs or {},
        progress=Progress(label, stream=stream),
        cores=cores,
        input_keys={role: tuple(path.parent.name for path in paths) for role, paths in (inputs or {}).items()},
    )


def cell_context(
    root: Path,
    inputs: dict[str, tuple[Path, ...]],
    *,
    memory: str,
    stream: io.StringIO | None = None,
    cameras: tuple[str, ...] = ("image",),
) -> StageContext:
    """The context of a train stage in ``memory`` mode, with the inputs that this mode has."""
    own = [] if memory == "disabled" else [*map(latents_role, cameras), "encoder"]
    needed = ("policy", "dataset", *own)
    return stage_context(root, {role: inputs[role] for role in needed}, label=f"train {memory}/0", stream=stream)
