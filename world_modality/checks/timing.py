"""Do the data show the world at the rate at which the policy will see it?"""

from __future__ import annotations

from collections.abc import Iterator

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.description import INFO, Description
from world_modality.facts.benchmarks import Suite


def rate_findings(description: Description, suite: Suite) -> Iterator[Finding]:
    """A warning if a frame of the data is no control step of the suite, by the rates that both say.

    Data of a suite bear its nominal rate or its simulator's, which for LIBERO are 10 and 20.
    """
    known = sorted({suite.fps, suite.control_rate})
    if description.fps not in known:
        yield Finding(
            "warning",
            DATA,
            INFO,
            f"fps is {description.fps:g}, and data of {suite.name} have {' or '.join(map(str, known))}: where a frame "
            "is no control step, actions are too large or too small; resample the data, or correct the number",
        )
