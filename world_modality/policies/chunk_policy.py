"""A policy that turns one observation into one chunk of actions, with its noise given by a seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lerobot.envs.utils import preprocess_observation
from lerobot.processor import AbsoluteActionsProcessorStep
from numpy.typing import NDArray

from lerobot_policy_world_modality.world_policy import WORLD_FUTURE, WORLD_HISTORY
from world_modality.benchmarks.contract import Observation
from world_modality.checks.checkpoint import require_fitting, require_whole
from world_modality.checks.processors import has_statistics
from world_modality.checks.rename import EMPTY_CAMERA, PICTURES, Rename, full, own_rename
from world_modality.data.episodes import read_episode_table
from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.fusion import observing
from world_modality.memory.lookup import LatentLookup
from world_modality.policies.checkpoint import load_config, load_processors, require_backbone
from world_modality.policies.config_file import read_config_file
from world_modality.policies.contract import ActionChunk, PolicyFacts, PolicyRequest
from world_modality.policies.host import Noise, host_of
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
        rename: Rename | None = None,
    ) -> None:
        self.config = config
        self.rename = dict(rename or {})
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
    def past_steps(self) -> int:
        """Observations before the present one that the policy wants, of the control steps just before."""
        return int(self.config.n_obs_steps) - 1

    @property
    def trained_memory(self) -> str:
        """The memory mode the checkpoint was trained with; "disabled" without."""
        return str(getattr(self.config, "world_memory_mode_train", "disabled"))

    @property
    def encoder_spec(self) -> EncoderSpec | None:
        """How frames became the latents it was trained on; None without world memory."""
        return getattr(self.config, "encoder_spec", None)

    @property
    def facts(self) -> PolicyFacts:
        """What the checkpoint says, with what was changed at rollout."""
        config = self.config
        mode = getattr(config, "rollout_mode", None)
        features = {name: each.shape for name, each in config.image_features.items() if "empty_camera" not in name}
        if family_of(config.type).sees_latents:
            features = {key: (3, *size) for key, size in zip(config.image_keys, config.frame_sizes, strict=False)}
        return PolicyFacts(
            kind=str(config.type),
            pictures={name: (height, width) for name, (_, height, width) in features.items()},
            chunk_size=getattr(config, "chunk_size", None),
            n_action_steps=int(config.n_action_steps),
            memory="disabled" if mode is None else str(mode.name),
            trained_memory=self.trained_memory,
            num_steps=getattr(config, family_of(config.type).denoising_steps or "num_steps", None),
            settings={"rename": json.dumps(self.rename, sort_keys=True)},
        )

    @property
    def clock(self) -> Callable[[], float]:
        """CPU time of this thread, which computes it."""
        return time.thread_time

    def predict(
        self, observation: Observation, language: str, noise_seed: int, latents: NDArray[np.float32] | None = None
    ) -> ActionChunk:
        """The chunk for one observation; see :class:`PolicyRequest` for the arguments."""
        return self.infer([PolicyRequest(observation, language, noise_seed, latents=latents)])[0]

    def infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        """A chunk for each of at most ``batch`` requests of one instruction.

        The policy always computes ``batch`` rows: sums over rows of another number would be rounded otherwise, and
        contacts in the simulator make another outcome of the last bit. Rows do not depend on each other. A policy that
        draws from the global generator computes them one by one.

        Raises:
            ValueError: more requests than that, different instructions, no latents although the memory mode reads them,
                a future that it does not, or zero memory for some of them alone.
        """
        if not 1 <= len(requests) <= self.batch or len({request.language for request in requests}) > 1:
            raise ValueError(f"a policy is asked for 1 to {self.batch} chunks under one instruction at once")
        if len({request.zero_memory for request in requests}) > 1:
            raise ValueError("chunks with zero memory are asked for by themselves")
        if requests[0].zero_memory:
            with self._zero_memory():
                return self._infer(requests)
        return self._infer(requests)

    def _infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        mode = getattr(self.config, "rollout_mode", None)
        if getattr(self.config, "sees_latents", False) and any(request.latents is None for request in requests):
            raise ValueError(f"memory mode '{self.config.rollout_mode.name}' needs the world's history")
        if any((request.future is not None) != (mode is not None and mode.needs_future) for request in requests):
            raise ValueError("a future is for memory that needs it, and only for that")
        noise = host_of(str(self.config.type)).noise
        if noise is None:
            return [self._infer_alone(request) for request in requests]
        if self._answers_relatively:
            return [self._infer_together([request], noise, rows=1)[0] for request in requests]
        return self._infer_together(requests, noise, self.batch)

    @contextmanager
    def _zero_memory(self) -> Iterator[None]:
        """Meanwhile the policy computes as in a rollout of mode "zero"."""
        before = self.config.world_memory_mode_rollout
        self.config.world_memory_mode_rollout = "zero"
        try:
            yield
        finally:
            self.config.world_memory_mode_rollout = before

    def trial(self, request: PolicyRequest, rows: int) -> float:
        """CPU seconds of this thread that ``rows`` copies of a request take; twice, of which the second counts."""
        seconds = 0.0
        for _ in range(2):
            start = time.thread_time()
            copied = (self.config, self._policy, self._preprocessor, self._postprocessor)
            ChunkPolicy(*copied, rows, rename=self.rename).infer([request] * rows)
            seconds = time.thread_time() - start
        return seconds

    def infer_watched(self, request: PolicyRequest) -> tuple[ActionChunk, dict[str, float]]:
        """The chunk that ``infer`` gives, and how the memory was read for it; no figures if there is none."""
        world = getattr(self._policy, "world", None)
        if world is None:
            return self.infer([request])[0], {}
        with observing(world.fusion) as observer:
            chunk = self.infer([request])[0]
        return chunk, {"world_gate": world.fusion.gates().mean().item(), **observer.figures()}

    def close(self) -> None:
        """Nothing: no other process computes it."""

    @property
    def _answers_relatively(self) -> bool:
        """Whether the postprocessor adds the state that it saw last, a single row's, to every row's actions."""
        steps = self._postprocessor.steps
        return any(isinstance(step, AbsoluteActionsProcessorStep) and step.enabled for step in steps)

    def _infer_together(self, requests: Sequence[PolicyRequest], noise: Noise, rows: int) -> list[ActionChunk]:
        missing = rows - len(requests)
        asked = [self._row(request) for request in requests]
        seeds = [request.noise_seed for request in requests]
        seeds += seeds[-1:] * missing
        with noise(self._policy, seeds) as arguments:
            return list(self._chunks(_stacked([*asked, *asked[-1:] * missing]), **arguments))[: len(requests)]

    def _infer_alone(self, request: PolicyRequest) -> ActionChunk:
        """For policies that draw from the global generator."""
        device = torch.device(self.config.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(request.noise_seed)
            chunk: ActionChunk = self._chunks(self._row(request))[0]
            return chunk

    def _chunks(self, batch: dict[str, Any], **noise: torch.Tensor) -> NDArray[np.float32]:
        self._policy.reset()
        with self._precision(), torch.inference_mode():
            actions = self._postprocessor(self._policy.predict_action_chunk(batch, **noise))
        return cast(NDArray[np.float32], actions.float().cpu().numpy())

    def _row(self, request: PolicyRequest) -> dict[str, Any]:
        """A batch of one; where the policy looks back, those observations stand in a second dimension."""
        row = self._prepared(request.observation, request.language)
        if self.past_steps:
            past = [self._prepared(observation, request.language) for observation in request.past]
            for name in self.config.input_features:
                row[name] = torch.stack([*(each[name] for each in past), row[name]], dim=1)
        for name, latents in ((WORLD_HISTORY, request.latents), (WORLD_FUTURE, request.future)):
            if latents is not None:
                row[name] = torch.from_numpy(latents)[None].to(self.config.device)
        return row

    def _prepared(self, observation: Observation, language: str) -> dict[str, Any]:
        """LeRobot's path: its own observation preprocessing, then the checkpoint's saved processor."""
        images: dict[str, Any] = {name: np.ascontiguousarray(image) for name, image in observation.images.items()}
        batch = preprocess_observation({"pixels": images, "agent_pos": observation.state[None]})
        columns = {f"{PICTURES}{camera}": full(camera) for camera in images}  # LeRobot takes any key for a camera's
        ours = {columns.get(name, name): value for name, value in batch.items()}
        batch = {self.rename.get(name, name): value for name, value in ours.items()}
        batch = self._preprocessor({**batch, "task": [language]})
        missing = [name for name in self.config.image_features if name not in batch and EMPTY_CAMERA not in name]
        if len(missing) > getattr(self.config, "empty_cameras", 0):
            raise UserError(
                f"the checkpoint looks at {', '.join(missing)}, which it is not shown (there is "
                f"{', '.join(map(full, images))}): say what it calls them by a rename"
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


@dataclass(frozen=True)
class TrainingLatents:
    """Where that lies which a checkpoint was trained on, for a memory that looks frames up among it."""

    dataset: Path
    latents: Mapping[str, Path]
    """Folders, by camera."""

    def open_for(self, config: Any) -> LatentLookup:
        """Those of a config's cameras, without the episodes that it holds out; UserError if they do not fit."""
        table = read_episode_table(self.dataset)
        bounds = EpisodeBounds.of(table.starts, table.ends)
        folders = [self.latents[camera] for camera in config.cameras]
        return LatentLookup.open(folders, bounds, tuple(config.world_held_out))


