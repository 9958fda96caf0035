"""The world memory's settings are declared once: a study's have the same defaults, and each reaches the policy."""

from __future__ import annotations

import subprocess
import sys
import typing
from dataclasses import fields

import pytest

from world_modality.errors import UserError
from world_modality.facts.world import PROPHETS, WorldMemoryConfig
from world_modality.study.specs import ProphetName, WorldSpec
from world_modality.study.study import Training
from world_modality.study.world import World

NAMES = {"lambda_world": "world_lambda"}


OF_STAGES = {"prophet_steps"}
"""What a study says of a Prophet's own training, which no policy needs to know."""


@pytest.mark.parametrize("name", sorted(World.model_fields.keys() - OF_STAGES - {"prophet"}))
def test_a_study_s_defaults_are_the_policy_s(name: str) -> None:
    default = World.model_fields[name].default
    own = getattr(WorldMemoryConfig(), NAMES.get(name, f"world_{name}"))
    assert (0 if default is None else default) == (tuple(own) if isinstance(own, list) else own)


def test_a_study_trains_a_prophet_beforehand_and_a_policy_by_itself_has_none() -> None:
    assert World.model_fields["prophet"].default == "kept"
    assert WorldMemoryConfig().world_prophet == "joint"
    assert set(typing.get_args(ProphetName)) == set(PROPHETS)


def test_so_is_the_learning_rate_of_the_world_modules() -> None:
    assert Training.model_fields["world_lr"].default == WorldMemoryConfig.world_lr


def test_every_setting_of_a_spec_is_one_of_the_policy_s() -> None:
    own = {field.name for field in fields(WorldMemoryConfig)}
    assert {NAMES.get(name, f"world_{name}") for name in WorldSpec.model_fields} <= own


def test_they_are_read_without_torch_and_lerobot() -> None:
    program = "import sys, world_modality.facts.world; print({'torch', 'lerobot', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"world_context": 0}, "world_context must be at least 1"),
        ({"world_actions": True}, "world_prediction_horizon is 8 but chunk_size 6"),
        ({"world_fusion": "nowhere"}, "world_fusion: 'nowhere' is no fusion; choose one of late"),
    ],
)
def test_values_that_make_no_sense_are_told(settings: dict[str, object], named: str) -> None:
    WorldMemoryConfig().check_world(8)
    with pytest.raises(UserError, match=named):
        WorldMemoryConfig(**settings).check_world(6)  # type: ignore[arg-type]
