"""Real small parts for the tests of data, encoders and latents: specs, pictures, episodes, stage folders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from world_modality.data.dataset import run as run_dataset
from world_modality.data.episode_file import EpisodeFile, EpisodeInfo, write_episode
from world_modality.data.frames import encode_png
from world_modality.encoders.encoder import Encoder, clip_rows
from world_modality.encoders.streaming import encode_parts
from world_modality.facts.encoders import ENCODERS
from world_modality.latents.shards import Stretch
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import DatasetSpec, EncoderSpec


def encoder_spec(kind: str = "vjepa2", frames: int = 4, image_size: int = 32, **changes: object) -> EncoderSpec:
    """A small embedded encoder."""
    fields = {
        "kind": kind,
        "source": "embedded",
        "name": next(iter(ENCODERS[kind].small), ""),
        "revision": "",
        "seed": 0,
        "frames": frames,
        "image_size": image_size,
        "pooling": "mean",
        "dtype": "float32",
    }
    return EncoderSpec.model_validate(fields | changes)


def moving_dots(length: int, size: int = 256, seed: int = 0) -> NDArray[np.uint8]:
    """A video uint8 [L, size, size, 3]: a bright dot that wanders over a dim texture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size
    texture = rng.integers(0, 60, (size, size, 3))
    place = rng.uniform(0.3, 0.7, 2)
    video = []
    for _ in range(length):
        dot = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 0.01)
        video.append(np.clip(texture + 190 * dot[..., None], 0, 255).astype(np.uint8))
        place = np.clip(place + rng.normal(scale=0.05, size=2), 0.1, 0.9)
    return np.stack(video)


def drawn_episode(length: int, *, number: int = 0, size: int = 256, task: str = "put the dot away") -> EpisodeFile:
    """An episode of drawn pictures, with states and actions that tell episode and step."""
    videos = {"image": moving_dots(length, size, 2 * number), "image2": moving_dots(length, size, 2 * number + 1)}
    steps = np.arange(length, dtype=np.float32)[:, None]
    return EpisodeFile(
        info=EpisodeInfo("libero_spatial", 0, task, number, 1000 + number, True, length, number),
        pictures={camera: tuple(map(encode_png, video)) for camera, video in videos.items()},
        state=np.full((length, 8), number, np.float32) + 0.01 * steps,
        action=np.tanh(steps - number + np.linspace(-1, 1, 7, dtype=np.float32)),
    )


def encode_clips(encoder: Encoder, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Latents float32 [N, P, D] of clips uint8 [N, m, H, W, 3] that share no frame, oldest frame first."""
    count, frames = clips.shape[:2]
    prepared = encoder.prepare(clips.reshape(count * frames, *clips.shape[2:]))
    return encoder.encode_prepared(prepared, np.arange(count * frames).reshape(count, frames))


def encode_episode(encoder: Encoder, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Latents float16 [L, P, D] of an episode's frames uint8 [L, H, W, 3] in one go; row t is the clip that ends at t.

    Not the way of the latents stage, but short enough to be right: what that is compared with.
    """
    rows = clip_rows(np.arange(len(frames)), encoder.spec.frames)
    return encoder.encode_prepared(encoder.prepare(frames), rows).astype(np.float16)


def encode_in_stretches(encoder: Encoder, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """As ``encode_episode`` but as the latents stage does it: in two stretches, through batches that both share."""
    clip, length = encoder.spec.frames, len(frames)
    parts = (
        (each, frames[each.seen_from(clip) : each.end], each.clip_rows(clip))
        for each in Stretch(0, 0, 0, length).pieces((length + 1) // 2)
    )
    return np.concatenate([latents for _, latents in encode_parts(encoder, parts)])


def stage_context(folder: Path, **inputs: Path | tuple[Path, ...]) -> StageContext:
    """A stage's folders below ``folder``, as the store would hand them over."""
    roles = {role: paths if isinstance(paths, tuple) else (paths,) for role, paths in inputs.items()}
    for name in ("artifact", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    progress = Progress("test", stream=io.StringIO())
    return StageContext("0" * 16, folder / "artifact", folder / "volatile", folder / "work", roles, progress, 2)


def assembled_dataset(root: Path) -> Path:
    """The artifact of a dataset stage below ``root`` that was made of two drawn demonstrations."""
    for number in range(2):
        episode = drawn_episode(5 + number, number=number, size=32)
        write_episode(root / "demos" / "episodes" / f"episode_{number:05d}.parquet", episode)
    context = stage_context(root, demos=root / "demos")
    run_dataset(DatasetSpec(source="scripted", repo_id="local/libero_spatial", revision="", fps=10), context)
    return context.artifact
