"""How much the same training, repeated with another seed, changes success: what was published and measured.

`wm plan` shows it beside what a study's own seeds say, and the default of ``evidence.noise.run_sd`` rests on it. A
figure of one's own is one more row, of another package by the entry point ``world_modality.run_noise``.
"""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Table


@dataclass(frozen=True)
class RunNoise:
    """The standard deviation of success from one training run to the next, as fractions, and how it is known."""

    name: str
    family: str
    """The policy's family, as ``facts/policies.py`` names it; "" for one of another package."""
    what: str
    """Policy, benchmark and data, for a reader."""
    run_sd: float
    """Of the mean over all tasks that were rolled out."""
    freedom: int
    """Degrees of freedom that ``run_sd`` has: few runs tend to show too little, and a few show far too much."""
    source: str
    task_sd: float | None = None
    """Of one task's success, root mean square over tasks, where that was measured; with what it had."""
    episodes: int | None = None
    """Per run, behind ``run_sd``. Of few, the luck of the episodes is a good part of it: it is in all of these."""


_ATLAS = "noise atlas of orbit-eval (Apache-2.0), August 2026"

RUN_NOISE: Table[RunNoise] = Table(
    "measured noise of training runs",
    "run_noise",
    (
        RunNoise(
            name="smolvla-libero-suites",
            family="smolvla",
            what="SmolVLA fine-tuned on LIBERO goal, spatial and 10 (1.1, 1.8 and 2.9 points)",
            run_sd=0.0282,
            freedom=8,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="smolvla-libero-k22",
            family="smolvla",
            what="SmolVLA fine-tuned on 22 episodes of one LIBERO task",
            run_sd=0.0331,
            freedom=6,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="smolvla-libero-k88",
            family="smolvla",
            what="SmolVLA fine-tuned on 88 episodes of LIBERO object",
            run_sd=0.0335,
            freedom=2,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="smolvla-libero-k88-long",
            family="smolvla",
            what="the same with ten times the episodes",
            run_sd=0.0211,
            freedom=7,
            task_sd=0.0669,
            episodes=2000,
            source=_ATLAS,
        ),
        RunNoise(
            name="pi05-libero-k88",
            family="pi05",
            what="pi0.5 fine-tuned on 88 episodes of several LIBERO tasks",
            run_sd=0.0405,
            freedom=7,
            task_sd=0.11,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="pi05-libero-k22",
            family="pi05",
            what="pi0.5 fine-tuned on 22 episodes of several LIBERO tasks",
            run_sd=0.0602,
            freedom=7,
            task_sd=0.1201,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="diffusion-libero-k44",
            family="diffusion",
            what="diffusion policy trained from scratch on 44 episodes of LIBERO",
            run_sd=0.0624,
            freedom=7,
            episodes=200,
            source=_ATLAS,
        ),
        RunNoise(
            name="diffusion-libero-k22",
            family="diffusion",
            what="diffusion policy trained from scratch on 22 episodes of LIBERO",
            run_sd=0.1143,
            freedom=7,
            episodes=200,
            source=_ATLAS,
        ),
    ),
)
