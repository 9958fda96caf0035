"""A LeRobot policy with world memory, by hooks and overrides: what is the same for every backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor

from lerobot_policy_world_modality.adapters.adapter import Adapter
from lerobot_policy_world_modality.keyed_draws import seeds_of_frames, seeds_of_noise
from lerobot_policy_world_modality.online_history import OnlineHistory
from lerobot_policy_world_modality.probe import action_change, plain_pass_due, velocities
from lerobot_policy_world_modality.training_set import FromTrainingSet
from lerobot_policy_world_modality.world_config import WorldConfig
from lerobot_policy_world_modality.world_parts import (
    HeldOut,
    adopt_pictures,
    build_alignment,
    build_world,
    open_training_latents,
)
from world_modality.errors import UserError
from world_modality.facts.memory import MemoryMode
from world_modality.memory.action_conditioning import NoisyActions
from world_modality.memory.alignment import Alignment, at_weight, figures_of
from world_modality.memory.bank import Bank
from world_modality.memory.fusion import observing
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.modes import make_memory
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.target import mean_over_processes, shares_batches
from world_modality.memory.world import WorldMemory, memory_inputs
from world_modality.policies.weights import WEIGHTS, require_loaded
from world_modality.store.keys import keyed_seed

INDEX = "index"  # the dataset's global frame index in a LeRobot batch
STEP = "keyed_step"  # the buffer that counts optimiser steps, the only tensor that memory mode "disabled" adds
PADDING = "action_is_pad"  # bool [B, chunk_size] in a LeRobot batch: actions past the episode's end
WORLD_HISTORY = "observation.world_history"  # latents float32 [B, T, P, W] in their own units, given by an evaluator
WORLD_FUTURE = "observation.world_future"  # latents float32 [B, K, P, W] of t+1..t+K, given by an evaluator


if TYPE_CHECKING:
    from lerobot.policies.pretrained import PreTrainedPolicy as Plain
else:
    Plain = object


class WorldPolicy(FromTrainingSet, Plain):  # type: ignore[misc]  # LeRobot is not typed
    """To stand before a LeRobot policy among the bases: its actions can then read a memory of the predicted world.

    With memory mode ``disabled`` there is no world module, and the buffer ``keyed_step`` is all that is added. The
    policy itself says where a chunk is made, which goes on inside :meth:`_reading`, and shows it each frame
    (:meth:`_see`).
    """

    adapter: ClassVar[Adapter]

    # Plain attributes with a default in the class, because LeRobot's constructors already call reset().
    _held_out: HeldOut | None = None
    _online: OnlineHistory | None = None
    _unkeyed_chunks = 0

    def __init__(
        self, config: WorldConfig, dataset_meta: Any = None, *, fit_statistics: bool = True, **kwargs: Any
    ) -> None:
        """Build from a config. ``dataset_meta`` is LeRobot's metadata of the training set, None for a rollout.

        ``fit_statistics`` is False where a checkpoint's weights, statistics among them, are about to be loaded.
        """
        if not isinstance(config, WorldConfig):
            raise UserError(f"a policy of type '{config.type}' has no world memory: convert the checkpoint first")
        if dataset_meta is not None:
            adopt_pictures(config, dataset_meta)
            if config.reads_latents:  # before the model, which may be made for their size
                self._latents = open_training_latents(config, dataset_meta)
        with self.adapter.building(config):
            super().__init__(config, **kwargs)
        # Optimiser steps done; saved, so that a resumed run goes on with the draws of an uninterrupted one.
        self.register_buffer(STEP, torch.zeros((), dtype=torch.int64))
        self.world = None
        self.alignment = build_alignment(config, self.adapter.sockets(self.model)) if config.world_align else None
        self._held_out = None if dataset_meta is None else HeldOut.of(config, dataset_meta)
        if config.reads_latents:
            self._online = OnlineHistory(config)
        if config.train_mode.needs_world:
            self.world = self._new_world(config)
            if config.world_bank_frames:  # for the checkpoint's, which is about to be loaded
                frames, episodes = config.world_bank_frames, config.world_bank_episodes
                self.world.bank = Bank(frames, episodes, config.world_latent_tokens, config.world_latent_dim)
        if self._learner is not None:
            # Equal in all processes of a training: nothing for DistributedDataParallel to send before every step.
            own = [name for name, _ in self.named_buffers() if name.startswith(("world.", "alignment."))]
            self._ddp_params_and_buffers_to_ignore = own
        if fit_statistics:
            self._fit_statistics()

    def _new_world(self, config: WorldConfig) -> WorldMemory:
        """World modules for ``config``, hung onto the model."""
        world = build_world(config, self.adapter.sockets(self.model))
        world.prophet.requires_grad_(config.world_prophet != "kept")
        return world

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: Any, **kwargs: Any) -> Self:
        """LeRobot's, with the training set's statistics of latents if the checkpoint brings none.

        UserError unless every tensor of a folder is found and used. A policy's own variant of it is passed over, since
        pi0's goes on without weights where they do not fit.
        """
        plain = PreTrainedPolicy.from_pretrained.__func__
        policy: Self = plain(cls, pretrained_name_or_path, fit_statistics=False, **kwargs)
        weights = Path(pretrained_name_or_path) / WEIGHTS
        if weights.is_file():
            require_loaded(policy, weights)
        policy._fit_statistics()
        return policy

    # Training

    def forward(
        self, batch: dict[str, Any], noise: Tensor | None = None, time: Tensor | None = None, reduction: str = "mean"
    ) -> tuple[Tensor, dict[str, float]]:
        """Flow loss + world_lambda * world loss, a scalar or [B] (``reduction="none"``), and metrics.

        Noise and time are keyed by (seed, step, frame index); in evaluation mode the step is left out, so that losses
        at different steps see the same draws. A batch without ``index`` gets LeRobot's own draws; with world modules
        it is a UserError, since the latents are found by the index. So is training on a frame that is held out.
        """
        if self.training and self._held_out is not None and INDEX in batch:
            self._held_out.refuse(batch[INDEX])
        if INDEX in batch and (noise is None or time is None):
            drawn = self.adapter.draws(self.model, self._frame_seeds("training-flow", batch), batch[ACTION].device)
            noise, time = drawn[0] if noise is None else noise, drawn[1] if time is None else time
        if self.training and self._latents is not None:
            self._adopt_training_set(self._latents)
        if self.alignment is not None and (self.training or self._latents is not None):
            return self._aligned(self.alignment, batch, noise, time, reduction)
        if self.world is None:
            loss, info = self._flow(batch, noise, time, reduction)
            return loss, {**info, "flow_loss": info["loss"], "loss_total": info["loss"]}
        window = self._window(self.world, batch)
        made: list[tuple[Tensor, Tensor | None]] = []  # prediction and memory of the pass, made before or within it

        def make(noisy: NoisyActions | None) -> Tensor | None:
            assert self.world is not None
            prediction = self.world.prophet(window.history, noisy)
            made.append((prediction, self._training_memory(self.world, batch, window, prediction, noisy)))
            return made[-1][1]

        with self.world.reading(make), observing(self.world.fusion) as observer, velocities(self.model) as seen:
            flow, info = self._flow(batch, noise, time, reduction)
        ((prediction, memory),) = made
        now, delta = window.history[:, -1], self.config.world_delta
        result = self.world.target.score(prediction, now, window.future, window.valid, delta=delta)
        result = result.weighted(self.config.world_step_weights)
        if self.training:
            result = result.over_processes()
        world_loss = result.loss_per_sample() if reduction == "none" else result.loss()
        loss = flow + self.config.world_lambda * world_loss
        total, gate = loss.detach().mean().item(), self.world.fusion.gates().mean().item()
        own = {"loss": total, "loss_total": total, "flow_loss": info["loss"], "world_gate": gate}
        if memory is not None and self.training and plain_pass_due(int(self.keyed_step), self.config.world_probe_every):
            own["world_action_change"] = self._action_change(batch, noise, time, seen[0])
        if self.training and self.adapter.recomputes(self.model):
            self.world.linger(memory)
        return loss, {**info, **own, **result.summary(), **observer.figures(shares=True)}

    def _aligned(
        self, alignment: Alignment, batch: dict[str, Any], noise: Tensor | None, time: Tensor | None, reduction: str
    ) -> tuple[Tensor, dict[str, float]]:
        """Flow loss + world_align_weight * the loss of what the hidden states foretell, and metrics."""
        weight = self.config.world_align_weight
        window = self._window(alignment, batch)
        with alignment.watching() as seen:
            flow, info = self._flow(batch, noise, time, reduction)
        (hidden,) = seen
        with torch.set_grad_enabled(weight > 0 and torch.is_grad_enabled()):
            result = alignment.score(hidden, window)
        if self.training:
            result = result.over_processes()
        loss = at_weight(flow, weight, result.loss_per_sample() if reduction == "none" else result.loss())
        total = loss.detach().mean().item()
        return loss, {**info, "loss": total, "loss_total": total, "flow_loss": info["loss"], **figures_of(result)}

    def _flow(
        self, batch: dict[str, Any], noise: Tensor | None, time: Tensor | None, reduction: str
    ) -> tuple[Tensor, dict[str, float]]:
        """LeRobot's loss and metrics, which several training processes can average: see ``mean_over_processes``."""
        loss, info = self._plain_loss(batch, noise, time, reduction)
        if (
            self.adapter.masks_padding
            and self.training
            and reduction == "mean"
            and PADDING in batch
            and shares_batches()
        ):
            count = (~batch[PADDING]).sum()
            loss = loss * (count / mean_over_processes(count))
            info = {**info, "loss": loss.item()}
        return loss, info

    def _plain_loss(
        self, batch: dict[str, Any], noise: Tensor | None, time: Tensor | None, reduction: str
    ) -> tuple[Tensor, dict[str, float]]:
        return self.adapter.loss(super().forward, self.model, batch, noise, time, reduction)

    @torch.no_grad()
    def _action_change(
        self, batch: dict[str, Any], noise: Tensor | None, time: Tensor | None, velocity: Tensor
    ) -> float:
        """How far the memory moved the actions of a batch whose velocity with it was ``velocity``."""
        assert time is not None  # keyed by the batch's index, without which there is no memory
        # Dropout, if any, must not take draws that a policy without memory does not take.
        with borrowed_generator(), velocities(self.model) as seen:
            self._plain_loss(batch, noise, time, "mean")
        return action_change(velocity, seen[0], time, self.config.action_feature.shape[0]).item()

    def update(self) -> None:
        """Called by LeRobot's trainer after every optimiser step."""
        self.keyed_step += 1

    def get_optim_params(self) -> list[dict[str, Any]]:
        """The trainable parameters in the groups ``base`` and, if there are world modules, ``world``."""
        learner = self._learner
        world = [] if learner is None else [p for p in learner.parameters() if p.requires_grad]
        known = {id(parameter) for parameter in world}
        base = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [{"name": "base", "params": base}]
        return [*groups, {"name": "world", "params": world, "lr": self.config.world_lr}] if world else groups

    def watched_gradients(self) -> dict[str, list[torch.nn.Parameter]]:
        """The trainable parameters of Prophet and injector, whose gradients' norms are told apart; none if neither
        is there."""
        parts = {} if self.world is None else {"prophet": self.world.prophet, "injector": self.world.fusion}
        trained = {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}
        return {name: parameters for name, parameters in trained.items() if parameters}

    def _get_default_peft_targets(self) -> dict[str, Any]:
        targets: dict[str, Any] = super()._get_default_peft_targets()
        # Else PEFT would freeze them; the standardiser has nothing to train.
        fixed = {"standardiser", "bank", *(["prophet"] if self.config.world_prophet == "kept" else [])}
        learner = self._learner
        own = [] if learner is None else [name for name, _ in learner.named_children() if name not in fixed]
        return {**targets, "modules_to_save": [*targets["modules_to_save"], *own]}

    # Rollout

    def reset(self) -> None:
        """New episodes start: forget queued actions and seen frames."""
        super().reset()
        if self._online is not None:
            self._online.reset()

    def _see(self, batch: dict[str, Tensor]) -> None:
        """Take note of the frame of one control step, unless its history is given."""
        if self._online is not None and WORLD_HISTORY not in batch and self.config.sees_latents:
            self._online.see(batch)

    @contextmanager
    def _reading(self, batch: dict[str, Tensor], noise: Tensor | None) -> Iterator[None]:
        """Inside, one chunk is made, in any number of denoising steps; it reads the memory of the rollout's mode.

        ``observation.world_history`` [B, T, P, W] in the batch takes the place of the frames that the policy was shown.
        """
        if self.world is None:
            yield
            return
        with self.world.reading(self._rollout_memory(self.world, batch, noise)):
            yield

    # World memory

    def _rollout_memory(
        self, world: WorldMemory, batch: dict[str, Tensor], noise: Tensor | None
    ) -> Callable[[NoisyActions | None], Tensor | None]:
        """What makes the memory of a chunk; whatever does not depend on the noisy actions is settled here."""
        mode: MemoryMode = self.config.rollout_mode
        count = len(batch[OBS_STATE])
        seeds, history, future = self._chunk_seeds(count, noise), None, None
        if mode.needs_future:
            if WORLD_FUTURE not in batch:
                instead = f"evaluate on demonstrated frames, with {WORLD_FUTURE} in the batch"
                if mode.look_ahead:
                    instead = "use `wm rollout` or a study, which look ahead"
                raise UserError(
                    f"memory '{mode.name}' needs the future, which no rollout knows by itself: choose another with "
                    f"world_memory_mode_rollout, or {instead}"
                )
            future = self._standardised(world, batch[WORLD_FUTURE])
        if mode.needs_history and self._online is not None:
            latents = batch[WORLD_HISTORY] if WORLD_HISTORY in batch else self._online.latents()
            expected = (count, world.sizes.context, world.sizes.tokens, world.sizes.dim)
            if latents.shape != expected:  # a history of one latent would be broadcast without complaint
                raise ValueError(f"{WORLD_HISTORY} must be {list(expected)}, not {list(latents.shape)}")
            history = world.standardiser(latents.to(self.keyed_step.device))
        donors = world.donors_for(seeds) if mode.needs_donors else None
        known = self._banked(world, mode, batch.get(INDEX), count)

        def make(noisy: NoisyActions | None) -> Tensor | None:
            inputs = memory_inputs(world, seeds, history=history, donors=donors, noisy=noisy)
            return make_memory(mode, replace(inputs, future=future, **known))

        return make

    def _training_memory(
        self,
        world: WorldMemory,
        batch: dict[str, Any],
        window: LatentWindow,
        prediction: Tensor,
        noisy: NoisyActions | None,
    ) -> Tensor | None:
        """The memory of a training batch; ``window`` is standardised, ``prediction`` the Prophet's answer to it."""
        mode: MemoryMode = self.config.train_mode
        seeds = self._frame_seeds("training-memory", batch)
        history, donors = window.history, None
        assert self._latents is not None
        if mode.delay:
            delay = mode.delay * self.config.world_prediction_horizon
            history = self._standardised(world, self._latents.history(batch[INDEX], self.config.world_context, delay))
        if mode.needs_donors:
            donors = self._standardised(world, self._latents.donors(batch[INDEX], seeds, self.config.world_context))
        inputs = memory_inputs(world, seeds, history=history, donors=donors, noisy=noisy)
        truth = self.config.truth_at(int(self.keyed_step)) if self.training else 0.0  # an evaluation is as a rollout
        banked = self._banked(world, mode, batch[INDEX], len(seeds))
        made = None if mode.delay else prediction
        known = replace(inputs, prediction=made, future=window.future, truth=truth, **banked)
        return make_memory(mode, known.detached() if self.config.world_detach else known)

    def _window(self, world: WorldMemory | Alignment, batch: dict[str, Any]) -> LatentWindow:
        if self._latents is None or INDEX not in batch:
            raise UserError(
                "the world loss needs the latents of a dataset: build the policy with the dataset's metadata, set "
                "world_latents, and give batches with 'index'"
            )
        window = self._latents.window(batch[INDEX], self.config.world_context, self.config.world_prediction_horizon)
        history, future = self._standardised(world, window.history), self._standardised(world, window.future)
        return LatentWindow(history, future, window.valid.to(self.keyed_step.device))

    def _frame_seeds(self, purpose: str, batch: dict[str, Any]) -> tuple[int, ...]:
        step = int(self.keyed_step) if self.training else "eval"
        return seeds_of_frames(purpose, self.config.world_seed, step, batch[INDEX])

    def _chunk_seeds(self, count: int, noise: Tensor | None) -> tuple[int, ...]:
        if noise is not None:
            return seeds_of_noise("rollout-memory", noise)
        self._unkeyed_chunks += 1
        return tuple(keyed_seed("rollout-memory", self._unkeyed_chunks, row) for row in range(count))
