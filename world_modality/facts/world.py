"""The settings of a world memory: LeRobot's configs mix them in.

A study names them without their prefix (study/study.py: World, study/specs.py: WorldSpec); a test holds names and
defaults of all three equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS, MODES, MemoryMode

PROPHETS = {
    "kept": "it was trained beforehand, on latents alone, and stays as it is",
    "tuned": "it was trained beforehand, on latents alone, and the policy's training goes on with it",
    "joint": "the policy's training trains it from its first weights",
}
"""Who trains the Prophet."""

ALIGNED_TOKENS = {
    "steps": "the k-th action's foretells the latent k frames ahead",
    "mean": "the mean over the chunk foretells all of them",
}
"""Whose hidden states foretell the latents to come, where a policy without memory is aligned."""


@dataclass
class WorldMemoryConfig:
    """All settings of the world memory. They are flat and named ``world_*``, so each is a command-line flag."""

    # What the memory holds. Rollout: "" means the same as in training, or what the training's mode leads to.
    world_memory_mode_train: str = "pred"
    world_memory_mode_rollout: str = ""

    # Prophet and injector. T latents of history, K predicted.
    world_context: int = 4
    world_prediction_horizon: int = 8
    world_heads: int = 8
    world_prophet_layers: int = 2
    world_prophet_width: int = 512
    world_prophet: str = "joint"  # who trains it: see PROPHETS
    world_prophet_rank: int = 0  # of the linear part of one that was trained beforehand; 0: it has none
    world_prophet_trained_on: str = ""  # fingerprint of the set that it was trained on beforehand; "" if it was not
    world_step_weights: list[float] = field(default_factory=list)  # of its loss at k = 1..K; empty: equal
    world_hypotheses: int = 1  # N predictions per history; the best of each sample learns
    world_fusion: str = "late"  # where the memory enters the policy
    world_attention_width: int = 0  # inner width of the injector's attention; 0: that of the tokens it feeds
    world_actions: bool = False  # tell the Prophet the noisy actions and the time of the flow
    world_delta: bool = True  # predict z_{t+k} - z_t rather than z_{t+k}
    world_gate_init: float = 0.0  # the residual is multiplied by tanh(gate)
    world_lambda: float = 0.2  # weight of the world loss beside the flow loss
    world_detach: bool = False  # the flow loss does not train the Prophet through the memory
    world_truth_steps: int = 0  # mode scheduled: steps over which the probability of the true future falls from 1 to 0
    # Without a memory: the action expert's hidden states foretell the latents to come, for a loss in training alone.
    world_align: bool = False
    world_align_weight: float = 0.2
    world_align_depth: float = 0.75  # of the layer whose hidden states they are, as a share of the expert's depth
    world_align_tokens: str = "steps"  # see ALIGNED_TOKENS
    world_latent_dim: int = 0  # W, of all cameras together; 0: taken from the latents when training starts
    world_latent_tokens: int = 1  # P tokens of W numbers stand for a frame; 1: the encoder's tokens are pooled

    # Training. The seed keys flow noise and time (in every memory mode) and the world modules' initial weights.
    world_lr: float = 1e-3
    world_seed: int = 0
    world_latents: str = ""  # folder of latents.npy and latents.json, one per camera in order, separated as in PATH
    # Episodes that are not trained on, as dataset.episodes says: neither statistics nor donors are taken from them.
    world_held_out: list[int] = field(default_factory=list)
    world_trained_on: str = ""  # fingerprint of the set that it was trained on; "" until it is, or if that is not known
    # Frames and episodes of the latents that the checkpoint carries, all that it was trained on; 0: it carries none.
    world_bank_frames: int = 0
    world_bank_episodes: int = 0
    world_probe_every: int = 50  # steps between measurements of what the memory does to the actions; 0: none

    # How a frame became a latent. A rollout that would encode differently is refused.
    world_cameras: str = "image"  # separated by commas; their latents stand side by side in this order
    world_trained_cameras: str = ""  # of the latents it was made for; "" until they are known
    world_frame_sizes: str = ""  # HEIGHTxWIDTH in pixels of each camera's encoded frames; "": not checked
    world_encoder_kind: str = ""  # "" until an encoder is known
    world_encoder_source: str = ""
    world_encoder_name: str = ""
    world_encoder_revision: str = ""
    world_encoder_seed: int = 0
    world_encoder_frames: int = 0
    world_encoder_image_size: int = 0
    world_encoder_pooling: str = "mean"
    world_encoder_dtype: str = "float32"
    world_encoder_batch: int = 4
    world_encoder_digest: str = ""  # content address of the encoder's folder; "": not checked

    # Where the encoder lies on this machine, and under which key, one per camera, the batch has the cameras if frames
    # were renamed. Only used when the policy encodes by itself.
    world_encoder_path: str = ""
    world_image_key: str = ""

    @property
    def train_mode(self) -> MemoryMode:
        """What the memory holds in training."""
        return MODES[self.world_memory_mode_train]

    @property
    def rollout_mode(self) -> MemoryMode:
        """What the memory holds in a rollout."""
        return MODES[self.world_memory_mode_rollout or self.train_mode.rollout]

    def truth_at(self, step: int) -> float:
        """How likely the memory of a sample is the true future after ``step`` steps; UserError if that is not said."""
        if not self.train_mode.needs_truth:
            return 0.0
        if self.world_truth_steps < 1:
            raise UserError(
                f"world_truth_steps is {self.world_truth_steps}: say over how many steps the memory "
                f"'{self.train_mode.name}' passes from the true future to the prediction, such as half of the training"
            )
        return max(0.0, 1 - step / self.world_truth_steps)

    def check_world(self, chunk_size: int) -> None:
        """UserError for a value that makes no sense, beside others or in a policy of chunks of ``chunk_size``."""
        self._check_modes()
        for name in (
            "context",
            "prediction_horizon",
            "hypotheses",
            "heads",
            "prophet_layers",
            "prophet_width",
            "latent_tokens",
        ):
            if getattr(self, f"world_{name}") < 1:
                raise UserError(f"world_{name} must be at least 1, not {getattr(self, f'world_{name}')}")
        if self.world_prophet_width % self.world_heads:
            raise UserError(
                f"world_prophet_width is {self.world_prophet_width}: use a multiple of world_heads, {self.world_heads}"
            )
        self._check_prophet()
        self._check_alignment(chunk_size)
        if self.world_fusion not in FUSIONS:
            known = ", ".join(FUSIONS.names)
            raise UserError(f"world_fusion: '{self.world_fusion}' is no fusion; choose one of {known}")
        fusion = FUSIONS[self.world_fusion]
        if self.train_mode.needs_prophet and self.world_detach and self.world_lambda == 0:
            raise UserError(
                f"world_lambda is 0 and world_detach true: the Prophet that makes memory '{self.train_mode.name}' "
                "would learn from nothing, so change one of them"
            )
        if self.world_actions and fusion.before_actions:
            raise UserError(
                f"world_fusion: '{self.world_fusion}' reads the memory before the noisy actions are there, of which "
                "world_actions makes it: choose another fusion, or set world_actions to false"
            )
        if self.world_actions and self.world_prediction_horizon > chunk_size:
            raise UserError(
                f"world_prediction_horizon is {self.world_prediction_horizon} but chunk_size {chunk_size}: with "
                "world_actions a frame ahead needs an action that leads there, so choose a prediction horizon of "
                "at most the chunk"
            )

    def _check_prophet(self) -> None:
        if self.world_prophet not in PROPHETS:
            raise UserError(f"world_prophet: '{self.world_prophet}' is not one of {', '.join(PROPHETS)}; choose one")
        if self.world_prophet == "kept" and self.world_actions:
            raise UserError(
                "world_prophet is 'kept' and world_actions true: a Prophet that was trained on latents alone knows no "
                "actions, so choose tuned or joint, or set world_actions to false"
            )
        if self.world_prophet == "kept" and self.train_mode.trains_prophet_alone:
            raise UserError(
                f"world_prophet is 'kept': memory '{self.train_mode.name}' is there to train the Prophet beside the "
                "policy, so choose tuned or joint"
            )
        weights, steps = self.world_step_weights, self.world_prediction_horizon
        if weights and (len(weights) != steps or min(weights) < 0 or sum(weights) <= 0):
            raise UserError(
                f"world_step_weights: {weights} are not {steps} weights, one per frame ahead, none negative and not "
                "all 0"
            )

    def _check_alignment(self, chunk_size: int) -> None:
        if not self.world_align:
            return
        if self.train_mode.needs_world:
            raise UserError(
                f"world_align is true and world_memory_mode_train '{self.train_mode.name}': a policy with a memory is "
                "not aligned, so choose memory disabled, or set world_align to false"
            )
        if self.world_align_weight < 0 or not 0 < self.world_align_depth <= 1:
            raise UserError(
                f"world_align_weight is {self.world_align_weight} and world_align_depth {self.world_align_depth}: give "
                "a weight of at least 0, and a depth above 0 of at most 1"
            )
        if self.world_align_tokens not in ALIGNED_TOKENS:
            known = ", ".join(ALIGNED_TOKENS)
            raise UserError(f"world_align_tokens: '{self.world_align_tokens}' is not one of {known}; choose one")
        if self.world_align_tokens == "steps" and self.world_prediction_horizon > chunk_size:
            raise UserError(
                f"world_prediction_horizon is {self.world_prediction_horizon} but chunk_size {chunk_size}: with "
                "world_align_tokens steps a frame ahead needs an action that leads there, so choose a prediction "
                "horizon of at most the chunk, or mean"
            )

    def _check_modes(self) -> None:
        train, rollout = self.train_mode, self.rollout_mode
        if not train.trainable:
            raise UserError(
                f"world_memory_mode_train: '{train.name}' looks ahead in a simulator, which no training has; choose "
                "another"
            )
        if not rollout.rollable and self.world_memory_mode_rollout:
            raise UserError(
                f"world_memory_mode_rollout: '{rollout.name}' needs the future, which no rollout knows; choose another"
            )
        if rollout.needs_learned and not train.needs_learned:
            raise UserError(
                f"world_memory_mode_rollout is '{rollout.name}' but the policy is trained with '{train.name}', which "
                "has no trained constants: train with it, or roll out with another mode"
            )
        if rollout.needs_world and not train.needs_world:
            raise UserError(
                f"world_memory_mode_rollout is '{rollout.name}' but the policy is trained with '{train.name}', "
                f"that is without world modules: train with another mode or roll out with '{train.name}'"
            )
