"""The slice of the study that each stage depends on: one frozen spec per stage.

A stage's key is a digest of its spec and of its upstream keys, so a field belongs here
exactly if it can change the stage's result. Names of arms, progress intervals and worker counts do not.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS, Pooling
from world_modality.facts.memory import FUSIONS, MODES
from world_modality.facts.policies import DIALECTS, POLICIES
from world_modality.facts.table import FactsOf
from world_modality.store.stage import SEALED
from world_modality.study.roles import BEFORE as BEFORE
from world_modality.study.roles import latents_role as latents_role
from world_modality.study.roles import tokens_role as tokens_role

SuiteName = Annotated[str, SUITES]
"""A row's name, marked by its table: its packages are in the key. A study's names were checked when it was read."""
PolicyFamilyName = Annotated[str, POLICIES]
EncoderFamilyName = Annotated[str, ENCODERS]
ModeName = Annotated[str, MODES]
FusionName = Annotated[str, FUSIONS]
DialectName = Annotated[str, DIALECTS]


Arithmetic = Literal["native", "portable"]
"""Rounding as this processor does it, or as all do it: in the key of everything that is computed."""


class Spec(BaseModel):
    """Base of all specs: immutable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    computed: ClassVar[frozenset[str] | None] = None  # sources that are made here; None: whatever the source
    place: ClassVar[str | None] = None  # the field that may hold a folder's path rather than a name
    unkeyed: ClassVar[frozenset[str]] = frozenset()  # fields that say where something is asked for, never what it is
    optional: ClassVar[frozenset[str]] = frozenset()  # fields that most specs have no use for, whose keys tell no None

    def address(self) -> dict[str, Any]:
        """The spec as it enters the key: what something is counts, where it lies or is served does not."""
        return self.model_dump(mode="json", context="address")

    def is_computed(self) -> bool:
        """Whether the result is made here, in the study's arithmetic, rather than taken from where it lies."""
        return self.computed is None or getattr(self, "source", "") in self.computed

    def is_place(self) -> bool:
        """Whether the field named by ``place`` holds a path."""
        return getattr(self, "source", "") == "folder"

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if info.context not in ("address", SEALED):
            return data
        if info.context == "address" and self.place is not None and self.is_place():
            data[self.place] = "folder"
        silent = {name for name in self.optional if data[name] is None}
        return {name: value for name, value in data.items() if name not in self.unkeyed | silent}


Device = Literal["auto", "cpu", "cuda", "mps"]  # where a policy computes; auto: a GPU where there is one
Dtype = Literal["float32", "bfloat16"]  # in which it computes
ProphetName = Literal["kept", "tuned", "joint"]  # who trains a Prophet: facts/world.py, PROPHETS
AlignedTokens = Literal["steps", "mean"]  # whose hidden states foretell: facts/world.py, ALIGNED_TOKENS


class SimSpec(Spec):
    """The simulator, as far as it decides physics and pictures."""

    unkeyed = frozenset({"assets"})
    suite: SuiteName
    assets: str  # a source that the suite knows ("package", "hub@COMMIT"), a folder's path, or "" if it needs none
    assets_digest: str  # content address of the asset tree, so equal files share results wherever they come from
    camera_size: int  # pixels; all cameras are square
    render: str  # a style of the suite; LIBERO's fast: no MSAA, shadows or reflections; coarse: meshes simplified too
    settle_steps: int  # no-op control steps at the start of an episode
    exact: bool = False  # states of the benchmark's own code to the last bit, where a quicker step differs in that

    @property
    def assets_origin(self) -> str:
        """``assets`` as records tell it: "folder" in place of a path."""
        return self.assets if self.assets.partition("@")[0] in ("", *SUITES[self.suite].assets) else "folder"


class DemosSpec(Spec):
    """Demonstrations of one task by the scripted expert."""

    sim: SimSpec
    task: int
    episodes: int  # successful episodes to write
    init_states: tuple[int, ...]  # cycled through, each attempt with its own seed; empty: the seed draws the scene
    seed: int
    noise: float  # scale of the action noise injected while executing; labels stay clean
    max_steps: int


