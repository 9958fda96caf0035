"""What a file of latents must look like before anyone compares a number of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from world_modality.errors import UserError
from world_modality.latents import importing
from world_modality.latents.earlier_cache import Claimed, claimed, find_published
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


NAMED = {
    "train_world_latents_vjepa_m4.fp16.npy": ("vjepa2", 4),
    "train_world_latents_vjepa.fp16.npy": ("vjepa2", 1),
    "val_world_latents_dino.fp16.npy": ("dinov2", 1),
    "train_world_latents_vjepa_m16.npy": ("vjepa2", 16),
    "latents.npy": (None, None),
}
METADATA = {"temporal_window": 4, "model": "vjepa2", "pooling": "mean", "dim": DIM, "frames": FRAMES}


def cached(folder: Path, **metadata: object) -> Path:
    """A file in the earlier cache's place, with its metadata."""
    place = folder / "cache" / "HuggingFaceVLA" / "libero"
    place.mkdir(parents=True)
    file = save(place, rows()).rename(place / "train_world_latents_vjepa_m4.fp16.npy")
    (place / "train_world_latents_vjepa_m4.fp16_metadata.json").write_text(json.dumps({**METADATA, **metadata}))
    return file


@pytest.mark.parametrize("name", NAMED)
def test_what_an_earlier_caches_file_is_called_says_what_it_is(tmp_path: Path, name: str) -> None:
    said = claimed(tmp_path / name)
    assert (said.kind, said.frames) == NAMED[name]


@pytest.mark.parametrize("suffix", [".fp16_metadata.json", "_metadata.json"])
def test_its_metadata_are_read_wherever_they_lie(tmp_path: Path, suffix: str) -> None:
    file = cached(tmp_path)
    file.with_name("train_world_latents_vjepa_m4.fp16_metadata.json").rename(
        file.with_name(f"train_world_latents_vjepa_m4{suffix}")
    )
    said = claimed(file)
    assert said == Claimed(file, "vjepa2", 4, FRAMES, DIM, "mean")
    said.require(kind="vjepa2", frames=4, pooling="mean", rows=FRAMES, dim=DIM)
    assert find_published(file.parent) == find_published(file) == file


FITTING = {"kind": "vjepa2", "frames": 4, "pooling": "mean", "rows": FRAMES, "dim": DIM}
OTHERS = {
    "kind": ("dinov2", "an encoder of family vjepa2, where the given one is dinov2"),
    "frames": (8, "clips of this many frames: 4, where the given clips have 8"),
    "pooling": ("grid2", "pooling mean, where the given one is grid2"),
    "rows": (FRAMES + 1, "a dataset of this many frames: 50, where the given one has 51"),
    "dim": (DIM + 1, "latents of this many numbers: 8, where the encoder's have 9"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_says_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    value, sentence = OTHERS[name]
    with pytest.raises(UserError, match=sentence):
        claimed(cached(tmp_path)).require(**{**FITTING, name: value})
    Claimed(tmp_path).require(**{**FITTING, name: value})  # one that says nothing is judged by its rows alone


CONTRADICTIONS = {
    "temporal_window": (1, "named after clips of 4 frames, and its metadata say 1"),
    "resume_row": (30, "filled up to row 30 of 50: make the file again"),
    "dim": ("8", "say dim '8', which is no number"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, name: str) -> None:
    value, sentence = CONTRADICTIONS[name]
    with pytest.raises(UserError, match=sentence):
        claimed(cached(tmp_path, **{name: value}))


def test_metadata_that_cannot_be_read_and_unclear_folders_are_refused(tmp_path: Path) -> None:
    file = cached(tmp_path)
    (file.parent / "train_world_latents_vjepa_m4.fp16_metadata.json").write_text("[")
    with pytest.raises(UserError, match="cannot be read"):
        claimed(file)
    with pytest.raises(UserError, match="source siglip: only vjepa, dino are known"):
        claimed(tmp_path / "train_world_latents_siglip_m4.fp16.npy")
    file.with_name("train_world_latents_dino.fp16.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds train_world_latents_dino.*, train_world_latents_vjepa.*: give one"):
        find_published(file.parent)
    with pytest.raises(UserError, match="holds none of a cache's files"):
        find_published(tmp_path)


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