def load_policy(
    folder: Path,
    device: str = "cpu",
    memory_mode: str | None = None,
    num_steps: int | None = None,
    n_action_steps: int | None = None,
    batch: int = 1,
    dtype: str | None = None,
    rename: Rename | None = None,
    suite: Suite | None = None,
    trained: bool = True,
    training: TrainingLatents | None = None,
) -> ChunkPolicy:
    """Load a checkpoint folder (LeRobot's ``pretrained_model``) of any policy that predicts chunks of actions.

    ``memory_mode`` is what the world memory holds in this rollout (as trained if None), ``num_steps`` the flow
    integration steps, ``batch`` the rows computed at once, ``dtype`` the numbers they are computed in (as the
    checkpoint says if None), ``rename`` what the checkpoint calls the columns of ``suite``, as in checks/rename.py. One
    that is not ``trained`` may lack statistics. ``training`` is for memory modes that look frames up among the latents
    of the training episodes, if the checkpoint does not carry them. UserError when the folder is not whole, or cannot
    be used that way.
    """
    config = load_config(folder, device, memory_mode, num_steps, n_action_steps, dtype)
    asked = {**own_rename(folder), **(rename or {})}
    if not trained and not has_statistics(folder):
        pass  # random weights
    elif suite is None:
        require_whole(folder, rename)
    else:
        asked |= require_fitting(folder, suite, rename).rename
    require_backbone(folder, read_config_file(folder))
    model = host_of(config.type).load(folder, config)
    if getattr(config, "rollout_mode", MODES["disabled"]).needs_bank:
        if training is not None:
            model.take_bank(training.open_for(config))
        model.require_bank(config.rollout_mode)
    return ChunkPolicy(config, model, *load_processors(folder, config, asked), batch, dtype, asked)
