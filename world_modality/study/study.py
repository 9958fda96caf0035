"""A study: one YAML file, as frozen types.

Cross-field rules are in checks.py, the stages that it asks for in graph.py, its schema for editors in schema.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
)

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.facts.policies import POLICIES
from world_modality.study.evidence_settings import Evidence
from world_modality.study.parts import (
    AnyEncoder,
    AnyEncoderModel,
    AnyInstructions,
    AnyPolicy,
    Checkpoints,
    Data,
    EncoderWeights,
    Policy,
    ScriptedData,
    Simulator,
    Tokens,
    without_cameras,
)
from world_modality.study.rows import ModeName
from world_modality.study.specs import Arithmetic, Device, Dtype
from world_modality.study.values import (
    InitStates,
    Modes,
    Name,
    Part,
    Seeds,
    Suites,
    Tasks,
    Text,
    as_tuple,
)
from world_modality.study.world import ALIGNMENT, World

TAKEN_OVER = ("policy", "encoder")
"""Sections of an arm that need no source: without one, the study's holds for what the arm does not say."""


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
    device: Device = "auto"
    """Where it is computed: cpu, cuda, mps, or auto for a GPU where there is one."""
    dtype: Dtype = "float32"
    """In which the policy computes; with bfloat16, what needs more keeps float32."""
    processes: PositiveInt = 1
    """That share each batch, as torchrun's on one machine: one per GPU, or on a CPU. Sums over the batch are rounded in
    an order that depends on it, so it is part of the result."""
    n_action_steps: PositiveInt = 10
    """Actions executed per chunk, as written into the checkpoint; rollouts have their own."""
    checkpoints: Annotated[tuple[PositiveInt, ...], BeforeValidator(as_tuple)] = ()
    """Steps before the last whose checkpoints are rolled out too, such as [10000, 20000]: conditions such as
    E2-step10000. To train longer, raise ``steps`` and name the old number here."""


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


class Compared(Part):
    """What all arms may say of their rollouts, whoever trained them."""

    against: Name | None = None
    """The arm that it is compared with, its control; by default the arm of the same policy that has no memory and is
    not aligned."""
    rollout: ModeName | None = None
    """What the memory holds in the arm's own condition; as trained by default. No rollout knows oracle's future."""
    ablations: Modes = ()
    """Memory modes the checkpoint is rolled out with besides its own: conditions such as E2-zero."""


class Arm(Compared):
    """One treatment: a policy, what its world memory holds while training, and extra rollouts of the same checkpoint.

    In ``policy``, ``encoder`` and ``world`` an arm says what it has otherwise than the study's sections of these names,
    key by key. A policy or an encoder that names a source is one of its own.
    """

    memory: ModeName
    policy: Policy | None = None
    encoder: AnyEncoder | None = None
    world: World | None = None
    preset: bool = False
    """Optimise it as LeRobot's own preset of its policy type, not with the learning rate, schedule, weight decay and
    clipping of ``training``. For policies that take no memory."""


class GivenArm(Compared):
    """Checkpoints that were trained elsewhere. They say themselves of what policy, memory and encoder they are."""

    checkpoint: Checkpoints
    """One, or a list of several that were trained alike with other seeds."""
    encoder: EncoderWeights | None = None
    """Where the weights of their encoder lie; where the checkpoint says by default."""


def whose(arm: Any) -> str:
    """Which kind of arm is meant, for pydantic."""
    given = "checkpoint" in arm if isinstance(arm, Mapping) else isinstance(arm, GivenArm)
    return "given" if given else "trained"


AnyArm = Annotated[Annotated[Arm, Tag("trained")] | Annotated[GivenArm, Tag("given")], Discriminator(whose)]


class Videos(Part):
    """Episodes of every condition, seed and task that are rolled out once more, to the last bit, and recorded on
    video."""

    first: NonNegativeInt = 0
    """So many of the first episodes,"""
    failures: NonNegativeInt = 0
    """of the first that failed,"""
    discordant: NonNegativeInt = 0
    """and of the first that ended otherwise, for each condition that this one is compared with: both are recorded on
    video."""


