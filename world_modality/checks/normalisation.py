"""Has a dataset the statistics by which the policies that are trained on it are normalised?

LeRobot leaves pictures as they are where their statistics are missing, without a word, and stops at the first step
where a quantile is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.checks.processors import NEEDED
from world_modality.data.description import STATISTICS
from world_modality.data.schema import ACTION, STATE

Modes = Mapping[str, str]
"""Type of a feature, such as VISUAL -> how LeRobot normalises it, such as MEAN_STD."""

SLACK = 1e-3
VISUAL = "VISUAL"


def default_modes(policy_type: str, settings: Mapping[str, Any]) -> Modes:
    """How a new policy of a LeRobot type is normalised, unless ``settings`` say otherwise; nothing if it has no say."""
    if "normalization_mapping" in settings:
        return {name: str(mode) for name, mode in dict(settings["normalization_mapping"]).items()}
    from lerobot.configs import PreTrainedConfig

    from world_modality.policies.host import host_of

    own = host_of(policy_type).family.name  # and the type is known to LeRobot
    field = PreTrainedConfig.get_choice_class(own).__dataclass_fields__.get("normalization_mapping")
    modes = getattr(field, "default_factory", None)
    return {name: mode.value for name, mode in modes().items()} if callable(modes) else {}


def taken_pictures(config: Mapping[str, Any], cameras: Sequence[str]) -> tuple[str, ...]:
    """The columns of a dataset's ``cameras`` that a policy's config.json names; all of them if it has other names."""
    own = [name for name, feature in dict(config.get("input_features") or {}).items() if feature.get("type") == VISUAL]
    return tuple(name for name in cameras if name in own) or tuple(cameras)


def normalisation_findings(
    modes: Modes,
    statistics: Mapping[str, Mapping[str, Any]],
    start: Mapping[str, Mapping[str, Any]],
    pictures: Sequence[str],
    policy: str,
) -> Iterator[Finding]:
    """What lacks of ``meta/stats.json``, and statistics of pictures that cannot be.

    Args:
        modes: how the policy is normalised.
        statistics: the dataset's: feature -> kind -> numbers.
        start: the start policy's own of state and action, which are taken in their place.
        pictures: the columns that the policy takes.
        policy: what it is called in the study.
    """
    features = [(STATE, "STATE"), (ACTION, "ACTION"), *((name, VISUAL) for name in pictures)]
    for name, kind in features:
        mode = modes.get(kind, "IDENTITY")
        needed = NEEDED.get(mode, ())
        own = {**statistics.get(name, {}), **start.get(name, {})}
        lacking = [each for each in needed if own.get(each) is None]
        problem = f"{' and '.join(lacking)} are missing" if lacking else ""
        if kind == VISUAL and not lacking:
            problem = next((told for each in needed if (told := _no_share(each, own[each]))), "")
        if problem:
            yield Finding(
                "error",
                DATA,
                STATISTICS,
                f"{name}: {problem}, and {policy} is normalised by them ({mode}): compute the statistics again",
            )


def _no_share(kind: str, values: Any) -> str:
    """Why numbers are none of pictures, whose own are taken as 0 to 1; "" if they can be."""
    try:
        numbers = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):
        return f"{kind} is no list of numbers"
    wrong = ~((numbers >= -SLACK) & (numbers <= 1 + SLACK))
    if wrong.any():
        return f"{kind} is {numbers[wrong][0]:.4g}, where pictures are numbers of 0 to 1"
    return f"{kind} is 0" if kind == "std" and (numbers <= 0).any() else ""
