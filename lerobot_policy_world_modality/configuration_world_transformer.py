"""The policy type ``world_transformer``: the discrete line's models, which see a frame as its latents."""

from __future__ import annotations

from dataclasses import dataclass, field

from lerobot.configs import NormalizationMode, PreTrainedConfig
from lerobot.optim import AdamWConfig, CosineDecayWithWarmupSchedulerConfig, LRSchedulerConfig

from lerobot_policy_world_modality.world_config import WorldConfig
from world_modality.discrete.instruction_table import InstructionTable
from world_modality.errors import UserError
from world_modality.facts.discrete import MODELS, DiscreteModel
from world_modality.facts.memory import MODES, SEES_THE_PRESENT
from world_modality.facts.sequence import CHUNK_SIZE, TransformerSizes, WorldInput
from world_modality.study.instructions import InstructionsSpec
from world_modality.tokens.reader import TokenCache


@dataclass
class TransformerConfig(PreTrainedConfig):  # type: ignore[misc]  # LeRobot is not typed
    """Sizes and switches of the transformer; what it knows of the world is beside them (:class:`WorldConfig`)."""

    chunk_size: int = CHUNK_SIZE
    n_action_steps: int = CHUNK_SIZE
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )

    model: str = "A"  # a row of world_modality.facts.discrete
    width: int = TransformerSizes.width
    layers: int = TransformerSizes.layers
    heads: int = TransformerSizes.heads
    dropout: float = TransformerSizes.dropout
    init_seed: int = 0  # of the network's random weights, beside world_seed: every training draws its own

    # How model C reads the world token, and whether actions are kept from it and from what is predicted of it.
    world_input_scale: float = WorldInput.scale
    world_input_dropout: float = WorldInput.dropout
    world_input_layernorm: bool = WorldInput.layernorm
    block_world_to_action: bool = WorldInput.blocked

    # World tokens: the folder of the tokens stage's artifact, and how many there are; 0: taken from it.
    world_tokens: str = ""
    world_vocabulary: int = 0
    world_tokens_normalised: bool = False  # whether latents are divided by their length before they become tokens

    # Instructions: the folder of the instructions stage's artifact. What is below is taken from it: the texts that are
    # known, in the order of their vectors of so many numbers, and the language model. Where that was a folder, an
    # unknown text needs the place of it on this machine.
    world_instructions: str = ""
    world_texts: list[str] = field(default_factory=list)
    world_text_dim: int = 0
    world_text_source: str = ""
    world_text_name: str = ""
    world_text_revision: str = ""
    world_text_seed: int = 0
    world_text_max_length: int = 0
    world_text_path: str = ""

    optimizer_lr: float = 3e-4
    optimizer_weight_decay: float = 1e-4
    optimizer_grad_clip_norm: float = 1.0
    scheduler_warmup_steps: int = 100
    scheduler_decay_steps: int = 30_000  # LeRobot shortens them to the training's length
    scheduler_decay_lr: float = 3e-6

    def validate_features(self) -> None:
        """UserError without a state or an action."""
        if self.robot_state_feature is None or self.action_feature is None:
            raise UserError("a world_transformer needs observation.state and action in its features")

    @property
    def text_model(self) -> InstructionsSpec:
        """The language model that made the vectors of the texts that are known."""
        return InstructionsSpec.model_validate(
            {name: getattr(self, f"world_text_{name}") for name in InstructionsSpec.model_fields}
        )

    def adopt_instructions(self, table: InstructionTable) -> None:
        """Fill in what is left open about instructions; UserError if the policy was made for others."""
        found = {
            "world_texts": list(table.texts),
            "world_text_dim": table.embeddings.shape[1],
            **{f"world_text_{name}": value for name, value in table.model.address().items()},
        }
        for name, value in found.items():
            if self.world_texts and getattr(self, name) != value:
                raise UserError(
                    f"world_instructions: the policy was made for instructions with {name} {getattr(self, name)!r}, "
                    f"not {value!r}: use those it was made for, or start anew"
                )
        for name, value in found.items():
            setattr(self, name, value)

    def get_optimizer_preset(self) -> AdamWConfig:
        """AdamW."""
        return AdamWConfig(
            lr=self.optimizer_lr,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=self.optimizer_grad_clip_norm,
        )

    def get_scheduler_preset(self) -> LRSchedulerConfig:
        """Linear warm-up, then a cosine down to ``scheduler_decay_lr``."""
        return CosineDecayWithWarmupSchedulerConfig(
            num_warmup_steps=self.scheduler_warmup_steps,
            num_decay_steps=self.scheduler_decay_steps,
            peak_lr=self.optimizer_lr,
            decay_lr=self.scheduler_decay_lr,
        )

    @property
    def max_action_dim(self) -> int:
        """A, of chunks as they are made; nothing is padded."""
        return int(self.action_feature.shape[0])

    @property
    def observation_delta_indices(self) -> None:
        """The present frame alone; its history is read from latents."""
        return

    @property
    def action_delta_indices(self) -> list[int]:
        """The actions of a chunk."""
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        """None are read."""
        return