class Rollouts(Part):
    """How every checkpoint is evaluated; the same episodes in every arm."""

    suites: Suites | None = None
    """Suites that every arm is evaluated on; ``suite`` by default."""
    tasks: Tasks | None = None
    """Their tasks; ``tasks`` by default."""
    init_states: InitStates
    episodes: PositiveInt
    """Per task: the first so many initial states, or a multiple of them, each repeated equally often."""
    num_steps: PositiveInt | None = None
    """Integration or denoising steps, where a policy makes a chunk in steps; as each checkpoint says by default."""
    n_action_steps: PositiveInt | None = None
    """Actions executed before the policy is queried again; what the checkpoints say by default, if it is the same."""
    device: Device = "auto"
    """As in training,"""
    dtype: Dtype = "float32"
    """and this too."""
    batch: PositiveInt = 4
    """Rows that the policy computes at once. Part of the results, since sums are rounded in another order for another
    number; how many simulators run beside it is not."""
    block: PositiveInt = 50
    """Most episodes per job; finished blocks stay valid when ``episodes`` grows."""
    videos: Videos = Videos()
    """None by default: videos cost a rollout each."""


class Recipe(NamedTuple):
    """What all arms that are trained here share."""

    data: Data
    training: Training


class Study(Part):
    """A comparison of arms, from data to table."""

    study: Name
    """Names the folder of links results/by-name/<study>."""
    results: Text | None = None
    """The folder of its results, `results` by default; --results and WORLD_MODALITY_RESULTS go before it. In no key."""
    suite: Suites | None = None
    """A benchmark suite, or a list of several: of the data and of the rollouts, unless these name their own."""
    tasks: Tasks | None = None
    """Task numbers, the same of every suite, or all; also of both."""
    arithmetic: Arithmetic = "native"
    """Rounding as this processor does it, or portable: slower, and equal on all x86-64 processors."""
    simulator: Simulator = Simulator()
    data: Data | None = None
    """Needed, as training is, as soon as an arm is trained here."""
    encoder: AnyEncoder | None = None
    """Needed as soon as an arm has a world memory."""
    world: World = World()
    tokens: Tokens | None = None
    """World tokens of the encoder's latents, which are then made even if no arm has a memory."""
    instructions: AnyInstructions | None = None
    """Vectors of the data's instructions."""
    policy: Policy | None = None
    """What arms start from that are trained here and name none of their own."""
    pretrain: Annotated[tuple[Round, ...], BeforeValidator(as_tuple)] = ()
    """Rounds that train a scratch policy before the arms start from it."""
    training: Training | None = None
    arms: Annotated[dict[Name, AnyArm], Field(min_length=1)]
    rollouts: Rollouts
    evidence: Evidence = Evidence()

    @property
    def trained(self) -> dict[str, Arm]:
        """The arms that are trained here."""
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, Arm)}

    @property
    def given(self) -> dict[str, GivenArm]:
        """The arms of given checkpoints."""
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, GivenArm)}

    @property
    def recipe(self) -> Recipe:
        """Data and training of a study that trains an arm, which was checked when it was read."""
        assert self.data is not None
        assert self.training is not None
        return Recipe(self.data, self.training)

    @property
    def seeds(self) -> tuple[int, ...]:
        """One per training of an arm; given checkpoints are counted, from 0 where nothing is trained here."""
        if self.training is not None and self.trained:
            return self.training.seeds
        return tuple(range(max(len(arm.checkpoint) for arm in self.given.values())))

    @property
    def early_steps(self) -> tuple[int, ...]:
        """Steps before the last after which arms that are trained here are rolled out too."""
        return self.training.checkpoints if self.training is not None and self.trained else ()

    @property
    def data_suites(self) -> tuple[str, ...]:
        """Suites that are demonstrated here; none if the data come from elsewhere."""
        return self.data.suites or self.suite or () if isinstance(self.data, ScriptedData) else ()

    @property
    def rollout_suites(self) -> tuple[str, ...]:
        """Suites that every arm is evaluated on."""
        return self.rollouts.suites or self.suite or ()

    @property
    def suites(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.data_suites, *self.rollout_suites)))

    @property
    def data_places(self) -> tuple[tuple[str, int], ...]:
        """What is demonstrated: suites in their order, tasks ascending."""
        tasks = self.data.tasks if isinstance(self.data, ScriptedData) else None
        return _places(self.data_suites, tasks or self.tasks or ())

    @property
    def rollout_places(self) -> tuple[tuple[str, int], ...]:
        """What every arm is evaluated on, in the same order."""
        return _places(self.rollout_suites, self.rollouts.tasks or self.tasks or ())

    def horizon(self, suite: str) -> int:
        """Control steps before an episode of a suite counts as failed."""
        return self.simulator.horizon or SUITES[suite].horizon

    def policy_of(self, arm: Arm) -> AnyPolicy:
        """What an arm starts from; that there is something was checked when the study was read."""
        policy = arm.policy or self.policy
        assert policy is not None
        return policy

    @property
    def policies(self) -> tuple[AnyPolicy, ...]:
        """The study's start policy and those that arms have of their own, each once."""
        own = () if self.policy is None else (self.policy,)
        return tuple(dict.fromkeys((*own, *map(self.policy_of, self.trained.values()))))

    def sees_latents(self, arm: Arm) -> bool:
        """Whether an arm's policy sees frames as latents alone, whatever its memory. A policy in a folder or on the hub
        is known by the type that the study gives it."""
        kind = getattr(self.policy_of(arm), "type", None)
        return kind is not None and POLICIES[kind].sees_latents

    def reads_latents(self, arm: Arm) -> bool:
        """Whether an arm needs latents, be it for a memory, to see, or to learn to foretell them."""
        return arm.memory != "disabled" or self.sees_latents(arm) or self.aligns(arm)

    def aligns(self, arm: Arm) -> bool:
        """Whether an arm has no memory, and its action expert learns to foretell latents."""
        return arm.memory == "disabled" and arm.world is not None and arm.world.align

    def encoder_of(self, arm: Arm) -> AnyEncoderModel | None:
        """What makes an arm's latents, whichever cameras' they are; None if it reads none."""
        encoder = arm.encoder or self.encoder if self.reads_latents(arm) else None
        return None if encoder is None else without_cameras(encoder)

    @property
    def encoders(self) -> tuple[AnyEncoderModel, ...]:
        """Those that latents are made with, each once."""
        found = [self.encoder_of(arm) for arm in self.trained.values()]
        if self.tokens is not None and self.encoder is not None:
            found.append(without_cameras(self.encoder))
        return tuple(dict.fromkeys(encoder for encoder in found if encoder is not None))

    def cameras(self, arm: Arm) -> tuple[str, ...]:
        """The cameras whose latents an arm reads; none if it reads none."""
        encoder = arm.encoder or self.encoder
        return self.cameras_of(encoder) if encoder is not None and self.reads_latents(arm) else ()

    def cameras_of(self, encoder: AnyEncoderModel) -> tuple[str, ...]:
        """Those whose frames an encoder encodes."""
        return encoder.cameras or tuple(SUITES[self.rollout_suites[0]].cameras)[:1]

    def world_of(self, arm: Arm) -> World:
        """The settings of an arm's world memory, or of what it predicts without one."""
        settings = arm.world or self.world
        if arm.memory == "disabled":
            read = {"step_weights", "align", *ALIGNMENT} if self.aligns(arm) else {"lambda_world"}
            seen = settings.model_dump(include={"prediction_horizon", "delta", *read})
            return World(context=1, prophet="joint", **seen)
        mode = MODES[arm.memory]  # what it does not need must not make arms look different that are trained alike
        idle: dict[str, Any] = {name: World.model_fields[name].default for name in ("align", *ALIGNMENT)}
        if settings.prophet == "joint":
            idle |= {name: World.model_fields[name].default for name in ("prophet_rank", "prophet_steps")}
        if settings.prophet == "kept" and not self.sees_latents(arm):  # else it weighs what the policy itself predicts
            idle |= {"lambda_world": 0.0}
        if settings.prophet == "kept" or not mode.needs_prophet:
            idle |= {"detach": False}
        return settings.model_copy(update=idle if mode.needs_truth else {**idle, "truth_steps": None})

    def control_of(self, name: str) -> str | None:
        """The arm that an arm is compared with; None if there is none, or if only its checkpoints could tell."""
        arm = self.arms[name]
        if arm.against is not None or isinstance(arm, GivenArm) or self._is_plain(arm):
            return arm.against
        plain = (other for other, each in self.trained.items() if self._is_plain(each))
        return next((other for other in plain if self.policy_of(self.trained[other]) == self.policy_of(arm)), None)

    def _is_plain(self, arm: Arm) -> bool:
        """Whether nothing is done to the policy but to train it."""
        return arm.memory == "disabled" and not self.aligns(arm)


def _places(suites: tuple[str, ...], tasks: tuple[int, ...] | Literal["all"]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (suite, task) for suite in suites for task in (range(SUITES[suite].tasks) if tasks == "all" else sorted(tasks))
    )
