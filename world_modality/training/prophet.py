"""A checkpoint's Prophet, judged on episodes that were not trained on.

One that follows the flow's noisy actions is told the demonstrated ones, as its policy has them where the flow ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from world_modality.data.episodes import load_metadata, read_episode_table
from world_modality.data.frames import FrameReader, encode_png
from world_modality.data.schema import ACTION
from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.action_conditioning import NoisyActions
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.ridge import FrameIndices
from world_modality.memory.world import WorldMemory
from world_modality.policies.trusted import build_processors
from world_modality.prophet.episodes import standardised_windows
from world_modality.prophet.judging import judge
from world_modality.prophet.nearest import JudgedEpisodes, nearest_frames
from world_modality.store.files import write_atomically
from world_modality.tokens.grids import shrunk, tiled

NEAREST = "nearest"
"""The folder of pictures of nearest frames, in the artifact of a training with world memory."""
PICTURED = ("present", "true", "nearest_to_predicted", "nearest_to_true")
PIXELS = 96


def evaluate_prophet(
    checkpoint: Path,
    dataset: Path,
    latents: Sequence[Path],
    *,
    device: str = "cpu",
    judged: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What :func:`judge` says of a checkpoint's Prophet, as JSON values.

    Judged on the episodes that the checkpoint says were held out. A Prophet that follows the noisy actions is told the
    demonstrated actions at flow time 0, and ``actions`` is "demonstrated". ``nearest`` is what :func:`nearest_frames`
    says of the latents; it is not there where that says nothing.

    Args:
        checkpoint: a ``pretrained_model`` folder with world modules.
        dataset: the LeRobotDataset that it was trained on.
        latents: folders of that dataset's latents, one per camera of the checkpoint, in its order.
        device: where to compute.
        judged: what :func:`judge` said of this very Prophet on these episodes, where it was trained beforehand and is
            kept; None: nothing yet.

    Raises:
        UserError: they do not belong together, or the checkpoint has no world memory.
    """
    world, lookup, told = _load(checkpoint, dataset, latents, device)
    sizes = world.sizes
    windows = standardised_windows(lookup, world.standardiser, sizes.context, sizes.prediction_horizon, device)

    def predict(history: Tensor, frames: FrameIndices) -> Tensor:
        noisy = None if told is None else told.of(frames, sizes.prediction_horizon)
        prediction: Tensor = world.prophet(history, noisy)
        return prediction

    def standardised(frames: FrameIndices) -> Tensor:
        of_frames: Tensor = world.standardiser(lookup.history(torch.from_numpy(frames), 1)[:, 0].to(device))
        return of_frames

    found = judge(predict, sizes, lookup, windows) if judged is None else dict(judged)
    found |= {"actions": "none" if told is None else "demonstrated"}
    episodes = JudgedEpisodes(lookup.bounds, read_episode_table(dataset).tasks, lookup.held_out)
    nearest = nearest_frames(predict, sizes, episodes, windows, standardised)
    return found if nearest is None else found | {"nearest": nearest}


def picture_examples(result: Mapping[str, Any], dataset: Path, camera: str, folder: Path) -> None:
    """One PNG per example of ``nearest``, named by its number: the pictures of its frames side by side, in the order of
    ``PICTURED``. Nothing where there is none."""
    reader = FrameReader(dataset, camera)
    bounds = EpisodeBounds.of(reader.table.starts, reader.table.ends)
    for number, example in enumerate(result.get("nearest", {}).get("examples", ())):
        folder.mkdir(exist_ok=True)
        cells = []
        for frame in (example[name] for name in PICTURED):
            (episode,) = bounds.find(np.array([frame]))
            (picture,) = reader.at(int(episode), [int(frame - bounds.starts[episode])])
            cells.append(shrunk(picture, PIXELS))
        write_atomically(folder / f"{number}.png", encode_png(tiled(cells, len(cells))))


def _load(
    checkpoint: Path, dataset: Path, latents: Sequence[Path], device: str
) -> tuple[WorldMemory, LatentLookup, DemonstratedActions | None]:
    """The world modules, the latents, and the actions if the Prophet follows them."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    from lerobot_policy_world_modality.world_parts import open_training_latents

    config = PreTrainedConfig.from_pretrained(checkpoint)
    if getattr(config, "world_memory_mode_train", "disabled") == "disabled":
        raise UserError(f"{checkpoint} has no world memory, so it has no Prophet to judge: give one that has")
    config.world_latents, config.device = os.pathsep.join(map(str, latents)), device
    lookup = open_training_latents(config, load_metadata(dataset))
    with borrowed_generator():
        policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    assert policy.world is not None
    world = policy.world.eval().requires_grad_(False)
    told = DemonstratedActions(policy, checkpoint, dataset, lookup.bounds) if world.sizes.actions else None
    return world, lookup, told


class DemonstratedActions:
    """All actions of a dataset in the units of a policy."""

    def __init__(self, policy: Any, checkpoint: Path, dataset: Path, bounds: EpisodeBounds) -> None:
        """Read and convert them.

        Args:
            policy: LeRobot's, loaded from ``checkpoint``.
            checkpoint: folder with the processors.
            dataset: a LeRobotDataset.
            bounds: its episodes.
        """
        self._bounds = bounds
        self._actions = _in_units_of(policy, checkpoint, _read(dataset, bounds.frames))

    def of(self, frames: npt.NDArray[np.int64], length: int) -> NoisyActions:
        """``length`` actions from each of ``frames`` [B] on, at flow time 0; an episode's last one is repeated."""
        _, end = self._bounds.around(frames)
        rows = np.minimum(frames[:, None] + np.arange(length), end[:, None] - 1)
        return NoisyActions(self._actions[torch.from_numpy(rows)], self._actions.new_zeros(len(frames)))


def _read(dataset: Path, frames: int) -> Tensor:
    """float32 [frames, A], row = the frame's global index."""
    table = pq.read_table(sorted((dataset / "data").rglob("*.parquet")), columns=["index", ACTION])
    values = torch.tensor(table.column(ACTION).to_pylist(), dtype=torch.float32)
    actions = torch.zeros(frames, values.shape[1])
    actions[torch.tensor(table.column("index").to_pylist())] = values
    return actions


def _in_units_of(policy: Any, checkpoint: Path, actions: Tensor) -> Tensor:
    """As LeRobot's ``forward`` hands actions to its flow model: [N, max_action_dim], on the policy's device."""
    from lerobot.processor import NormalizerProcessorStep, TransitionKey
    from lerobot.processor.converters import create_transition

    device = policy.config.device
    overrides = {"device_processor": {"device": device}}
    preprocessor, _ = build_processors(policy.config, checkpoint, preprocessor_overrides=overrides)
    normalise = next(step for step in preprocessor.steps if isinstance(step, NormalizerProcessorStep))
    normal = normalise(create_transition(action=actions.to(device)))[TransitionKey.ACTION]
    if getattr(policy.config, "adapt_to_pi_aloha", False):  # a setting of SmolVLA alone
        normal = policy._pi_aloha_encode_actions_inv(normal[None])[0]
    padded: Tensor = policy.prepare_action({ACTION: normal})
    return padded.to(device)
