"""What a model of the discrete line is asked offline: how its world is corrupted, and whom it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from world_modality.facts.table import Table

FAMILY = "world_transformer"
"""The policy family, and LeRobot's type, of these models."""
MOST_FRAMES = 65536
"""That a checkpoint is judged on: more take hours and move no figure."""
Corrupted = Literal["token", "memory"]
"""Of the present frame, which model C reads; of predicted latents, which the actions of model F read."""


@dataclass(frozen=True)
class Corruption:
    """One thing that takes the place of what a model reads of the world."""

    name: str
    of: Corrupted
    put: str
    """What is put there, for tables."""
    tells: str
    """What a change of the actions then tells, for tables."""
    other: Literal["", "episode", "task"] = ""
    """Of what the frame that it is taken from is another; "" if it is not taken from one frame."""

    @property
    def kind(self) -> str:
        """Without what it corrupts: ``uniform``."""
        return self.name.removeprefix(f"{self.of}_")


CORRUPTIONS: Table[Corruption] = Table(
    "corruption",
    "corruptions",
    (
        Corruption("token_uniform", "token", "any token of the codebook, all alike", "whether the token is read"),
        Corruption(
            "token_marginal",
            "token",
            "the token that any judged frame has at that place",
            "whether it is read for more than how frequent it is",
        ),
        Corruption(
            "token_other_episode",
            "token",
            "the tokens of a frame of another episode",
            "whether it is read for this episode's course",
            other="episode",
        ),
        Corruption(
            "token_other_task",
            "token",
            "the tokens of a frame of another task",
            "the same, and for the task",
            other="task",
        ),
        Corruption(
            "memory_random",
            "memory",
            "normal draws with the latents' mean and covariance",
            "whether the memory is read",
        ),
        Corruption(
            "memory_marginal",
            "memory",
            "in each slot what the memory of any judged frame holds there",
            "whether it is read for more than its slots' distributions",
        ),
        Corruption(
            "memory_other_episode",
            "memory",
            "the memory of a frame of another episode",
            "whether it is read for this episode's course",
            other="episode",
        ),
        Corruption(
            "memory_other_task",
            "memory",
            "the memory of a frame of another task",
            "the same, and for the task",
            other="task",
        ),
        Corruption("memory_zero", "memory", "zeros", "what the memory is worth"),
        Corruption("memory_oracle", "memory", "what really came", "what a perfect prediction would be worth"),
    ),
)


def known_as(model: str, memory: str) -> str:
    """What the research calls a model whose actions read a memory of that mode: F is A with one."""
    if memory in ("", "disabled"):
        return model
    return "F" if model == "A" and memory in ("pred", "scheduled") else f"{model} with {memory} memory"


def not_judged(arms: Sequence[str]) -> str:
    """Why given checkpoints of these models have no offline evaluation in a study, and what judges them."""
    return (
        f"{', '.join(arms)}: given checkpoints have no offline evaluation here, since a plan cannot tell whether the "
        "study's codebook and held-out episodes are theirs; `python -m world_modality.eval_offline` judges each"
    )


@dataclass(frozen=True)
class OfflineClaim:
    """Two models that are compared on the same held-out frames: ``treated`` is asked to have the smaller action
    error."""

    treated: str
    control: str
    asks: str
    """The question, for people."""

    @property
    def name(self) -> str:
        """``B < A``: whose error is to be smaller."""
        return f"{self.treated} < {self.control}"


OFFLINE_CLAIMS: tuple[OfflineClaim, ...] = (
    OfflineClaim("B", "A", "does predicting world tokens make a better imitator?"),
    OfflineClaim("C", "B", "does it help to read the present token, too?"),
    OfflineClaim("C", "C_no_world_input", "is it the token itself that helps, rather than its place?"),
    OfflineClaim("F", "A", "does a memory of predicted latents help?"),
)
"""In the order in which a report asks them."""
