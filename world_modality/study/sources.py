"""What a graph needs to know about files outside the study. Found out by the caller, so that graphs stay pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from world_modality.study.parts import AnyEncoderModel, AnyPolicy
from world_modality.study.specs import EncoderSpec

UNRESOLVED = "unresolved"
"""In the place of what only the hub or a policy's server could have told; the keys of such a study are not final."""


SERVED = "served policy"
"""How a part is called that only a policy's server could have told."""


@dataclass(frozen=True)
class Assets:
    """Where a suite's object models come from, as in SimSpec; "" for a suite that needs none."""

    source: str = ""
    digest: str = ""
    own: bool = True
    """Whether they are the benchmark's own, so far as can be told: published rates are made with no others."""


@dataclass(frozen=True)
class PolicySource:
    """A start policy, as in PolicySpec."""

    family: str
    """"" of one that another process serves."""
    name: str
    revision: str = ""
    backbone: str = ""
    knows_tokens: bool = False
    """Whether it reads or predicts world tokens."""


@dataclass(frozen=True)
class CheckpointSource:
    """A given checkpoint, and what it says of itself."""

    policy: PolicySource
    trained: str = "disabled"
    """What its memory held in training,"""
    rolled: str = "disabled"
    """and what it holds in a rollout."""
    n_action_steps: int = 1
    """Actions that it executes before it is queried again."""
    known: bool = True
    """Whether its configuration was read; without the hub it is only supposed."""
    encoder: EncoderSpec | None = None
    """What its latents come from; None without memory, or if it does not say."""
    moments: bool = True
    """Whether it knows the latents' mean and covariance; a checkpoint of the earlier form may not."""
    aligned: bool = False
    """Whether its hidden states were taught to foretell latents, without a memory."""
    bank: bool = False
    """Whether it carries the latents of its training episodes."""


@dataclass(frozen=True)
class Source:
    """Name and content address of a data set or an encoder, as in their specs."""

    name: str
    revision: str = ""


@dataclass(frozen=True)
class Sources:
    """Content addresses of everything that a study takes from outside."""

    assets: Mapping[str, Assets]
    """By suite."""
    policies: Mapping[AnyPolicy, PolicySource]
    dataset: Source | None
    """None in a study that trains nothing."""
    encoders: Mapping[AnyEncoderModel, Source]
    checkpoints: Mapping[str, tuple[CheckpointSource, ...]] = field(default_factory=dict)
    """By arm, in the order in which the study names them."""
    latents: Mapping[str, Source] = field(default_factory=dict)
    """Files of latents that were made elsewhere, by what the study calls them."""
    instructions: Source | None = None
    """The language model of a study whose instructions become vectors."""

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The parts whose commit or digest only the hub or a server could have told, each once."""
        return tuple(dict.fromkeys(part for part, address in self._addresses() if address == UNRESOLVED))

    def _addresses(self) -> Iterator[tuple[str, str]]:
        for assets in self.assets.values():
            yield "simulator.assets", assets.digest
        if self.dataset is not None:
            yield "data", self.dataset.revision
        given = [each.policy for found in self.checkpoints.values() for each in found]
        for policy in (*self.policies.values(), *given):
            yield "policy" if policy.family else SERVED, policy.revision
            yield "the policy's backbone", policy.backbone
        for encoder in self.encoders.values():
            yield "encoder", encoder.revision
        if self.instructions is not None:
            yield "instructions", self.instructions.revision
