"""Work on a cache goes on where sums are rounded as where it was begun, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.latents import alike
from world_modality.latents.alike import BEGUN, computed_on, require_alike
from world_modality.latents.shards import SHARDS
from world_modality.store.arithmetic import SETTINGS
from world_modality.store.notes import note_text, read_note


def test_what_it_was_begun_on_goes_on(tmp_path: Path) -> None:
    require_alike(tmp_path, "cpu")
    require_alike(tmp_path, "cpu")
    assert read_note(tmp_path / BEGUN) == computed_on("cpu")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"device": "NVIDIA H200"}, "were begun on NVIDIA H200, and here it is cpu, which rounds otherwise: go on"),
        ({"kernels": "SSE9"}, "and this processor computes with .* instead of SSE9, which rounds otherwise"),
        ({"instructions": ["SSE9"]}, "and this processor differs in .*, which rounds otherwise"),
    ],
)
def test_what_rounds_otherwise_is_refused(tmp_path: Path, change: dict[str, object], told: str) -> None:
    (tmp_path / BEGUN).write_text(note_text(computed_on("cpu") | change))
    with pytest.raises(UserError, match=told) as error:
        require_alike(tmp_path, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", [0, 20, -2])
def test_what_cannot_be_told_any_more_is_made_anew(tmp_path: Path, place: int) -> None:
    require_alike(tmp_path, "cpu")
    shards = tmp_path / SHARDS
    shards.mkdir()
    data = bytearray((tmp_path / BEGUN).read_bytes())
    data[place] ^= 0x80
    (tmp_path / BEGUN).write_bytes(data)
    require_alike(tmp_path, "cpu")
    assert not shards.exists()
    assert read_note(tmp_path / BEGUN) == computed_on("cpu")


def test_processors_are_alike_under_portable_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on(*instructions: str) -> None:
        monkeypatch.setattr(alike, "capability", lambda: {**SETTINGS, "torch": "DEFAULT", "numpy": list(instructions)})

    on("SSE9")
    require_alike(tmp_path, "cpu")
    on("SSE9", "SSE10")
    require_alike(tmp_path, "cpu")
