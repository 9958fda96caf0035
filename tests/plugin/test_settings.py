"""Settings as text become what LeRobot's own parser makes of them."""

from __future__ import annotations

import draccus
import pytest

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.settings import knows_world, read_settings
from world_modality.errors import UserError

TEXTS = {
    "world_context": "3",
    "world_lambda": "1e-3",
    "world_delta": "false",
    "world_cameras": "image2",
    "world_encoder_name": "123",
    "world_latents": "a folder",
    "num_steps": "4",
    "resize_imgs_with_padding": "[64, 64]",
    "optimizer_betas": "[0.8, 0.9]",
    "device": "cpu",
}


def test_they_are_read_as_lerobot_reads_flags() -> None:
    read = read_settings(TEXTS.items(), "smolvla_world")
    theirs = draccus.parse(SmolVLAWorldConfig, args=[f"--{name}={text}" for name, text in TEXTS.items()])
    assert read == {name: getattr(theirs, name) for name in TEXTS}
    assert read["world_context"] == 3
    assert read["world_lambda"] == 1e-3
    assert read["world_delta"] is False


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("world_contxt", "3", "no setting world_contxt"),
        ("world_context", "three", "world_context: 'three' is no value for it, which is of type int"),
        ("world_context", "2.5", "of type int"),
        ("world_delta", "maybe", "of type bool"),
        ("world_context", "[3", "of type int"),
    ],
)
def test_what_is_no_setting_is_one_sentence(name: str, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        read_settings([(name, text)], "smolvla_world")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "knows"),
    [("smolvla_world", True), ("pi0_world", True), ("world_transformer", True), ("act", False), ("unheard_of", False)],
)
def test_which_policies_have_settings_of_the_world(kind: str, knows: bool) -> None:
    assert knows_world(kind) == knows
