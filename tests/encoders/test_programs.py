"""Encoders that are programs: run only where a study allows the very file, and only if a clip is all they look at."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.data_stages import encode_episode, encoder_spec, stage_context
from support.encoder_cases import CASES, PictureTokens, VideoTokens, scripted
from support.small_study import edited
from torch import Tensor, nn

from world_modality.cli.given import encoder_of
from world_modality.cli.given_encoder import leave_to_run
from world_modality.cli.sources import resolve_sources
from world_modality.data.hub import ENCODER
from world_modality.encoders.clipwise import require_clipwise
from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.resolve import resolve_encoder
from world_modality.encoders.source import run
from world_modality.errors import UserError
from world_modality.study.load import load_study
from world_modality.study.parts import FolderWeights
from world_modality.study.slices import encoder_spec as planned_spec

VIDEOS = CASES["script_videos"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer").mkdir()
    VIDEOS.write(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise AssertionError("a program was loaded")

    monkeypatch.setattr(torch.jit, "load", load)


def test_it_is_not_run_without_leave(folder: Path, never_run: None) -> None:
    with pytest.raises(UserError, match=r"encoder\.jit is a program, .* set encoder\.allow_torchscript to true and"):
        load_encoder(VIDEOS.spec(folder, torchscript=None), folder)
    given = resolve_encoder(str(folder), frames=3, image_size=None, dtype="float32")
    assert (given.spec.kind, given.spec.image_size, given.dim, given.spec.torchscript) == ("torchscript", 32, 6, None)


def test_another_file_than_the_one_that_was_named_is_not_run(folder: Path, never_run: None) -> None:
    spec = VIDEOS.spec(folder)
    (folder / "encoder.jit").write_bytes((folder / "encoder.jit").read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"has the sha256 [0-9a-f]{64}, not [0-9a-f]{64}, which encoder\.sha256 allows"):
        load_encoder(spec, folder)


def test_leave_is_in_the_key_of_what_needs_it_and_in_no_other(folder: Path) -> None:
    spec = VIDEOS.spec(folder)
    assert spec.address()["torchscript"] == hashlib.sha256((folder / "encoder.jit").read_bytes()).hexdigest()
    assert "torchscript" not in encoder_spec().address()
    assert "torchscript" not in spec.told()


GIVEN = "{kind: vjepa2, source: embedded, frames: 4, image_size: 64}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, r"encoder\.kind: a torchscript encoder is a program .* set allow_torchscript to true if you trust it$"),
        ({"allow_torchscript": True}, r"encoder\.allow_torchscript: of which file\? Set sha256 to what `sha256sum "),
        (
            {"allow_torchscript": True, "sha256": "0" * 64},
            r"encoder\.sha256: .*encoder\.jit has the sha256 [0-9a-f]{64}",
        ),
        ({"sha256": "ABC", "allow_torchscript": True}, r"encoder\.sha256: "),
        (
            {"kind": "dinov2", "allow_torchscript": True},
            r"encoder\.allow_torchscript: is for encoders that are programs",
        ),
    ],
)
def test_a_study_must_allow_the_very_file(
    folder: Path, tmp_path: Path, never_run: None, settings: dict[str, Any], said: str
) -> None:
    asked = {"kind": "torchscript", "source": "folder", "path": str(folder), "frames": 4, "image_size": 64, **settings}
    (tmp_path / "study.yaml").write_text(edited((GIVEN, json.dumps(asked))))
    with pytest.raises(UserError, match=said):
        resolve_sources(load_study(tmp_path / "study.yaml"), tmp_path / "results")


def test_a_study_s_leave_reaches_the_encoder(folder: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((folder / "encoder.jit").read_bytes()).hexdigest()
    asked = {"kind": "torchscript", "source": "folder", "path": str(folder), "frames": 4, "image_size": 64}
    (tmp_path / "study.yaml").write_text(
        edited((GIVEN, json.dumps(asked | {"allow_torchscript": True, "sha256": digest})))
    )
    file = load_study(tmp_path / "study.yaml")
    (encoder,) = file.study.encoders
    spec = planned_spec(encoder, resolve_sources(file, tmp_path / "results"))
    context = stage_context(tmp_path / "stage")
    assert run(spec, context) == {"dim": 6, "parameters": 4614}
    assert sorted(path.name for path in context.artifact.iterdir()) == ["config.json", "encoder.jit"]


class Indices(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = PictureTokens()

    def forward(self, frames: Tensor) -> Tensor:
        return self.inner(frames).argmax(1)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            scripted(PictureTokens, hidden_size=7),
            r"makes latents \[1, 7, 4, 4\] of 32 pixels, but it makes float32 \[1, 6,",
        ),
        (
            scripted(VideoTokens, temporal_compression=8),
            r"makes latents \[1, 6, 2, 4, 4\] .* makes float32 \[1, 6, 3, 4, 4",
        ),
        (scripted(Indices), r"but it makes int64 \[1, 4, 4\]: .* take a tokenizer whose latents are continuous"),
        (scripted(PictureTokens, patch_size="8"), r"config\.json: patch_size is '8': give a whole number above 0"),
        (scripted(VideoTokens), "cannot be run"),
    ],
)
def test_a_description_that_does_not_fit_is_told(tmp_path: Path, write: Callable[[Path], None], said: str) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match=said):
        load_encoder(VIDEOS.spec(tmp_path), tmp_path)


class TakenTogether:
    """What must not be: the clips of a batch encoded as one video, of which each gets its slice."""

    def __init__(self, encoder: Encoder) -> None:
        self.model, self.dim, self._encoder = encoder.network.model, encoder.dim, encoder

    def process(self, pixels: Tensor) -> Tensor:
        return self._encoder.network.process(pixels)

    def latents(self, clips: Tensor) -> Tensor:
        alone = self._encoder.network.latents(clips)
        return alone + alone.mean(dim=0, keepdim=True)


def test_a_whole_clip_encoder_that_is_sliced_in_time_is_refused(make_encoder: Callable[..., Encoder]) -> None:
    encoder = make_encoder("vjepa2", 4)
    require_clipwise(encoder)
    with pytest.raises(UserError, match="change when only later frames do: it cuts them in time from what it made of"):
        require_clipwise(Encoder(encoder.spec, TakenTogether(encoder)))


class Drawn(nn.Module):
    """A tokenizer that samples."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = PictureTokens()

    def forward(self, frames: Tensor) -> Tensor:
        return self.inner(frames) + torch.rand(1)


