"""A small valid study as text, and its graph with fixed content addresses of its sources."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from world_modality.facts.benchmarks import SUITES
from world_modality.study.graph import Graph, build_graph
from world_modality.study.load import load_study
from world_modality.study.models import model_of
from world_modality.study.parts import (
    AnyEncoderModel,
    AnyInstructions,
    AnyPolicy,
    FolderEncoder,
    FolderInstructions,
    FolderPolicy,
    HubEncoder,
    HubInstructions,
    HubPolicy,
    NewPolicy,
    RemotePolicy,
)
from world_modality.study.sources import Assets, CheckpointSource, PolicySource, Source, Sources
from world_modality.study.specs import EncoderSpec
from world_modality.study.study import Study

SMALL_STUDY = """\
study: small
suite: libero_spatial
tasks: [0, 1]
simulator: {assets: package, horizon: 220}
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9}
  relabel: {per_task: 1, init_states: 0-9}
encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}
world: {prophet: joint, prophet_layers: 2, prophet_width: 128, prediction_horizon: 8}
policy: {source: scratch}
training:
  steps: 10
  batch_size: 2
  seeds: [0, 1]
arms:
  E0: {memory: disabled}
  E1: {memory: zero}
  E2: {memory: pred, ablations: [zero, random]}
rollouts:
  init_states: 30-33
  episodes: 4
  num_steps: 5
"""

KEPT_STUDY = SMALL_STUDY.replace("prophet: joint, ", "")
"""The same with Prophets of their own, which the arms keep, as by default."""

PACKAGED = Assets("package", "a" * 16)


GIVEN_ENCODER = EncoderSpec(
    kind="vjepa2", source="embedded", name="vjepa2-small", revision="", seed=0, frames=4, image_size=64,
    pooling="mean", dtype="float32",
)  # fmt: skip
GIVEN_MEMORIES = {"E1": "zero", "E2": "pred"}
"""What the memories of given checkpoints hold, by arm; those of others hold none."""


def fixed_sources(study: Study, assets: Assets = PACKAGED) -> Sources:
    """Content addresses of everything that a study takes from outside, which need not be there.

    Given checkpoints execute 7 actions and have the memories of ``GIVEN_MEMORIES``.
    """
    return Sources(
        assets={suite: assets if SUITES[suite].assets else Assets() for suite in study.suites},
        policies={policy: _policy(policy) for policy in study.policies},
        dataset=None if study.data is None else Source(f"local/{'_'.join(study.data_suites)}"),
        encoders={encoder: _encoder(encoder) for encoder in study.encoders},
        instructions=None if study.instructions is None else _text_model(study.instructions),
        checkpoints={name: tuple(_given(name, each) for each in arm.checkpoint) for name, arm in study.given.items()},
    )


def _given(name: str, checkpoint: AnyPolicy) -> CheckpointSource:
    memory = GIVEN_MEMORIES.get(name, "disabled")
    encoder = None if memory == "disabled" else GIVEN_ENCODER
    return CheckpointSource(_policy(checkpoint), memory, memory, n_action_steps=7, encoder=encoder)


def _policy(policy: AnyPolicy) -> PolicySource:
    match policy:
        case HubPolicy():
            return PolicySource(policy.type or "smolvla", policy.repo_id, policy.revision)
        case FolderPolicy():
            return PolicySource(policy.type or "smolvla", policy.path, sha256(policy.path.encode()).hexdigest()[:16])
        case NewPolicy():
            model = model_of(policy)
            return PolicySource(policy.type, policy.type, knows_tokens=model is not None and model.knows_tokens)
        case RemotePolicy():
            return PolicySource("", policy.name or "toy", policy.revision or "d" * 16)
    return PolicySource("smolvla", policy.name)


def _encoder(encoder: AnyEncoderModel) -> Source:
    match encoder:
        case HubEncoder():
            return Source(encoder.repo_id, encoder.revision)
        case FolderEncoder():
            return Source(encoder.path, "c" * 16)
    return Source(encoder.name or f"{encoder.kind}-small")


def _text_model(instructions: AnyInstructions) -> Source:
    match instructions:
        case HubInstructions():
            return Source(instructions.repo_id, instructions.revision)
        case FolderInstructions():
            return Source(instructions.path, "e" * 16)
    return Source("text-small")


def edited(*replacements: tuple[str, str], text: str = SMALL_STUDY) -> str:
    """``text`` with every old fragment, which must be there exactly once, replaced by its new one."""
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


DISCRETE_STUDY = edited(
    ("  relabel: {per_task: 1, init_states: 0-9}\n", ""),
    (
        "policy: {source: scratch}\n",
        "policy: {source: new, type: world_transformer, settings: {chunk_size: 10, width: 64, heads: 4}}\n",
    ),
    (
        "  E0: {memory: disabled}\n  E1: {memory: zero}\n  E2: {memory: pred, ablations: [zero, random]}\n",
        "  A: {memory: disabled}\n"
        "  B: {memory: disabled, policy: {settings: {model: B}}, against: A}\n"
        "  B_cont: {memory: disabled, policy: {settings: {model: B_cont}}, against: A}\n"
        "  C: {memory: disabled, policy: {settings: {model: C}}, against: B}\n"
        "  C_no_world_input: {memory: disabled, policy: {settings: {model: C_no_world_input}}, against: C}\n"
        "  F: {memory: pred, ablations: [zero, random]}\n"
        "tokens: {size: 32}\n",
    ),
)
"""Arms of all models of the discrete line."""


def graph_of(folder: Path, text: str = SMALL_STUDY, assets: Assets = PACKAGED) -> Graph:
    """The graph of a study given as text."""
    path = folder / "study.yaml"
    path.write_text(text)
    study = load_study(path).study
    return build_graph(study, fixed_sources(study, assets))
