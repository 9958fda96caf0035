"""A small valid study as text, and its graph with fixed content addresses of its sources."""

from __future__ import annotations

from pathlib import Path

from world_modality.study.graph import Graph, build_graph
from world_modality.study.load import load_study
from world_modality.study.sources import Sources

SMALL_STUDY = """\
study: small
suite: libero_spatial
tasks: [0, 1]
simulator: {assets: embedded, horizon: 220}
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9}
  relabel: {per_task: 1, init_states: 0-9}
encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}
world: {prophet_layers: 2, prophet_width: 128, horizon: 8}
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

FIXED_SOURCES = Sources(
    assets="embedded",
    assets_digest="a" * 16,
    policy_name="smolvla-tiny",
    policy_revision="",
    dataset_name="local/libero_spatial",
    encoder_name="vjepa2-small",
)


def edited(*replacements: tuple[str, str], text: str = SMALL_STUDY) -> str:
    """``text`` with every old fragment, which must be there exactly once, replaced by its new one."""
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def graph_of(folder: Path, text: str = SMALL_STUDY, sources: Sources = FIXED_SOURCES) -> Graph:
    """The graph of a study given as text."""
    path = folder / "study.yaml"
    path.write_text(text)
    return build_graph(load_study(path).study, sources)