class Sliced(nn.Module):
    """A tokenizer that looks at the clips beside the one that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = PictureTokens()

    def forward(self, frames: Tensor) -> Tensor:
        return self.inner(frames + 0.1 * frames.roll(-1, 0))


@pytest.mark.parametrize(
    ("tokenizer", "said"), [(Drawn, "other latents of the same clip"), (Sliced, "only later frames")]
)
def test_the_encoder_stage_refuses_a_program_that_looks_further(
    tmp_path: Path, tokenizer: Callable[[], nn.Module], said: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    scripted(tokenizer)(source)
    spec = VIDEOS.spec(source, revision=ENCODER.digest(source))
    with pytest.raises(UserError, match=said):
        run(spec, stage_context(tmp_path / "stage"))


def test_numbers_do_not_depend_on_how_often_it_ran(folder: Path) -> None:
    """TorchScript compiles what it saw a few times."""
    encoder = load_encoder(VIDEOS.spec(folder), folder)
    video = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    found = [encode_episode(encoder, video) for _ in range(5)]
    assert all(np.array_equal(each, found[0]) for each in found)


def test_a_model_that_masks_at_random_is_refused(tmp_path: Path) -> None:
    from transformers import ViTMAEConfig, ViTMAEModel

    for ratio, said in ((0.75, "which is which is not known"), (0.0, "other latents of the same picture each time")):
        folder = shutil.copytree(
            made_mae(tmp_path / str(ratio), ViTMAEConfig, ViTMAEModel, ratio), tmp_path / f"c{ratio}"
        )
        with pytest.raises(UserError, match=said):
            load_encoder(CASES["ijepa"].spec(folder), folder)


def made_mae(folder: Path, config: Any, model: Any, ratio: float) -> Path:
    from support.encoder_cases import SIZES, processor

    model(config(**SIZES, mask_ratio=ratio)).save_pretrained(folder)
    processor(folder)
    return folder


def test_the_encoder_of_a_given_checkpoint_needs_the_study_s_leave_too(folder: Path, tmp_path: Path) -> None:
    """The checkpoint's own config.json gives none."""
    (tmp_path / "study.yaml").write_text(edited())
    file, at = load_study(tmp_path / "study.yaml"), ("encoder",)
    digest = hashlib.sha256((folder / "encoder.jit").read_bytes()).hexdigest()
    own = {"source": "folder", "path": str(folder)}
    for said in (None, FolderWeights(**own), FolderWeights(**own, sha256=digest)):
        with pytest.raises(
            UserError, match=r"study\.yaml:9: encoder: .* give source folder, allow_torchscript: true and"
        ):
            leave_to_run(file, at, "torchscript", said, folder)
    other = FolderWeights(**own, allow_torchscript=True, sha256="0" * 64)
    with pytest.raises(UserError, match=f"has the sha256 {digest}: name that one only if you trust the file"):
        leave_to_run(file, at, "torchscript", other, folder)
    allowed = FolderWeights(**own, allow_torchscript=True, sha256=digest)
    assert leave_to_run(file, at, "torchscript", allowed, folder) == digest
    assert leave_to_run(file, at, "dinov2", None, None) is None
    config = {"world_encoder_torchscript": digest} | {
        f"world_encoder_{name}": value
        for name, value in VIDEOS.spec(folder).model_dump().items()
        if name != "torchscript"
    }
    found = encoder_of(config)
    assert found is not None
    assert (found.kind, found.torchscript) == ("torchscript", None)