class RelabelSpec(Spec):
    """On-policy episodes of one task: the policy drives, the expert labels. Upstream: policy."""

    sim: SimSpec
    task: int
    family: PolicyFamilyName  # of the policy that drives
    episodes: int
    init_states: tuple[int, ...]  # as of demonstrations
    seed: int
    policy_share: float  # probability that a block of block_steps is driven by the policy
    block_steps: int
    max_steps: int
    device: Device = "auto"  # where the policy computes


class DatasetSpec(Spec):
    """A LeRobotDataset v3. Upstream: demos and relabel stages, or nothing when it is fetched."""

    computed = frozenset({"scripted"})
    place = "repo_id"

    source: Literal["scripted", "hub", "folder"]
    repo_id: str  # hub id, "local/<suite>" when scripted, or a folder's path
    revision: str  # hub commit or folder fingerprint; "" when scripted
    fps: int | None  # nominal, of a scripted one; any other has its own
    rename: tuple[tuple[str, str], ...] = ()  # what the dataset calls a feature -> what the suite does


class EncoderSpec(Spec):
    """Everything that decides the number a frame is encoded to, except the weights (their key is upstream)."""

    computed = frozenset({"embedded"})
    place = "name"
    optional = frozenset({"torchscript"})

    kind: EncoderFamilyName
    source: Literal["embedded", "hub", "folder"]
    name: str  # embedded architecture name, hub id, or a folder's path
    revision: str  # hub commit, or digest of a folder's files
    seed: int  # of the random weights; embedded only
    frames: int  # m: clip length, the clip ends at t
    image_size: int  # pixels the clip is resized to
    pooling: Pooling  # of the patches: how they become a frame's tokens
    dtype: Literal["float32", "float16", "bfloat16"]  # compute dtype of the encoder
    batch: int = 4  # clips that it always computes at once: sums over another number are rounded otherwise
    torchscript: str | None = None  # sha256 of the file that the study lets run; None: no file may

    @classmethod
    def told(cls) -> list[str]:
        """The fields that a checkpoint says, too. What may be run is a study's word, and never a checkpoint's."""
        return [name for name in cls.model_fields if name != "torchscript"]


class PaddedEncoderSpec(EncoderSpec):
    """An encoder that sees what SmolVLA sees: pictures reach it enlarged and padded as SmolVLA does it, then resized
    bilinearly and nowhere rounded to bytes. The earlier system's rollouts did so."""

    padded_to: int  # pixels of that square; 0: SmolVLA leaves their size


class LatentsSpec(Spec):
    """One latent per dataset frame and camera. Upstream: dataset, encoder."""

    place = "file"

    encoder: EncoderSpec
    camera: str
    dtype: Literal["float16"]
    file: str = ""  # latents that were made elsewhere and are taken over; "" if they are made here
    digest: str = ""  # of that file

    def is_place(self) -> bool:
        """Whether they are taken over from a file."""
        return bool(self.file)


class TokensSpec(Spec):
    """World tokens of one camera's latents: a codebook, and every frame's tokens. Upstream: latents, dataset."""

    size: int  # K: centroids
    l2_normalise: bool  # latents are divided by their length, wherever they are compared with centroids
    seed: int
    iterations: int  # over all that it is fitted on, at most
    sample: int  # latents that it is fitted on, at most
    held_out: float  # share of every task's episodes that it is not fitted on: those that no arm is trained on


class ServerSpec(Spec):
    """Where a policy is asked that another process serves. What it is its name and revision say."""

    unkeyed = frozenset({"url", "timeout"})

    url: str  # ws://HOST:PORT
    dialect: DialectName
    timeout: int  # seconds that an answer may take


