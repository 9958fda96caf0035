"""A world whose future decides the action, and whose present does not tell it.

A latent circles at phase p by an eighth of a turn per frame, forth or back, by turns of episodes. A frame's action is
read off the latent two frames, a quarter of a turn, ahead: cos(p +- pi/2 + j pi/7) = -+ sin(p + j pi/7). Pictures,
state and instruction are always the same. What latents tell about the action of frame t:

- z_t alone nothing: it leaves the sign open, and both are equally frequent. So the best that can be made of it is the
  mean, 0. (Of the actions after it z_t does tell something, so of every chunk the first action alone is scored.)
- z_{t+1..t+8} in order all of it.
- z_{t+1..t+8} in no order nothing: they are one whole turn, the same points for every phase and direction, up to which
  eighths those are.
- Two latents in order, of whatever time, all of it: no episode ever turns round. So history alone tells it, as it must
  in any world where it can be predicted, and so does a prediction that came too late.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.tiny_dataset import TASKS, libero_features
from support.tiny_policy import CONTEXT, ENCODER, LATENT_DIM, PICTURE, TinyWorld, save_tiny_base, tiny_config

from world_modality.data.episodes import dataset_fingerprint
from world_modality.latents.cache import write_cache

EPISODES, FRAMES, HELD_OUT = 80, 34, 12
SPEED, AHEAD = np.pi / 4, 2
HORIZON = 8  # a whole turn
USED = range(HORIZON + CONTEXT - 1, FRAMES - HORIZON)  # two turns: with a whole future, and a whole history of old
FROZEN = {"freeze_vision_encoder": True, "train_expert_only": True}

Floats = npt.NDArray[np.floating[Any]]


def phases(rng: np.random.Generator) -> Floats:
    """[EPISODES, FRAMES + AHEAD]."""
    turn = np.where(np.arange(EPISODES) % 2, 1, -1)[:, None]
    return rng.uniform(0, 2 * np.pi, (EPISODES, 1)) + turn * SPEED * np.arange(FRAMES + AHEAD)


def actions(phase: Floats) -> Floats:
    """[EPISODES, FRAMES, 7]."""
    return np.cos(phase[:, AHEAD:, None] + np.arange(7) * np.pi / 7)


def latents(phase: Floats, rng: np.random.Generator) -> npt.NDArray[np.float16]:
    """[EPISODES, FRAMES, LATENT_DIM]."""
    mixing = rng.normal(size=(2, LATENT_DIM))
    circle = np.stack([np.cos(phase), np.sin(phase)], -1)[:, :FRAMES]
    return (3 + circle @ mixing + 0.02 * rng.normal(size=(EPISODES, FRAMES, LATENT_DIM))).astype(np.float16)


def build_circling_world(root: Path, seed: int = 0) -> TinyWorld:
    """Dataset, latents and a base policy of random weights below ``root``."""
    rng = np.random.default_rng(seed)
    phase = phases(rng)
    data = LeRobotDataset.create(
        "local/circle", fps=10, features=libero_features(PICTURE), root=root / "dataset", use_videos=False
    )
    grey = np.full((PICTURE, PICTURE, 3), 128, np.uint8)
    for episode in actions(phase):
        for action in episode:
            frame = {  # the same pictures and state in every frame: nothing to recognise an episode by
                "observation.images.image": grey,
                "observation.images.image2": grey,
                "observation.state": np.zeros(8, np.float32),
                "action": action.astype(np.float32),
                "task": TASKS[0],
            }
            data.add_frame(frame)
        data.save_episode()
    data.finalize()
    (root / "latents").mkdir()
    write_cache(
        root / "latents",
        list(latents(phase, rng)[:, :, None]),
        (EPISODES * FRAMES, 1, LATENT_DIM),
        camera="image",
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(root / "dataset"),
    )
    plain = LeRobotDataset("local/circle", root=root / "dataset")
    steps = resolve_delta_timestamps(tiny_config(), plain.meta)
    base = save_tiny_base(root / "base", plain.meta.stats, **FROZEN)
    return TinyWorld(
        root, base, root / "latents", LeRobotDataset("local/circle", root=root / "dataset", delta_timestamps=steps)
    )


def every_frame(world: TinyWorld) -> dict[str, Any]:
    """All frames as one preprocessed batch, so that training need not decode pictures again."""
    return world.batch(*range(EPISODES * FRAMES))


def rows(batch: dict[str, Any], index: torch.Tensor) -> dict[str, Any]:
    """Some frames of a batch."""
    return {
        key: value[index] if isinstance(value, torch.Tensor) else [value[i] for i in index.tolist()]
        for key, value in batch.items()
        if isinstance(value, torch.Tensor | list)
    }


def batches(batch: dict[str, Any], steps: int, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Random training batches: used frames of the episodes that are not held out."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        episode = torch.randint(EPISODES - HELD_OUT, (size,), generator=generator)
        yield rows(batch, episode * FRAMES + torch.randint(USED.start, USED.stop, (size,), generator=generator))


def explained(policy: Any, batch: dict[str, Any]) -> float:
    """Share of the variance of held-out frames' actions that the first actions of the policy's chunks explain.

    0 is what their mean would explain. Over the used frames, whole turns of as many episodes forth as back, whatever
    is a function of the present latent alone explains 0 at most.
    """
    context = policy.config.world_context
    index = torch.tensor([episode * FRAMES + t for episode in range(EPISODES - HELD_OUT, EPISODES) for t in USED])
    asked = rows(batch, index)
    lookup = policy._latents
    asked["observation.world_history"] = lookup.history(index, context, policy.config.rollout_mode.delay * HORIZON)
    asked["observation.world_future"] = lookup.window(index, context, HORIZON).future
    noise = torch.randn(
        len(index), policy.config.chunk_size, policy.config.max_action_dim, generator=torch.Generator().manual_seed(0)
    )
    policy.eval()
    with torch.no_grad():
        first = policy.predict_action_chunk(asked, noise=noise)[:, 0]
    truth = asked["action"][:, 0]
    return float(1 - (first - truth).square().mean() / (truth - truth.mean(0)).square().mean())
