"""A tokenizer that is a TorchScript file, as NVIDIA's Cosmos tokenizers are: of single frames or of videos.

Such a file is a program. It is run only where a study allows it and names the file's digest; nothing of it is looked
at before its digest was compared.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from world_modality.encoders.codec import lengthened, newest, signed
from world_modality.encoders.encoder import DTYPES, LOADING_FAILS, require_tiled
from world_modality.encoders.resolve import read_model_config
from world_modality.errors import UserError, in_one_line
from world_modality.facts.encoders import ENCODERS
from world_modality.study.specs import EncoderSpec

TIME = "temporal_compression"
"""The key of config.json that says how many frames of a video become a frame of latents; without it, pictures do."""


class Program(nn.Module):
    """A scripted module as a model: with a device, a number type, and numbers that no call before has decided."""

    place: Tensor

    def __init__(self, scripted: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.scripted = scripted
        self.register_buffer("place", torch.zeros((), dtype=dtype), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.place.device

    @property
    def dtype(self) -> torch.dtype:
        """In which it computes."""
        return self.place.dtype

    def forward(self, frames: Tensor) -> Tensor:
        """Frames in [-1, 1] -> latents, the first of them where it gives several things."""
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # compiled, it would round otherwise
            given = self.scripted(frames)
        latents: Tensor = given[0] if isinstance(given, tuple | list) else given
        return latents


class ScriptedTokenizer:
    """z = the pooled latents of the clip's last frame of latents, or their mean over its frames if it sees pictures."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        content = allowed_program(spec, folder)
        config = read_model_config(folder)
        self.dim, self._patch = (_number(config.get(name), name, folder) for name in ("hidden_size", "patch_size"))
        self._ratio = _number(config[TIME], TIME, folder) if TIME in config else 0
        self._spec = spec
        require_tiled(spec, self._patch)
        try:
            scripted = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
            self.model = Program(scripted.to(DTYPES[spec.dtype]), DTYPES[spec.dtype])
            self._try(folder)
        except LOADING_FAILS as error:
            raise UserError(f"the encoder in {folder} cannot be run: {in_one_line(error)}") from error

    def process(self, pixels: Tensor) -> Tensor:
        """Each frame in [-1, 1]."""
        return signed(pixels, self._spec.image_size)

    def latents(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, C], C the latents' channels."""
        if self._ratio:
            return newest(self.model(lengthened(clips, self._ratio).transpose(1, 2)), self._spec.pooling)
        each = newest(self.model(clips.flatten(0, 1))[:, :, None], self._spec.pooling)
        return each.reshape(*clips.shape[:2], -1, self.dim).mean(dim=1)

    @torch.inference_mode()
    def _try(self, folder: Path) -> None:
        """UserError unless what it makes of a grey clip is what config.json says."""
        side, fields = self._spec.image_size, self._spec.image_size // self._patch
        frames, time = ((1, 1 + self._ratio), (2,)) if self._ratio else ((1,), ())
        given = self.model.eval()(torch.zeros(1, 3, *frames[1:], side, side, dtype=self.model.dtype))
        expected = (1, self.dim, *time, fields, fields)
        if not given.is_floating_point() or tuple(given.shape) != expected:
            told = f"{str(given.dtype).removeprefix('torch.')} {list(given.shape)}"
            raise UserError(
                f"{folder / 'config.json'} says that {ENCODERS[self._spec.kind].weights} makes latents "
                f"{list(expected)} of {side} pixels, but it makes {told}: correct hidden_size, patch_size and {TIME}, "
                "or take a tokenizer whose latents are continuous"
            )


def allowed_program(spec: EncoderSpec, folder: Path) -> bytes:
    """The bytes of the TorchScript file; UserError unless the study allows to run it and these are they."""
    file = folder / ENCODERS[spec.kind].weights
    if not spec.torchscript:
        raise UserError(
            f"{file} is a program, which nothing but a study may allow to run: there, set encoder.allow_torchscript to "
            "true and encoder.sha256 to the file's sha256 digest if you trust it"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): copy the folder anew") from error
    found = hashlib.sha256(content).hexdigest()
    if found != spec.torchscript:
        raise UserError(f"{file} has the sha256 {found}, not {spec.torchscript}, which encoder.sha256 allows to run")
    return content


def _number(value: object, name: str, folder: Path) -> int:
    """A setting of config.json; UserError if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{folder / 'config.json'}: {name} is {value!r}: give a whole number above 0")
    return value
