"""A study: one YAML file, as frozen types. Cross-field rules are in checks.py, the stages it asks for in graph.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from world_modality.study.modes import NEEDS_PROPHET
from world_modality.study.part import Part
from world_modality.study.question import Evidence
from world_modality.study.specs import Camera, Fusion, Render, TrainMode
from world_modality.study.suites import SUITES, SuiteName
from world_modality.study.values import (
    Cameras,
    HeldOut,
    InitStates,
    Modes,
    Name,
    Seed,
    Seeds,
    Suites,
    Tasks,
    Text,
    as_tuple,
)


class Simulator(Part):
    """LIBERO, as far as it decides physics and pictures."""

    assets: Text = "embedded"
    """Where the object models come from: embedded (this package's stand-ins), hub, hub@REVISION, or a folder's path."""
    camera_size: Annotated[int, Field(ge=64, le=1024)] = 256
    """Pixels; both cameras are square."""
    render: Render | None = None
    """fast renders without multisampling, shadows and reflections; coarse also with fewer triangles; stock as LIBERO
    does. By default fast with the embedded assets, and stock with any others."""
    settle_steps: NonNegativeInt = 10
    """No-op control steps after an initial state is set."""
    horizon: PositiveInt | None = None
    """Control steps (20 per second) before an episode counts as failed; the suite's official number by default."""


class Demonstrations(Part):
    """Episodes of the scripted expert."""

    per_task: PositiveInt
    """Successful episodes per task; failed attempts are counted and discarded."""
    init_states: InitStates
    """Initial states they start from; must not meet those of the rollouts."""
    seed: Seed = 0
    noise: NonNegativeFloat = 1.0
    """Scale of the action noise injected while executing; the labels stay clean."""
    max_steps: PositiveInt | None = None
    """Control steps per attempt; the simulator's horizon by default."""


class Relabel(Part):
    """Episodes driven by a policy and labelled by the expert."""

    per_task: NonNegativeInt
    init_states: InitStates
    seed: Seed = 0
    policy_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of blocks that the policy drives; the expert drives the others."""
    block_steps: PositiveInt = 5
    max_steps: PositiveInt | None = None


class ScriptedData(Part):
    """Demonstrations made here."""

    source: Literal["scripted"]
    demonstrations: Demonstrations
    relabel: Relabel | None = None
    """On-policy episodes, driven by the policy that every arm starts from."""
    held_out: HeldOut = 0.1


class HubData(Part):
    """A LeRobotDataset of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """Commit, tag or branch. A branch or tag is looked up when the study is planned, and results know the commit."""
    held_out: HeldOut = 0.1


class FolderData(Part):
    """A LeRobotDataset v3 on this machine."""

    source: Literal["folder"]
    path: Text
    held_out: HeldOut = 0.1


Data = Annotated[ScriptedData | HubData | FolderData, Field(discriminator="source")]


class Encoder(Part):
    """What turns frames into latents."""

    kind: Literal["vjepa2", "dinov2"]
    frames: PositiveInt
    """m: frames per clip; the clip ends at the frame it stands for."""
    image_size: PositiveInt
    """Pixels the frames are resized to."""
    cameras: Cameras = ("image",)
    """Whose frames are encoded: image is the scene camera, image2 the wrist camera. With both, each camera's latent
    stands beside the other's, in this order. An arm may have cameras of its own."""
    pooling: Literal["mean", "grid2"] = "mean"
    """Of the patches: mean makes one token per frame, grid2 one per quarter of the picture."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


class EmbeddedEncoder(Encoder):
    """A small encoder with random weights, built here."""

    source: Literal["embedded"]
    name: Literal["vjepa2-small", "dinov2-small"] | None = None
    """Architecture; the small one of the kind by default."""
    seed: Seed = 0


class HubEncoder(Encoder):
    """An encoder of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """As in data."""


class FolderEncoder(Encoder):
    """A Hugging Face model folder on this machine."""

    source: Literal["folder"]
    path: Text


AnyEncoder = Annotated[EmbeddedEncoder | HubEncoder | FolderEncoder, Field(discriminator="source")]


class World(Part):
    """The world memory: Prophet and injector."""

    context: PositiveInt = 4
    """T: latents of history that the Prophet reads."""
    horizon: PositiveInt = 8
    """K: future latents it predicts, the memory's slots."""
    heads: PositiveInt = 8
    prophet_layers: PositiveInt = 2
    prophet_width: PositiveInt = 512
    hypotheses: PositiveInt = 1
    """N: predictions per history, of which each sample's best one learns; the memory has N times as many slots."""
    fusion: Fusion = "late"
    """Where the memory enters the policy: late (the expert's last hidden states), suffix (the noisy actions), layers
    (every layer of the expert), prefix_cross (the prefix tokens read it) or prefix_tokens (it stands beside them)."""
    attention_width: PositiveInt | None = None
    """Inner width of the injector's attention; that of the tokens it feeds by default."""
    delta: bool = True
    """Predict the change from the present latent rather than the future latent itself."""
    lambda_world: NonNegativeFloat = 0.2
    """Weight of the Prophet's loss. An arm may have a weight of its own."""
    detach: bool = False
    """Make the memory of the prediction without its gradient, so that the Prophet learns from its own loss alone. An
    arm may say otherwise; where the memory is not the Prophet's it changes nothing."""
    gate_init: float = 0.0
    actions: bool = False
    """Tell the Prophet what the action expert is given at every step of the flow: the noisy actions and the time."""


class EmbeddedPolicy(Part):
    """The small base policy that comes with this package."""

    source: Literal["embedded"]
    name: Literal["smolvla-tiny"] = "smolvla-tiny"


class HubPolicy(Part):
    """A SmolVLA of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """As in data."""
    backbone_revision: Text = "main"
    """The same for the vision-language model that the policy's config names, which also gives the tokenizer."""


class FolderPolicy(Part):
    """A pretrained_model folder on this machine."""

    source: Literal["folder"]
    path: Text
    backbone_revision: Text = "main"
    """Commit, tag or branch of the vision-language model that the policy's config names, if that is on the hub."""


class ScratchPolicy(Part):
    """Random weights of a small architecture, trained by the rounds of ``pretrain``."""

    source: Literal["scratch"]
    name: Literal["smolvla-tiny", "pi0-tiny"] = "smolvla-tiny"
    seed: Seed = 0


Policy = Annotated[EmbeddedPolicy | HubPolicy | FolderPolicy | ScratchPolicy, Field(discriminator="source")]


class Training(Part):
    """One arm's training, equal in every arm."""

    steps: PositiveInt
    batch_size: PositiveInt
    """Of all processes together."""
    lr: PositiveFloat = 1e-4
    warmup_steps: NonNegativeInt = 0
    decay_steps: PositiveInt | None = None
    """Length of the cosine decay; ``steps`` by default."""
    decay_lr: NonNegativeFloat | None = None
    """Learning rate at its end; a fortieth of ``lr`` by default."""
    weight_decay: NonNegativeFloat = 1e-10
    grad_clip: PositiveFloat = 10.0
    """Largest gradient norm, of the base policy and of the world modules separately."""
    world_lr: PositiveFloat = 1e-3
    """Learning rate of the world modules."""
    train_vision: bool = False
    """Also train the vision tower and the language model, not only the action expert."""
    seeds: Seeds = (0,)
    """One training per arm and seed."""
    threads: PositiveInt = 2
    """Of the CPU in each process, whatever --cores says: sums are rounded in an order that depends on it, so it is part
    of the result. On a GPU it hardly matters."""
    processes: PositiveInt = 1
    """That share each batch, as torchrun's on one machine: one per GPU, or on a CPU. Sums over the batch are rounded in
    an order that depends on it, so it is part of the result."""
    n_action_steps: PositiveInt = 10
    """Actions executed per chunk, as written into the checkpoint; rollouts have their own."""


class Round(Part):
    """One round of pretraining. What it does not say is as in ``training``."""

    demonstrations: NonNegativeInt
    """New demonstrations per task; those of earlier rounds are kept."""
    relabel: NonNegativeInt = 0
    """New on-policy episodes per task, driven by the policy of the round before."""
    steps: PositiveInt
    batch_size: PositiveInt | None = None
    lr: PositiveFloat | None = None
    warmup_steps: NonNegativeInt | None = None
    decay_steps: PositiveInt | None = None
    decay_lr: NonNegativeFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    grad_clip: PositiveFloat | None = None
    train_vision: bool | None = None


class Arm(Part):
    """One treatment: what the world memory holds while training, and in extra rollouts of the same checkpoint."""

    memory: TrainMode
    fusion: Fusion | None = None
    """Where the memory enters the policy; ``world.fusion`` by default."""
    cameras: Cameras | None = None
    """Whose latents the memory is made of; ``encoder.cameras`` by default."""
    lambda_world: NonNegativeFloat | None = None
    """Weight of the Prophet's loss; ``world.lambda_world`` by default. With 0 the Prophet is never asked to foresee."""
    detach: bool | None = None
    """Whether the Prophet learns from its own loss alone; ``world.detach`` by default."""
    rollout: TrainMode | None = None
    """What the memory holds in the arm's own column; as trained by default. No rollout knows oracle's future."""
    ablations: Modes = ()
    """Memory modes the checkpoint is rolled out with besides its own: columns such as E2-zero."""


class Films(Part):
    """Units of every column, seed and task that are rolled out once more, to the last bit, and filmed."""

    first: NonNegativeInt = 0
    """So many of the first units,"""
    failures: NonNegativeInt = 0
    """of the first that failed,"""
    discordant: NonNegativeInt = 0
    """and of the first that ended otherwise, for each column that this one is compared with: both are filmed."""


class Rollouts(Part):
    """How every checkpoint is evaluated; the same units in every arm."""

    init_states: InitStates
    episodes: PositiveInt
    """Per task: the first so many initial states, or a multiple of them, each repeated equally often."""
    num_steps: PositiveInt = 10
    """Flow-matching integration steps."""
    n_action_steps: PositiveInt = 10
    """Actions executed before the policy looks again."""
    batch: PositiveInt = 4
    """Rows that the policy computes at once. Part of the results, since sums are rounded in another order for another
    number; how many simulators run beside it is not."""
    block: PositiveInt = 50
    """Most episodes per job; finished blocks stay valid when ``episodes`` grows."""
    films: Films = Films()
    """None by default: films cost a rollout each."""


class Study(Part):
    """A comparison of arms, from data to table."""

    study: Name
    """Names the folder of links results/by-name/<study>."""
    suite: Suites
    """LIBERO's suite, or a list of several."""
    tasks: Tasks
    """Task numbers, the same of every suite, or all."""
    simulator: Simulator = Simulator()
    data: Data
    encoder: AnyEncoder | None = None
    """Needed as soon as an arm has a world memory."""
    world: World = World()
    policy: Policy
    pretrain: Annotated[tuple[Round, ...], BeforeValidator(as_tuple)] = ()
    """Rounds that train a scratch policy before the arms start from it."""
    training: Training
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    rollouts: Rollouts
    evidence: Evidence = Evidence()

    @property
    def places(self) -> tuple[tuple[SuiteName, int], ...]:
        """Every suite's tasks: suites in their order, tasks ascending."""
        return tuple(
            (suite, task)
            for suite in self.suite
            for task in (range(SUITES[suite].tasks) if self.tasks == "all" else sorted(self.tasks))
        )

    def horizon(self, suite: SuiteName) -> int:
        """Control steps before an episode of a suite counts as failed."""
        return self.simulator.horizon or SUITES[suite].horizon

    def cameras(self, arm: Arm) -> tuple[Camera, ...]:
        """The cameras whose latents an arm's memory is made of; none without memory."""
        if arm.memory == "disabled" or self.encoder is None:
            return ()
        return arm.cameras or self.encoder.cameras

    def world_of(self, arm: Arm) -> World:
        """The settings of an arm's world memory: the study's, or the arm's own where it has some."""
        own = {name: getattr(arm, name) for name in ("fusion", "lambda_world", "detach")}
        settings = self.world.model_copy(update={name: value for name, value in own.items() if value is not None})
        # Nothing to detach: else arms that are trained alike would look different.
        return settings if arm.memory in NEEDS_PROPHET else settings.model_copy(update={"detach": False})

    @property
    def needs_encoder(self) -> bool:
        """Whether any arm has a world memory."""
        return any(arm.memory != "disabled" for arm in self.arms.values())
