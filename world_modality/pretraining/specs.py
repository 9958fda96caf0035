"""What the stages of an encoder's making depend on: footage, pretraining, probes."""

from __future__ import annotations

from typing import Literal

from world_modality.study.specs import EncoderSpec, SimSpec, Spec

FOOTAGE = "footage"
"""The role in which reels are read,"""
ENCODER = "encoder"
"""and that of an encoder's model folder."""
MODEL = "model"
"""Folder of a pretraining's artifact that holds the model."""


class FootageSpec(Spec):
    """A reel of one task: shots of a few successive frames, from placements that the seed draws, never from recorded
    initial states. Of two episodes one is scripted and one wanders."""

    sim: SimSpec
    task: int
    reel: int  # its number among the task's reels: the seeds are its own
    episodes: int
    seed: int
    noise: float  # of what the expert does, as of demonstrations
    max_steps: int  # control steps of an episode
    shot: int  # frames, one per control step
    pause: int  # control steps between shots
    cameras: tuple[str, ...]  # of successive shots, over and over
    pixels: int  # along a side of the pictures that are kept


class NetworkSpec(Spec):
    """A small V-JEPA 2 with its predictor."""

    image_size: int
    frames: int  # of a clip
    patch: int  # pixels along a side
    hidden: int
    layers: int
    heads: int
    mlp_ratio: float
    deviation: float  # standard deviation of the weights that training begins with
    predictor_hidden: int
    predictor_layers: int
    predictor_heads: int


class PretrainingSpec(Spec):
    """One training of an encoder. Upstream: reels; none if ``steps`` is 0, which leaves the weights as drawn."""

    network: NetworkSpec
    objective: Literal["masked", "temporal"]
    steps: int
    batch_size: int  # clips
    lr: float
    warmup_steps: int
    weight_decay: float
    momentum: tuple[float, float]  # of the moving average that makes the targets: at the start, and at the end
    seed: int
    threads: int  # of the CPU: sums are rounded in an order that depends on it


class ProbesSpec(Spec):
    """What linear probes read from an encoder's latents on held-out tasks. Upstream: the encoder, reels."""

    encoder: EncoderSpec  # how clips are shown to it; which one it is, the input in that role says
    camera: str
    folds: int  # of the episodes, each probed by what was fitted on the others
    seed: int  # of the folds
