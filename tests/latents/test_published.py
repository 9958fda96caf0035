"""What a file of latents must look like before anyone compares a number of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from world_modality.errors import UserError
from world_modality.latents import importing
from world_modality.latents.importing import open_published

FRAMES, DIM = 50, 8


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(FRAMES, DIM)).astype(np.float16)


def save(folder: Path, values: np.ndarray) -> Path:
    np.save(folder / "latents.npy", values)
    return folder / "latents.npy"


@pytest.mark.parametrize("at_once", [7, 1000])
def test_good_rows_are_opened_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", at_once)
    good = rows()
    good[4, 3] = 0  # a single zero is a number like others
    opened = open_published(save(tmp_path, good), frames=FRAMES, tokens=1, dim=DIM)
    assert isinstance(opened, np.memmap)
    assert not opened.flags.writeable
    assert np.array_equal(opened, good[:, None])


def test_tokens_have_an_axis_of_their_own(tmp_path: Path) -> None:
    file = save(tmp_path, rows().reshape(FRAMES, 2, DIM // 2))
    assert np.array_equal(open_published(file, frames=FRAMES, tokens=2, dim=DIM // 2), np.load(file))
    with pytest.raises(UserError, match="latents 4 numbers"):
        open_published(file, frames=FRAMES, tokens=1, dim=DIM // 2)
    with pytest.raises(UserError, match="latents 2 tokens of 4 numbers"):
        open_published(save(tmp_path, rows()), frames=FRAMES, tokens=2, dim=DIM // 2)


def broken(kind: str) -> np.ndarray:
    values = rows()
    match kind:
        case "nan":
            values[17, 2] = np.nan
        case "infinite":
            values[17, 2] = np.inf
        case "tail":
            values[40:] = 0
        case "hole":
            values[[12, 30]] = 0
        case "constant":
            values[23] = 0.5
        case "float32":
            return values.astype(np.float32)
        case "short":
            return values[:-1]
        case "narrow":
            return values[:, :-1]
        case "flat":
            return values.ravel()
    return values


@pytest.mark.parametrize("at_once", [7, 1000])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nan", "row 17 is not finite"),
        ("infinite", "row 17 is not finite"),
        ("tail", "10 rows are all zero, all from row 40 on: its making was cut short"),
        ("hole", "2 rows are all zero, first row 12;"),
        ("constant", "row 23 holds the same number 8 times"),
        ("float32", "holds float32, not float16"),
        ("short", r"is \[49, 8\], but the dataset has 50 frames"),
        ("narrow", r"is \[50, 7\], but .* latents 8 numbers"),
        ("flat", r"is \[400\]"),
    ],
)
def test_each_defect_has_its_own_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: str, at_once: int
) -> None:
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", at_once)
    with pytest.raises(UserError, match=told) as error:
        open_published(save(tmp_path, broken(kind)), frames=FRAMES, tokens=1, dim=DIM)
    assert "\n" not in str(error.value)


def test_what_is_no_array_is_told(tmp_path: Path) -> None:
    file = tmp_path / "latents.npy"
    with pytest.raises(UserError, match=r"is not a \.npy file that can be read"):
        open_published(file, frames=FRAMES, tokens=1, dim=DIM)
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"is not a \.npy file that can be read"):
            open_published(file, frames=FRAMES, tokens=1, dim=DIM)
    np.save(file, np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"is not a \.npy file that can be read"):
        open_published(file, frames=FRAMES, tokens=1, dim=DIM)
    save(tmp_path, rows())
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"is not a \.npy file that can be read"):
        open_published(file, frames=FRAMES, tokens=1, dim=DIM)
