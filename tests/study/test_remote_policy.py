"""How a study names a policy that another process serves."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from world_modality.study.parts import RemotePolicy

WRITTEN = """
source: remote
address: ws://localhost:8000
dialect: openpi
rename: {image2: observation/wrist_image_left, image: observation/exterior_image_1_left}
name: pi05_droid
revision: 2026-01-15a
"""


def test_it_is_read_as_it_is_written_and_can_be_compared() -> None:
    one, other = (RemotePolicy.model_validate(yaml.safe_load(WRITTEN)) for _ in range(2))
    assert one.rename == (
        ("image", "observation/exterior_image_1_left"),
        ("image2", "observation/wrist_image_left"),
    )
    assert {one: 1}[other] == 1
    assert RemotePolicy.model_validate({"source": "remote", "address": "ws://a:1"}).timeout == 300


@pytest.mark.parametrize(
    "change",
    [
        {"address": "localhost:8000"},
        {"address": "ws://localhost"},
        {"address": "ws://me:secret@localhost:8000"},
        {"address": "http://localhost:8000"},
        {"dialect": "grpc"},
        {"rename": ["image"]},
        {"rename": {"image": 3}},
        {"timeout": 0},
        {"port": 8000},
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RemotePolicy.model_validate({**yaml.safe_load(WRITTEN), **change})
