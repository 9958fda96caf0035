"""A policy that turns one observation into one chunk of actions, with its noise given by a seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lerobot.envs.utils import preprocess_observation
from lerobot.processor import AbsoluteActionsProcessorStep
from lerobot.utils.constants import OBS_IMAGES
from numpy.typing import NDArray

from lerobot_policy_world_modality.modeling_smolvla_world import WORLD_HISTORY
from world_modality.errors import UserError
from world_modality.memory.fusion import observing
from world_modality.policies.checkpoint import load_config, load_model, load_processors
from world_modality.policies.noise import NOISE, Noise
from world_modality.policies.question import Question, View
from world_modality.study.specs import EncoderSpec


class ChunkPolicy:
    """A loaded checkpoint. ``predict`` depends on its arguments alone, never on what was predicted before."""

    def __init__(
        self,
        config: Any,
        policy: Any,
        preprocessor: Any,
        postprocessor: Any,
        batch: int = 1,
        dtype: str | None = None,
    ) -> None:
        self.config = config
        self.batch = batch
        self._dtype = None if dtype is None else getattr(torch, dtype)
        self._policy = policy
        self._preprocessor = preprocessor
        self._postprocessor = postprocessor

    @property
    def chunk_size(self) -> int:
        """Actions per chunk."""
        return int(self.config.chunk_size)

    @property
    def looks_back(self) -> int:
        """Views before the present one that the policy wants, of the control steps just before."""
        return int(self.config.n_obs_steps) - 1

    @property
    def trained_memory(self) -> str:
        """The memory mode the checkpoint was trained with; "disabled" for plain SmolVLA."""
        return str(getattr(self.config, "world_memory_mode_train", "disabled"))

    @property
    def encoder_spec(self) -> EncoderSpec | None:
        """How frames became the latents it was trained on; None without world memory."""
        return getattr(self.config, "encoder_spec", None)

    def predict(
        self, observation: View, task: str, seed: int, world_history: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Actions in the dataset's units, float32 [chunk_size, 7]; see :class:`Question` for the arguments."""
        return self.answer([Question(observation, task, seed, history=world_history)])[0]

    def answer(self, questions: Sequence[Question]) -> list[NDArray[np.float32]]:
        """Actions in the dataset's units, float32 [chunk_size, 7], for each of at most ``batch`` questions of one task.

        The policy always computes ``batch`` rows: sums over rows of another number would be rounded otherwise, and
        contacts in the simulator make another outcome of the last bit. Rows do not depend on each other.

        Raises:
            ValueError: more questions than that, different tasks, or no history although the memory mode reads it.
        """
        if not 1 <= len(questions) <= self.batch or len({question.task for question in questions}) > 1:
            raise ValueError(f"a policy answers 1 to {self.batch} questions about one task at once")
        if self._reads_history and any(question.history is None for question in questions):
            raise ValueError(f"memory mode '{self.config.rollout_mode.name}' needs the world's history")
        noise = NOISE.get(str(self.config.type))
        if noise is None:
            return [self._answer_alone(question) for question in questions]
        if self._answers_relatively:
            return [self._answer_together([question], noise, rows=1)[0] for question in questions]
        return self._answer_together(questions, noise, self.batch)

    def trial(self, question: Question, rows: int) -> float:
        """CPU seconds of this thread that ``rows`` copies of a question take; twice, of which the second counts."""
        seconds = 0.0
        for _ in range(2):
            start = time.thread_time()
            ChunkPolicy(self.config, self._policy, self._preprocessor, self._postprocessor, rows).answer(
                [question] * rows
            )
            seconds = time.thread_time() - start
        return seconds

    def answer_watched(self, question: Question) -> tuple[NDArray[np.float32], dict[str, float]]:
        """The chunk that ``answer`` gives, and how the memory was read for it; no figures if there is none."""
        world = getattr(self._policy, "world", None)
        if world is None:
            return self.answer([question])[0], {}
        with observing(world.fusion) as observer:
            chunk = self.answer([question])[0]
        return chunk, {"world_gate": world.fusion.gates().mean().item(), **observer.figures()}

    @property
    def _answers_relatively(self) -> bool:
        """Whether the postprocessor adds the state that it saw last, a single row's, to every row's actions."""
        steps = self._postprocessor.steps
        return any(isinstance(step, AbsoluteActionsProcessorStep) and step.enabled for step in steps)

    def _answer_together(self, questions: Sequence[Question], noise: Noise, rows: int) -> list[NDArray[np.float32]]:
        missing = rows - len(questions)
        asked = [self._row(question) for question in questions]
        seeds = [question.seed for question in questions]
        seeds += seeds[-1:] * missing
        with noise(self._policy, seeds) as arguments:
            return list(self._chunks(_stacked([*asked, *asked[-1:] * missing]), **arguments))[: len(questions)]

    def _answer_alone(self, question: Question) -> NDArray[np.float32]:
        """For policies that draw from the global generator."""
        device = torch.device(self.config.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(question.seed)
            chunk: NDArray[np.float32] = self._chunks(self._row(question))[0]
            return chunk

    def _chunks(self, batch: dict[str, Any], **noise: torch.Tensor) -> NDArray[np.float32]:
        self._policy.reset()
        with self._precision(), torch.inference_mode():
            actions = self._postprocessor(self._policy.predict_action_chunk(batch, **noise))
        return cast(NDArray[np.float32], actions.float().cpu().numpy())

    @property
    def _reads_history(self) -> bool:
        mode = getattr(self.config, "rollout_mode", None)
        return mode is not None and bool(mode.needs_history)

    def _row(self, question: Question) -> dict[str, Any]:
        """A batch of one; where the policy looks back, its views stand behind each other in a second dimension."""
        row = self._view(question.view, question.task)
        if self.looks_back:
            views = [self._view(view, question.task) for view in question.past]
            for name in self.config.input_features:
                row[name] = torch.stack([*(view[name] for view in views), row[name]], dim=1)
        if question.history is not None:
            row[WORLD_HISTORY] = torch.from_numpy(question.history)[None].to(self.config.device)
        return row

    def _view(self, view: View, task: str) -> dict[str, Any]:
        """LeRobot's path: its own observation preprocessing, then the checkpoint's saved processor."""
        images: dict[str, Any] = {name: np.ascontiguousarray(image) for name, image in view.images.items()}
        batch = preprocess_observation({"pixels": images, "agent_pos": view.state[None]})
        batch = self._preprocessor({**batch, "task": [task]})
        missing = [name for name in self.config.image_features if name not in batch and "empty_camera" not in name]
        if missing:
            raise UserError(
                f"the checkpoint looks at {', '.join(missing)}, which the simulator does not give "
                f"(it has {', '.join(f'{OBS_IMAGES}.{name}' for name in images)}); rename the cameras in its processor."
            )
        return cast(dict[str, Any], batch)

    def _precision(self) -> Any:
        device = torch.device(self.config.device).type
        return torch.autocast(device, self._dtype) if self.config.use_amp else nullcontext()


def _stacked(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One batch of rows [1, ...]; what is no tensor is the same in all of them or a list of one."""
    stacked: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, torch.Tensor):
            stacked[name] = torch.cat(values)
        else:
            stacked[name] = [item for value in values for item in value] if isinstance(first, list) else first
    return stacked


def load_policy(
    folder: Path,
    device: str = "cpu",
    memory_mode: str | None = None,
    num_steps: int | None = None,
    n_action_steps: int | None = None,
    batch: int = 1,
    dtype: str | None = None,
) -> ChunkPolicy:
    """Load a checkpoint folder (LeRobot's ``pretrained_model``) of any policy that predicts chunks of actions.

    ``memory_mode`` is what the world memory holds in this rollout (as trained if None), ``num_steps`` the flow
    integration steps, ``batch`` the rows computed at once, ``dtype`` the numbers they
    are computed in (as the checkpoint says if None). UserError when the folder cannot be used that way.
    """
    config = load_config(folder, device, memory_mode, num_steps, n_action_steps, dtype)
    model = load_model(folder, config)
    return ChunkPolicy(config, model, *load_processors(folder, config), batch=batch, dtype=dtype)
