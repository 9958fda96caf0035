"""The world memory's settings are declared once: a study's have the same defaults, and each reaches the policy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from world_modality.errors import UserError
from world_modality.facts.world import WorldMemoryConfig
from world_modality.study.specs import WorldSpec
from world_modality.study.study import Training
from world_modality.study.world import World

NAMES = {"lambda_world": "world_lambda"}


@pytest.mark.parametrize("name", World.model_fields)
def test_a_study_s_defaults_are_the_policy_s(name: str) -> None:
    default = World.model_fields[name].default
    assert (0 if default is None else default) == getattr(WorldMemoryConfig(), NAMES.get(name, f"world_{name}"))


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
