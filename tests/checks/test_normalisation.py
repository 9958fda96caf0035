"""Judging statistics by what policies are normalised by: whole ones have no finding, and what lacks is named."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from world_modality.checks.normalisation import default_modes, normalisation_findings, taken_pictures

PICTURES = ("observation.images.image", "observation.images.image2")
MOMENTS = {"mean": [0.4], "std": [0.3], "min": [0.0], "max": [1.0]}
SHADES = {kind: [[[0.4]], [[0.3]], [[0.5]]] for kind in MOMENTS}
WHOLE = {
    **{name: {**MOMENTS, "q01": [0.0], "q99": [1.0]} for name in ("observation.state", "action")},
    **dict.fromkeys(PICTURES, SHADES),
}


def problems(policy_type: str, change: Any, start: Any = None) -> list[str]:
    statistics = deepcopy(WHOLE)
    change(statistics)
    modes = default_modes(policy_type, {})
    found = list(normalisation_findings(modes, statistics, start or {}, PICTURES, "arms.A.policy"))
    assert all((finding.level, finding.where) == ("error", "meta/stats.json") for finding in found)
    return [finding.message for finding in found]


def without_pictures(statistics: dict[str, Any]) -> None:
    for name in PICTURES:
        del statistics[name]


def bytes_of_pictures(statistics: dict[str, Any]) -> None:
    statistics[PICTURES[1]] = {**SHADES, "mean": [[[111.0]], [[104.0]], [[97.0]]]}


def without_quantiles(statistics: dict[str, Any]) -> None:
    for name in ("observation.state", "action"):
        del statistics[name]["q01"], statistics[name]["q99"]


@pytest.mark.parametrize("policy_type", ["act", "pi05", "smolvla", "diffusion"])
def test_whole_statistics_have_no_finding(policy_type: str) -> None:
    assert not problems(policy_type, lambda _: None)


def test_statistics_of_pictures_matter_to_policies_that_are_normalised_by_them() -> None:
    assert [told.partition(",")[0] for told in problems("act", without_pictures)] == [
        f"{name}: mean and std are missing" for name in PICTURES
    ]
    (told,) = problems("act", bytes_of_pictures)
    assert told.startswith(f"{PICTURES[1]}: mean is 111, where pictures are numbers of 0 to 1, and arms.A.policy is")
    assert not problems("smolvla", without_pictures)
    assert not problems("smolvla", bytes_of_pictures)


def test_quantiles_matter_to_policies_that_are_normalised_by_them_and_bring_none() -> None:
    assert len(problems("pi05", without_quantiles)) == 2
    assert all("q01 and q99 are missing" in told for told in problems("pi05", without_quantiles))
    assert not problems("act", without_quantiles)
    own = {name: {"q01": [0.0], "q99": [1.0]} for name in ("observation.state", "action")}
    assert not problems("pi05", without_quantiles, own)


def test_settings_say_otherwise() -> None:
    assert default_modes("act", {"normalization_mapping": {"VISUAL": "IDENTITY"}}) == {"VISUAL": "IDENTITY"}


def test_pictures_are_those_that_a_policy_names_or_else_all() -> None:
    def config(*names: str) -> dict[str, Any]:
        return {"input_features": {name: {"type": "VISUAL"} for name in names}}

    assert taken_pictures(config(PICTURES[1]), PICTURES) == PICTURES[1:]
    assert taken_pictures(config("observation.images.camera1"), PICTURES) == PICTURES
    assert taken_pictures({}, PICTURES) == PICTURES