class PolicySpec(Spec):
    """The policy every arm starts from, before training, or a given checkpoint."""

    computed = frozenset({"scratch", "new"})
    place = "name"
    optional = frozenset({"server"})
    family: PolicyFamilyName  # "" when remote: no software of this machine computes it
    source: Literal["embedded", "hub", "folder", "scratch", "new", "remote"]
    name: str  # hub id, a folder's path, or architecture name when embedded or scratch; LeRobot's type when new
    revision: str  # hub commit, or digest of the files; when remote, of what is served
    seed: int  # scratch and new only
    suite: Annotated[str, FactsOf(SUITES)] = ""  # the same: whose cameras, state and action it is built for,
    pixels: int = 0  # and how wide the pictures are
    settings: tuple[tuple[str, Any], ...] = ()  # new only: LeRobot's, by name
    backbone: str = ""  # NAME@COMMIT of the VLM on the hub that it is built around; "" if it is not from there
    rename: tuple[tuple[str, str], ...] = ()  # a camera's name -> what the policy calls it, where someone says so
    server: ServerSpec | None = None  # remote only


class WorldSpec(Spec):
    """The world memory's modules: shared by Prophet, injector and rollout."""

    optional = frozenset({"truth_steps", "align", "align_weight", "align_depth", "align_tokens"})

    cameras: tuple[str, ...]  # whose latents stand for a frame, side by side in this order
    context: int  # T: latents of history, ending at t
    prediction_horizon: int  # K: latents predicted, t+1..t+K
    heads: int
    prophet_layers: int
    prophet_width: int
    hypotheses: int  # N: predictions per history
    fusion: FusionName  # where the memory enters the policy
    attention_width: int  # inner width of the injector's attention; 0: that of the tokens it feeds
    delta: bool  # predict z_{t+k} - z_t rather than z_{t+k}
    lambda_world: float
    gate_init: float
    actions: bool = False  # the Prophet is told the noisy actions and the time of the flow
    detach: bool = False  # the memory is made of the prediction without its gradient
    prophet: ProphetName = "joint"  # who trains it; "joint": the arm alone, else it was trained beforehand
    step_weights: tuple[float, ...] = ()  # of the Prophet's loss at k = 1..K; empty: equal
    truth_steps: int | None = None  # over which a memory passes from the true future to the prediction, if it does
    align: bool | None = None  # there is no memory, and the action expert's hidden states learn to foretell latents,
    align_weight: float | None = None  # by a loss of this weight,
    align_depth: float | None = None  # those of the layer at this share of the expert's depth
    align_tokens: AlignedTokens | None = None  # of which of its tokens


class OptimSpec(Spec):
    """One training run's optimisation, equal in every arm."""

    steps: int
    batch_size: int  # of all processes together
    lr: float
    warmup_steps: int
    decay_steps: int
    decay_lr: float
    weight_decay: float
    grad_clip: float  # applied to the base policy and to the world modules separately
    world_lr: float  # learning rate of the world modules
    train_vision: bool  # also train the vision tower and the language model
    preset: bool = False  # as LeRobot's preset of the policy's type; then steps and batch size alone are the study's


class TrainSpec(Spec):
    """One training, or a part of one. Upstream: policy, dataset and, if it reads latents, each of its cameras' and the
    encoder, a Prophet if one was trained beforehand, and world tokens if it knows any; of a part that goes on from
    another one, that one too, in the role :data:`BEFORE`."""

    family: PolicyFamilyName
    memory: ModeName
    world: WorldSpec | None  # None exactly if no latents are read
    optim: OptimSpec
    seed: int
    threads: int  # of the CPU, in each process: sums are rounded in an order that depends on it
    n_action_steps: int
    processes: int = 1  # that share each batch: so are sums over the batch
    device: Device = "auto"
    dtype: Dtype = "float32"
    held_out: float = 0.0  # share of every task's episodes that are not trained on
    stop: int = 0  # the step that this part ends after, on a schedule of all ``optim.steps``; 0: it has all of them

    @property
    def last_step(self) -> int:
        """The step after which the checkpoint is taken."""
        return self.stop or self.optim.steps


