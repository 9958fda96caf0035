"""Memory modes, what the world memory can hold, and fusions, where it enters a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from world_modality.facts.benchmarks import Suite
from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class MemoryMode:
    """One thing that the world memory can hold, and what it needs for that."""

    name: str
    holds: str
    """What it holds, for tables: "the Prophet's prediction"."""
    isolates: str
    """What a comparison with this mode tells, for tables."""
    make: Reference
    """``MemoryInputs -> Tensor | None``: the memory, or None if nothing is injected."""
    words: str = ""
    """The memory in a sentence, "predicted memory"; by default its name, "zero memory"."""
    needs_world: bool = True
    """The policy must have been built with world modules."""
    needs_history: bool = False
    """A rollout must encode what the policy sees."""
    needs_future: bool = False
    """What really comes, which no rollout knows unless it looks ahead."""
    needs_donors: bool = False
    """Histories of other episodes."""
    needs_learned: bool = False
    """Trained constants, which only a checkpoint trained in this mode has."""
    needs_bank: bool = False
    """The latents of the training episodes, which a checkpoint trained in such a mode carries."""
    needs_moments: bool = False
    """Mean and covariance of the training latents."""
    needs_prophet: bool = False
    """The Prophet makes the memory, so that the policy's loss trains it too, unless the memory is detached."""
    trains_prophet_alone: bool = False
    """Nothing reads the memory: it is there so that the Prophet learns beside the policy."""
    delay: int = 0
    """How many prediction horizons before the present the history ends."""
    needs_truth: bool = False
    """How likely a sample is to be shown the true future, which falls in the course of a training."""
    look_ahead: Literal["", "policy", "expert"] = ""
    """Who drives while a rollout looks ahead, on a simulator that goes back, for the future that the memory needs: the
    policy with zero memory, or the suite's expert. Such a mode is for rollouts alone; "" where nothing looks ahead."""
    rolled: str = ""
    """The mode that checkpoints trained in this one are rolled out in, unless somebody says otherwise; by default the
    same."""

    @property
    def noun(self) -> str:
        """How sentences call the memory."""
        return self.words or f"{self.name.replace('_', ' ')} memory"

    @property
    def rollout(self) -> str:
        """The mode that checkpoints trained in it are rolled out in by themselves."""
        return self.rolled or self.name

    @property
    def rollable(self) -> bool:
        """Whether a rollout can be in this mode."""
        return not self.needs_future or bool(self.look_ahead)

    @property
    def trainable(self) -> bool:
        """Whether a policy can be trained in this mode."""
        return not self.look_ahead

    @property
    def encodes(self) -> bool:
        """Whether a rollout in this mode encodes frames: those that the policy sees, or those that come."""
        return self.needs_history or bool(self.look_ahead)

    def refused_by(self, suite: Suite) -> str:
        """Why no rollout of a suite can look ahead as this mode does; "" where one can, or need not."""
        if self.look_ahead and not suite.restorable:
            return f"memory '{self.name}' looks ahead from every query, and {suite.name}'s simulator cannot go back"
        if self.look_ahead == "expert" and suite.expert is None:
            return f"memory '{self.name}' looks ahead with a scripted expert, and {suite.name} has none"
        return ""


SEES_THE_PRESENT = (
    "memory '{mode}' is made of the past alone, and this policy sees the present in the same latents: choose another"
)
"""Why a policy that sees frames as their latents takes no memory with a delay."""


@dataclass(frozen=True)
class Fusion:
    """A place where the memory enters a policy."""

    name: str
    enters: str
    """Where, for tables."""
    code: Reference
    """``(WorldSizes, Held) -> Fusion``: the module that reads it, which hooks itself onto the policy."""
    before_actions: bool = False
    """It reads the memory before the noisy actions are there, so that the memory cannot be made of them."""


_MODES = "world_modality.memory.modes"

