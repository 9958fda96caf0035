"""A policy that turns one observation into one chunk of actions, with its noise given by a seed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lerobot.envs.utils import preprocess_observation
from lerobot.utils.constants import OBS_IMAGES
from numpy.typing import NDArray

from lerobot_policy_world_modality.modeling_smolvla_world import WORLD_HISTORY
from world_modality.errors import UserError
from world_modality.policies.checkpoint import load_config, load_model, load_processors
from world_modality.sim.environment import Observation
from world_modality.study.specs import EncoderSpec


class ChunkPolicy:
    """A loaded checkpoint. ``predict`` depends on its arguments alone, never on what was predicted before."""

    def __init__(self, config: Any, policy: Any, preprocessor: Any, postprocessor: Any) -> None:
        self.config = config
        self._policy = policy
        self._preprocessor = preprocessor
        self._postprocessor = postprocessor

    @property
    def chunk_size(self) -> int:
        """Actions per chunk."""
        return int(self.config.chunk_size)

    @property
    def trained_memory(self) -> str:
        """The memory mode the checkpoint was trained with; "disabled" for plain SmolVLA."""
        return str(getattr(self.config, "world_memory_mode_train", "disabled"))

    @property
    def encoder_spec(self) -> EncoderSpec | None:
        """How frames became the latents it was trained on; None without world memory."""
        return getattr(self.config, "encoder_spec", None)

    def predict(
        self, observation: Observation, task: str, seed: int, world_history: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Actions in the dataset's units, float32 [chunk_size, 7].

        Args:
            observation: pictures uint8 [H, W, 3] as in the dataset, and the state float32 [8].
            task: the instruction.
            seed: of the flow-matching noise; the same seed gives the same noise in every arm and on every device.
            world_history: latents float32 [T, W] that end at this observation, if the memory mode reads them.

        ValueError when they are missing although it does.
        """
        if world_history is None and self._reads_history:
            raise ValueError(f"memory mode '{self.config.rollout_mode.name}' needs the world's history")
        batch = self._batch(observation, task, world_history)
        self._policy.reset()
        with self._precision(), torch.inference_mode():
            actions = self._policy.predict_action_chunk(batch, noise=self._noise(seed))
            actions = self._postprocessor(actions)
        return cast(NDArray[np.float32], actions[0].float().cpu().numpy())

    @property
    def _reads_history(self) -> bool:
        mode = getattr(self.config, "rollout_mode", None)
        return mode is not None and bool(mode.needs_history)

    def _batch(self, observation: Observation, task: str, world_history: NDArray[np.float32] | None) -> dict[str, Any]:
        """LeRobot's path: its own observation preprocessing, then the checkpoint's saved processor."""
        images = {name: np.ascontiguousarray(image) for name, image in observation.images.items()}
        batch = preprocess_observation({"pixels": images, "agent_pos": observation.state[None]})
        batch["task"] = [task]
        batch = self._preprocessor(batch)
        missing = [name for name in self.config.image_features if name not in batch and "empty_camera" not in name]
        if missing:
            raise UserError(
                f"the checkpoint looks at {', '.join(missing)}, which the simulator does not give "
                f"(it has {', '.join(f'{OBS_IMAGES}.{name}' for name in images)}); rename the cameras in its processor."
            )
        if world_history is not None:
            batch[WORLD_HISTORY] = torch.from_numpy(world_history)[None].to(self.config.device)
        return cast(dict[str, Any], batch)

    def _noise(self, seed: int) -> torch.Tensor:
        """Flow-matching noise float32 [1, chunk_size, max_action_dim], drawn on the CPU so that devices agree."""
        generator = torch.Generator().manual_seed(seed)
        shape = (1, self.config.chunk_size, self.config.max_action_dim)
        return torch.randn(shape, generator=generator).to(self.config.device)

    def _precision(self) -> Any:
        return torch.autocast(torch.device(self.config.device).type) if self.config.use_amp else nullcontext()


def load_policy(
    folder: Path,
    device: str = "cpu",
    memory_mode: str | None = None,
    num_steps: int | None = None,
    n_action_steps: int | None = None,
) -> ChunkPolicy:
    """Load a SmolVLA or ``smolvla_world`` checkpoint folder (LeRobot's ``pretrained_model``).

    ``memory_mode`` is what the world memory holds in this rollout (as trained if None), ``num_steps`` the flow
    integration steps. UserError when the folder cannot be used that way.
    """
    config = load_config(folder, device, memory_mode, num_steps, n_action_steps)
    model = load_model(folder, config)
    return ChunkPolicy(config, model, *load_processors(folder, config))
