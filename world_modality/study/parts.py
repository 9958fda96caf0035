"""What a study takes from somewhere: simulator, data, encoder and start policy, each with its sources."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from world_modality.facts.encoders import Pooling
from world_modality.facts.policies import small_policies
from world_modality.study.rows import (
    DialectName,
    EmbeddedPolicyName,
    EncoderFamilyName,
    PolicyFamilyName,
    RenderName,
    SmallEncoderName,
    SmallPolicyName,
)
from world_modality.study.values import (
    Cameras,
    HeldOut,
    OneOrMore,
    Part,
    Placements,
    Rename,
    Seed,
    Settings,
    Suites,
    Tasks,
    Text,
    one_or_more,
)


class Simulator(Part):
    """What decides physics and pictures, in every suite of the study."""

    assets: Text | None = None
    """Where the object models come from, for suites that need some: package (of the package registry), hub,
    hub@REVISION, or a folder's path; by default the first source that a suite knows."""
    camera_size: Annotated[int, Field(ge=64, le=1024)] = 256
    """Pixels; all cameras are square."""
    render: RenderName | None = None
    """stock, the default, is as the benchmark draws; fast is without multisampling, shadows and reflections; coarse
    also with fewer triangles."""
    settle_steps: NonNegativeInt | None = None
    """No-op control steps at the start of an episode; the suite's official number by default."""
    exact: bool = False
    """Whether states equal those of the benchmark's own code to the last bit, where a quicker step differs in it;
    LIBERO's suites have one."""
    horizon: PositiveInt | None = None
    """Control steps before an episode counts as failed; the suite's official number by default."""


class Demonstrations(Part):
    """Episodes of the scripted expert."""

    per_task: PositiveInt
    """Successful episodes per task; failed attempts are counted and discarded."""
    init_states: Placements
    """Recorded initial states they start from, which must not meet those of the rollouts; or sampled: every attempt's
    seed draws its scene as the task describes it, and all recorded ones stay free for the rollouts."""
    seed: Seed = 0
    noise: NonNegativeFloat = 1.0
    """Scale of the action noise injected while executing; the labels stay clean."""
    max_steps: PositiveInt | None = None
    """Control steps per attempt; the simulator's horizon by default."""


class Relabel(Part):
    """Episodes driven by a policy and labelled by the expert."""

    per_task: NonNegativeInt
    init_states: Placements
    """As of the demonstrations."""
    seed: Seed = 0
    policy_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of blocks that the policy drives; the expert drives the others."""
    block_steps: PositiveInt = 5
    max_steps: PositiveInt | None = None


class ScriptedData(Part):
    """Demonstrations made here."""

    source: Literal["scripted"]
    suites: Suites | None = None
    """Suites that are demonstrated; ``suite`` by default."""
    tasks: Tasks | None = None
    """Their tasks; ``tasks`` by default."""
    demonstrations: Demonstrations
    relabel: Relabel | None = None
    """On-policy episodes, driven by the study's start policy, whatever an arm starts from."""
    held_out: HeldOut = 0.1


class FoundData(Part):
    """Base of datasets that are there already."""

    rename: Rename = ()
    """The dataset's names of cameras, state and action -> the suite's, such as {front: image, wrist: image2}. The
    rename of a policy or checkpoint goes the other way: the suite's names -> the policy's."""
    held_out: HeldOut = 0.1


class HubData(FoundData):
    """A LeRobotDataset of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """Commit, tag or branch. A branch or tag is looked up when the study is planned, and results know the commit."""


class FolderData(FoundData):
    """A LeRobotDataset v3 on this machine."""

    source: Literal["folder"]
    path: Text


Data = Annotated[ScriptedData | HubData | FolderData, Field(discriminator="source")]


class Encoder(Part):
    """What turns frames into latents."""

    kind: EncoderFamilyName
    frames: PositiveInt
    """m: frames per clip; the clip ends at the frame it stands for."""
    image_size: PositiveInt
    """Pixels the frames are resized to."""
    cameras: Cameras | None = None
    """Whose frames are encoded, such as image, the scene camera of LIBERO, and image2, its wrist camera; the suite's
    first by default. Of several, each camera's latent stands beside the others', in this order."""
    pooling: Pooling = "mean"
    """Of the patches: mean makes one token per frame, grid2 one per quarter of the picture, grid4, grid8 and grid16 one
    per field of finer grids; cls takes the class token alone."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """In which it computes."""
    batch: PositiveInt = 4
    """Clips that it computes at once, in rollouts too: more keep a large GPU busy, and round sums otherwise."""
    latents: Rename = ()
    """Where latents of the study's data lie that this encoder has made already, by camera: a file, folder or hub id. A
    sample of them is encoded again and compared before they are used; what is not named is encoded here."""


class EmbeddedEncoder(Encoder):
    """A small encoder: with random weights, built here, or trained, of this package."""

    source: Literal["embedded"]
    name: SmallEncoderName | None = None
    """Architecture; the small one of the kind by default."""
    seed: Seed = 0


class HubEncoder(Encoder):
    """An encoder of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """As in data."""


class Leave(Part):
    """What a study says of an encoder that is a program."""

    allow_torchscript: bool = False
    """Whether the folder's TorchScript file may be run, which can do whatever its maker wants."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest of that file; no other is run."""

    @property
    def torchscript(self) -> str | None:
        """The digest of the file that may be run; None if none may."""
        return self.sha256 if self.allow_torchscript else None


class FolderEncoder(Encoder, Leave):
    """A Hugging Face model folder on this machine."""

    source: Literal["folder"]
    path: Text