MODES: Table[MemoryMode] = Table(
    "memory mode",
    "memory_modes",
    (
        MemoryMode(
            name="disabled",
            holds="nothing: there is no world memory",
            isolates="the plain policy",
            make=Reference(f"{_MODES}:nothing"),
            words="no memory",
            needs_world=False,
        ),
        MemoryMode(
            name="zero",
            holds="zeros",
            isolates="that the machinery does no harm: equals disabled, by algebra",
            make=Reference(f"{_MODES}:zero"),
        ),
        MemoryMode(
            name="learned",
            holds="constants trained with the policy",
            isolates="capacity: all the parameters, no information",
            make=Reference(f"{_MODES}:learned"),
            words="learned constants as memory",
            needs_learned=True,
        ),
        MemoryMode(
            name="pred",
            holds="the Prophet's prediction",
            isolates="the hypothesis",
            make=Reference(f"{_MODES}:predicted"),
            words="predicted memory",
            needs_history=True,
            needs_prophet=True,
        ),
        MemoryMode(
            name="oracle",
            holds="what really came",
            isolates="the bound: a perfect prediction",
            make=Reference(f"{_MODES}:oracle"),
            words="the true future as memory",
            needs_future=True,
        ),
        MemoryMode(
            name="oracle_policy",
            holds="the frames that come where the policy goes on with zero memory",
            isolates="a reference, not an upper bound: a memory without error of prediction, about a continuation that "
            "the policy leaves as soon as it reads of it",
            make=Reference(f"{_MODES}:oracle"),
            words="the future of the policy without memory as memory",
            needs_future=True,
            look_ahead="policy",
        ),
        MemoryMode(
            name="oracle_expert",
            holds="the frames that come where the scripted expert goes on",
            isolates="a reference, not an upper bound: what a demonstrator would see next, which the policy need not "
            "bring about",
            make=Reference(f"{_MODES}:oracle"),
            words="the expert's future as memory",
            needs_future=True,
            look_ahead="expert",
        ),
        MemoryMode(
            name="scheduled",
            holds="what really came, ever more rarely, else the Prophet's prediction",
            isolates="exposure: to learn to read a perfect prediction first, and the own one by and by",
            make=Reference(f"{_MODES}:scheduled"),
            words="the true future and by and by the prediction as memory",
            needs_future=True,
            needs_prophet=True,
            needs_truth=True,
            rolled="pred",
        ),
        MemoryMode(
            name="persistence",
            holds="the present latent in every slot",
            isolates="history, a trained network and foresight together: the same encoder's view of the present",
            make=Reference(f"{_MODES}:persistence"),
            words="the present as memory",
            needs_history=True,
        ),
        MemoryMode(
            name="stale",
            holds="the prediction made one prediction horizon ago",
            isolates="timeliness: a prediction of this episode that came too late",
            make=Reference(f"{_MODES}:stale"),
            words="an outdated prediction as memory",
            needs_history=True,
            needs_prophet=True,
            delay=1,
        ),
        MemoryMode(
            name="shuffle",
            holds="the prediction of another training episode",
            isolates="content: a true prediction, of another episode",
            make=Reference(f"{_MODES}:shuffle"),
            words="another episode's prediction as memory",
            needs_donors=True,
            needs_prophet=True,
        ),
        MemoryMode(
            name="nearest_other",
            holds="what came after the nearest frame of another training episode",
            isolates="prediction: a true future, looked up among demonstrations, without a network that predicts",
            make=Reference(f"{_MODES}:nearest_other"),
            words="the future of the nearest demonstrated frame as memory",
            needs_history=True,
            needs_bank=True,
        ),
        MemoryMode(
            name="time_shuffle",
            holds="the prediction with its steps in another order",
            isolates="order: what comes, but not when",
            make=Reference(f"{_MODES}:time_shuffle"),
            words="a reordered prediction as memory",
            needs_history=True,
            needs_prophet=True,
        ),
        MemoryMode(
            name="random",
            holds="normal draws with the latents' mean and covariance",
            isolates="content: the latents' statistics without any content",
            make=Reference(f"{_MODES}:random"),
            needs_moments=True,
        ),
        MemoryMode(
            name="standard_normal",
            holds="standard normal draws, each number by itself",
            isolates="content: numbers that do not even look like latents",
            make=Reference(f"{_MODES}:standard_normal"),
            words="standard normal memory",
        ),
        MemoryMode(
            name="random_scaled",
            holds="random directions, each as long as the prediction that it stands for",
            isolates="content: the prediction's magnitudes without its directions",
            make=Reference(f"{_MODES}:random_scaled"),
            words="random memory of the prediction's norms",
            needs_history=True,
        ),
        MemoryMode(
            name="signflip",
            holds="the negative of the Prophet's prediction",
            isolates="content: the same numbers and norms, pointing the other way",
            make=Reference(f"{_MODES}:signflip"),
            words="the negated prediction as memory",
            needs_history=True,
            needs_prophet=True,
        ),
        MemoryMode(
            name="aux_only",
            holds="nothing, while the Prophet learns beside the policy",
            isolates="the auxiliary loss: the Prophet reads cached latents alone, so it too equals disabled",
            make=Reference(f"{_MODES}:nothing"),
            words="a prediction that is trained and not read",
            trains_prophet_alone=True,
        ),
    ),
)


ATTENTION_MASS = "world_attention_step_"
"""What begins the metric of the attention's mass on all slots of so many frames ahead."""


def trainable_modes() -> tuple[str, ...]:
    """The modes that a policy can be trained in; the others look ahead in rollouts."""
    return tuple(mode.name for mode in MODES if mode.trainable)


_FUSION = "world_modality.memory.fusion"

FUSIONS: Table[Fusion] = Table(
    "fusion",
    "fusions",
    (
        Fusion("late", "the action expert's last hidden states read it", Reference(f"{_FUSION}:Late")),
        Fusion("suffix", "the embedded noisy actions read it", Reference(f"{_FUSION}:Suffix")),
        Fusion("layers", "every layer of the action expert reads it", Reference(f"{_FUSION}:Layers")),
        Fusion("prefix_cross", "the prefix tokens read it", Reference(f"{_FUSION}:PrefixCross"), before_actions=True),
        Fusion("prefix_tokens", "it stands beside the prefix tokens", Reference(f"{_FUSION}:PrefixTokens")),
    ),
)
