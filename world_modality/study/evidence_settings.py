"""The study's section ``evidence``: how sure its verdicts must be, and what is believed before anything is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from world_modality.study.values import Part, as_tuple

Share = Annotated[float, Field(gt=0, lt=1)]


class Beliefs(Part):
    """The noise that the plan expects, as fractions; `wm plan` shows beside it what the study's own seeds say."""

    rate: Share = 0.85
    """Success rate of the arm without memory."""
    run_sd: PositiveFloat = 0.03
    """Standard deviation of the mean success over all tasks from one training run to the next. `wm plan` shows what was
    published of such policies."""
    task_sd: PositiveFloat = 0.05
    """The same of one task's success."""
    disagree_runs: Share | None = None
    """Share of episodes on which two training runs differ; 2 rate (1 - rate) by default, as if they were
    independent."""
    disagree_memories: Share | None = None
    """The same of two memories of one checkpoint."""


class Hours(Part):
    """What the study takes on the machine it is meant for; by default what was measured in this results tree."""

    training: PositiveFloat | None = None
    """One training."""
    rollout: PositiveFloat | None = None
    """One episode."""


class Evidence(Part):
    """How outcomes become verdicts. Everything but ``hours`` is sealed as the study's plan before its first rollout."""

    effect: Share = 0.05
    """Difference of success rates that the study should be able to find, as a fraction."""
    margin: Share = 0.05
    """Difference that counts as none, as a fraction."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Error probability of each one-sided test."""
    confidence: Share = 0.95
    """Of the two-sided intervals."""
    power: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    """Probability with which the smallest detectable difference is found."""
    looks: Annotated[tuple[PositiveInt, ...], BeforeValidator(as_tuple)] = ()
    """Numbers of seeds after which the data are judged, such as [3, 5, 8]; by default once, after the last seed."""
    spending: Literal["obrien_fleming", "pocock"] = "obrien_fleming"
    """How several looks share alpha: next to nothing early, or nearly evenly."""
    stop_early: PositiveInt | None = None
    """Of one or two given checkpoints per arm: look after every so many scenes of each task, in an order drawn
    beforehand, and roll out no more once the decision rule is decided; by default everything is rolled out."""
    noise: Beliefs = Beliefs()
    hours: Hours = Hours()