class RolloutSpec(Spec):
    """Some episodes of a rollout cell: a checkpoint in a memory mode on one task. Upstream: train and, if needed,
    encoder.

    Episodes are ``init_states`` x repeats ``first_repeat .. first_repeat + repeats - 1``. A cell is cut into blocks of
    episodes, one stage each, so that asking for more episodes later adds stages and repeats none.
    """

    optional = frozenset({"server"})

    sim: SimSpec
    task: int
    family: PolicyFamilyName
    memory: ModeName
    init_states: tuple[int, ...]
    repeats: int
    n_action_steps: int  # actions executed per replan
    num_steps: int | None  # integration or denoising steps; None: as the checkpoint says
    horizon: int  # control steps before an episode counts as failed
    batch: int  # rows that the policy always computes: sums over rows of another number are rounded otherwise
    first_repeat: int = 0
    device: Device = "auto"
    dtype: Dtype = "float32"
    server: ServerSpec | None = None  # of a served policy, which decides device, numbers and steps by itself


class VideosSpec(Spec):
    """Videos of some of a cell's episodes. Upstream: what its rollouts read, and their records in the role "records".

    Records in the role "others" are those that discordant episodes are found by.
    """

    rollout: RolloutSpec  # of the cell's first block
    first: int  # so many of the first episodes,
    failures: int  # of those that failed,
    discordant: int  # and of those that ended otherwise in the other records


class ReportCell(Spec):
    """A rollout stage's place in the table; several blocks may share one place."""

    condition: str  # "E0", "E2-zero", ...
    seed: int
    suite: str
    task: int
    rollout: str  # key of the rollout stage


class ReportCondition(Spec):
    """A condition of the table: the checkpoints of an arm in one memory mode."""

    name: str  # "E0", "E2-zero", ...
    arm: str
    trained: ModeName
    rolled: ModeName
    against: str = ""  # the condition that it is compared with, of the arm's control; an ablation's: its arm's own
    given: int = 0  # checkpoints of its arm that were trained elsewhere; 0: they are trained here
    step: int = 0  # of the training, after which the checkpoints were taken; 0: the last


class ReportArm(Spec):
    """An arm of the table."""

    name: str
    against: str  # its control; "" if it has none
    declared: tuple[str, ...]  # what it has otherwise than the study: "memory", "world.fusion", "encoder", "policy"
    trainings: tuple[str, ...]  # keys, in the order of the seeds; none of given checkpoints
    policy: str = ""  # key of what they start from, or of the first given checkpoint
    checkpoints: tuple[str, ...] = ()  # keys of the given ones, in the order of the seeds
    aligned: bool = False  # whether its hidden states were taught to foretell latents


class EvidenceSpec(Spec):
    """How outcomes become verdicts, as fractions."""

    effect: float
    margin: float
    alpha: float
    confidence: float
    power: float
    looks: tuple[int, ...]
    spending: Literal["obrien_fleming", "pocock"]
    rate: float
    run_sd: float
    task_sd: float
    disagree_runs: float
    disagree_memories: float
    stop_early: int | None = None  # scenes of each task that every look adds


class ReportSpec(Spec):
    """The table and its verdict. Upstream: every rollout cell. Names for people enter only here."""

    study: str
    label: str  # e.g. "libero_spatial", or with other assets "libero_spatial (assets DIGEST)"
    sources: tuple[tuple[str, str], ...]  # part -> what was embedded and what was real
    conditions: tuple[ReportCondition, ...]
    arms: tuple[ReportArm, ...]
    suites: tuple[str, ...]
    init_states: tuple[int, ...]  # of every cell
    repeats: int
    evidence: EvidenceSpec
    cells: tuple[ReportCell, ...]
    labels: tuple[tuple[str, str], ...] = ()  # key of a stage -> what this study calls it
    looks: int | None = None  # looks that are asked for, of a study that may stop early
    later: tuple[ReportCell, ...] = ()  # cells of the looks after these, which the plan counts, too