class Tokens(Part):
    """World tokens: latents of the study's encoder as numbers of their nearest centroids, which are fitted on training
    episodes alone. One codebook per camera."""

    size: Annotated[int, Field(ge=2, le=8192)] = 64
    """K: centroids of a codebook, and so different tokens."""
    l2_normalise: bool = False
    """Divide latents by their length before they are compared: only their direction counts."""
    seed: Seed = 0
    iterations: PositiveInt = 25
    """Most passes of k-means over all that a codebook is fitted on; it ends before once they change little."""
    sample: PositiveInt = 200_000
    """Most latents that a codebook is fitted on, drawn from training episodes."""


class Instructions(Part):
    """The data's instructions as vectors, by a language model, for policies that read them so."""

    max_length: PositiveInt = 64
    """Words and parts of words of an instruction; what is longer is cut off."""


class EmbeddedInstructions(Instructions):
    """A small language model with random weights, built here: its vectors tell texts apart, and no more."""

    source: Literal["embedded"]
    seed: Seed = 0


class HubInstructions(Instructions):
    """A language model of the Hugging Face hub."""

    source: Literal["hub"]
    repo_id: Text = "distilbert/distilbert-base-uncased"
    revision: Text
    """As in data."""


class FolderInstructions(Instructions):
    """A language model's Hugging Face folder on this machine."""

    source: Literal["folder"]
    path: Text


AnyInstructions = Annotated[EmbeddedInstructions | HubInstructions | FolderInstructions, Field(discriminator="source")]


class HubWeights(Part):
    """Weights of the Hugging Face hub, of an encoder that a checkpoint describes."""

    source: Literal["hub"]
    repo_id: Text
    revision: Text
    """As in data."""


class FolderWeights(Leave):
    """The same in a Hugging Face model folder on this machine."""

    source: Literal["folder"]
    path: Text


EncoderWeights = Annotated[HubWeights | FolderWeights, Field(discriminator="source")]

AnyEncoderModel = EmbeddedEncoder | HubEncoder | FolderEncoder
AnyEncoder = Annotated[AnyEncoderModel, Field(discriminator="source")]


def without_cameras(encoder: AnyEncoderModel) -> AnyEncoderModel:
    """What an encoder is, whatever it looks through, and whether it has done so before."""
    return encoder.model_copy(update={"cameras": None, "latents": ()})


class EmbeddedPolicy(Part):
    """A small base policy that comes with this package."""

    source: Literal["embedded"]
    name: EmbeddedPolicyName = Field(default_factory=lambda: next(iter(small_policies(embedded=True))))


class HubPolicy(Part):
    """A LeRobot policy of the Hugging Face hub."""

    source: Literal["hub"]
    type: PolicyFamilyName | None = None
    """Its family; what its config.json says by default."""
    repo_id: Text
    revision: Text
    """As in data."""
    backbone_revision: Text = "main"
    """The same for the vision-language model that the policy's config names, which also gives the tokenizer."""
    rename: Rename = ()
    """What the policy calls the simulator's cameras, where that differs, such as {image: camera1}; the rest is matched
    where that is unambiguous."""


class FolderPolicy(Part):
    """A pretrained_model folder on this machine."""

    source: Literal["folder"]
    type: PolicyFamilyName | None = None
    """As of the hub."""
    path: Text
    backbone_revision: Text = "main"
    """Commit, tag or branch of the vision-language model that the policy's config names, if that is on the hub."""
    rename: Rename = ()
    """As of the hub."""


class ScratchPolicy(Part):
    """Random weights of a small architecture, trained by the rounds of ``pretrain``."""

    source: Literal["scratch"]
    name: SmallPolicyName = Field(default_factory=lambda: next(iter(small_policies())))
    seed: Seed = 0


class NewPolicy(Part):
    """Random weights of any LeRobot policy type, with LeRobot's own settings of it."""

    source: Literal["new"]
    type: PolicyFamilyName
    settings: Settings = ()
    """By LeRobot's names, such as chunk_size; LeRobot's defaults for all others."""
    seed: Seed = 0


SCHEMES = ("ws://", "wss://")
"""What addresses of policies begin with that other processes serve."""
ADDRESS = r"^wss?://[^\s/:@]+:\d{1,5}$"


class RemotePolicy(Part):
    """A policy that another process serves, such as one that cannot be installed beside this package.

    What it is enters results, never where it was served: the digest that its server states, or else ``name`` and
    ``revision``.
    """

    source: Literal["remote"]
    address: Annotated[str, Field(pattern=ADDRESS)]
    """ws://HOST:PORT."""
    dialect: DialectName = "world_modality"
    """How it is spoken to."""
    rename: Rename = ()
    """Our names of cameras -> the server's; with openpi also of state and language, and to "" what is not sent."""
    name: Text | None = None
    """What it is called; what the server says by default."""
    revision: Text | None = None
    """Which of its versions it is; the digest that the server states by default, and compared with one."""
    timeout: PositiveInt = 300
    """Seconds that an answer may take; the first can take a minute and more, where the server compiles."""


AnyPolicy = EmbeddedPolicy | HubPolicy | FolderPolicy | ScratchPolicy | NewPolicy
GivenCheckpoint = HubPolicy | FolderPolicy | RemotePolicy
Checkpoints = Annotated[
    tuple[Annotated[GivenCheckpoint, Field(discriminator="source")], ...],
    BeforeValidator(one_or_more),
    Field(min_length=1),
    OneOrMore(),
]
Policy = Annotated[AnyPolicy, Field(discriminator="source")]