@PreTrainedConfig.register_subclass("world_transformer")
@dataclass
class WorldTransformerConfig(WorldConfig, TransformerConfig):
    """A transformer that imitates from latents; with a world memory, A is the research's model F."""

    world_memory_mode_train: str = "disabled"

    def __post_init__(self) -> None:
        super().__post_init__()
        row = self.row
        for name in ("world_memory_mode_train", "world_memory_mode_rollout"):
            if MODES[getattr(self, name) or "disabled"].delay:
                raise UserError(f"{name}: {SEES_THE_PRESENT.format(mode=getattr(self, name))}")
        if self.world_fusion != "late":
            raise UserError("world_fusion: a world_transformer is read by its memory late, and nowhere else")
        if self.world_actions:
            raise UserError("world_actions: a world_transformer makes its chunk at once, there are no noisy actions")
        if self.world_align:
            raise UserError("world_align: a world_transformer foretells by the model that it is; choose one that does")
        if self.uses_tokens and len(self.cameras) > 1:
            raise UserError(f"world_cameras: model {row.name} has the world tokens of one camera; name one")
        if self.width % self.heads:
            raise UserError(f"width is {self.width}: use a multiple of heads, {self.heads}")

    @property
    def row(self) -> DiscreteModel:
        """The model; UserError if there is none of that name."""
        return MODELS[self.model]

    @property
    def uses_tokens(self) -> bool:
        """Whether it reads or predicts world tokens."""
        return self.row.knows_tokens

    def adopt_tokens(self, tokens: TokenCache) -> None:
        """Take over how many there are; UserError if the config was made for others."""
        if tokens.camera != self.world_cameras:
            raise UserError(
                f"world_tokens: those are of camera {tokens.camera}, where world_cameras has {self.world_cameras}"
            )
        if self.world_vocabulary not in (0, tokens.codebook.size):
            raise UserError(
                f"world_vocabulary is {self.world_vocabulary} but there are {tokens.codebook.size} tokens: use the "
                "codebook the policy was made for"
            )
        self.world_vocabulary = tokens.codebook.size

    @property
    def reads_latents(self) -> bool:
        """They are what it sees."""
        return True

    @property
    def sees_latents(self) -> bool:
        """They are what it sees."""
        return True

    @property
    def sizes(self) -> TransformerSizes:
        """Of the network; UserError if those of latents or tokens are not known."""
        if self.world_latent_dim < 1 or (self.uses_tokens and self.world_vocabulary < 2):
            lacking = "world_latents" if self.world_latent_dim < 1 else "world_tokens"
            raise UserError(f"{lacking} is not set, and the network's size is not known without: give its folder")
        if self.world_instructions and not self.world_texts:
            raise UserError(
                "world_instructions is set, and nothing is known of them: build with the dataset's metadata"
            )
        return TransformerSizes(
            latent=self.world_latent_dim,
            tokens=self.world_latent_tokens,
            state=self.robot_state_feature.shape[0],
            action=self.action_feature.shape[0],
            chunk_size=self.chunk_size,
            horizon=self.world_prediction_horizon,
            vocabulary=self.world_vocabulary if self.uses_tokens else 0,
            language=self.world_text_dim,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
        )

    @property
    def world_input(self) -> WorldInput:
        """How the world token is read."""
        return WorldInput(
            scale=self.world_input_scale,
            dropout=self.world_input_dropout,
            layernorm=self.world_input_layernorm,
            blocked=self.block_world_to_action,
        )
