"""A frozen encoder whose latents are the same however it is called: clips of frames in, latents out.

What differs between families is a Network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from world_modality.checks.encoder import encoder_findings
from world_modality.checks.finding import refuse_errors
from world_modality.checks.tensors import few
from world_modality.encoders.resolve import read_model_config
from world_modality.errors import UserError, in_one_line
from world_modality.facts.encoders import ENCODERS, GRIDS, POOLINGS, EncoderFamily, family_of
from world_modality.facts.model_configs import plain_config
from world_modality.study.specs import EncoderSpec

FRAMES_AT_ONCE = 64  # bounds memory; preprocessing is per frame, so it changes no number
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
LOADING_FAILS = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)
"""What loading a model folder that is damaged, or is none, ends in."""


class Network(Protocol):
    """A loaded model of one family with its processor. Each row of a family's module says how it is built."""

    model: Any
    """The model of the family's own class: its device, dtype and parameters are asked for."""
    dim: int
    """D, numbers per token."""

    def process(self, pixels: Tensor) -> Tensor:
        """Pictures uint8 [F, 3, H, W] -> the model's input float32 [F, 3, S, S], picture by picture."""

    def latents(self, clips: Tensor) -> Tensor:
        """Clips [B, m, 3, S, S], the newest frame last -> float32 [B, P, D], each a function of that clip alone."""


class Encoder:
    """Clips to latents z, float32 [P, D], by a family's network.

    The model always sees ``spec.batch`` clips at once; a shorter rest is filled up. A kernel may choose its order of
    summation by the batch's shape, so only a constant shape makes a clip's latent independent of its batch mates.
    """

    def __init__(self, spec: EncoderSpec, network: Network) -> None:
        self.spec = spec
        self.tokens = POOLINGS[spec.pooling]
        self.dim = network.dim
        self.network = network

    @property
    def parameter_count(self) -> int:
        """Number of weights, those that are never run included."""
        return sum(parameter.numel() for parameter in self.network.model.parameters())

    def prepare(self, frames: NDArray[np.uint8]) -> Tensor:
        """Resize and normalise frames uint8 [F, H, W, 3] to float32 [F, 3, S, S], all on the encoder's device.

        A frame's result depends on that frame alone, so a frame that lies in several clips is prepared once. Only uint8
        is accepted: a processor divides by 255, and frames that were floats in [0, 1] already would reach the model
        nearly black.

        Raises:
            TypeError: the frames are not uint8 [F, H, W, 3].
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise TypeError(f"frames must be uint8 [F, H, W, 3], not {frames.dtype} {list(frames.shape)}")
        # As bytes to the device: there a processor is faster, and a quarter of the numbers' bytes has to get there.
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.network.model.device).permute(0, 3, 1, 2)
        return torch.cat([self.network.process(part).to(torch.float32) for part in torch.split(pixels, FRAMES_AT_ONCE)])

    def encode_prepared(self, prepared: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latents float32 [N, P, D] of the clips ``prepared[rows]``.

        Args:
            prepared: result of ``prepare``, [F, 3, S, S].
            rows: frame of each clip's m places, int64 [N, m], oldest first.
        """
        padding = np.repeat(rows[-1:], -len(rows) % self.spec.batch, axis=0)
        batches = torch.split(torch.from_numpy(np.concatenate([rows, padding])), self.spec.batch)
        latents = [self._encode(prepared[batch]).float() for batch in batches]  # a GPU is waited for once
        result: NDArray[np.float32] = torch.cat(latents)[: len(rows)].cpu().numpy()
        return result

    @torch.inference_mode()
    def _encode(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, D]."""
        return self.network.latents(clips.to(self.network.model.dtype))


def load_encoder(spec: EncoderSpec, folder: Path, device: str = "cpu") -> Encoder:
    """Load an encoder and its processor from a model folder, frozen and in ``spec.dtype``.

    Raises:
        UserError: the folder holds another kind of model, ``spec.image_size`` does not fit its patches, or it has no
            class token where that is asked for.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # stages report by themselves
    config = read_model_config(folder)
    family, found = ENCODERS[spec.kind], family_of(config)
    if found != family:
        told = config.get("model_type")
        of = f", of kind {found.name}" if found and found.name != told else ""
        raise UserError(f"the encoder in {folder} is a {told}{of}, not a {spec.kind}: name one of that kind")
    if spec.pooling == "cls" and not family.class_token:
        raise UserError(f"pooling cls takes a class token, and a {spec.kind} has none: choose mean or a grid")
    network: Network = family.network.load()(spec, folder)
    network.model.requires_grad_(False).eval().to(device)
    return Encoder(spec, network)


def load_model(spec: EncoderSpec, folder: Path, **settings: Any) -> Any:
    """The model in ``folder`` as transformers builds it of its configuration with ``settings``, in ``spec.dtype``.

    Raises:
        UserError: ``spec.image_size`` is no multiple of the patches' size, there are too few patches to pool, or the
            folder lacks a tensor that latents are made of, or names, shapes or numbers are wrong.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    refuse_errors(encoder_findings(folder))
    own = {"local_files_only": True, "trust_remote_code": False}
    wanted = {**own, "dtype": DTYPES[spec.dtype], "ignore_mismatched_sizes": True, "use_safetensors": True}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what it reports of tensors is told below, as one sentence or not at all
    try:
        config = AutoConfig.from_pretrained(folder, **own, **settings)
        config = getattr(config, "vision_config", config)  # of two towers the one for pictures
        require_tiled(spec, int(plain_config(config.to_dict())["patch_size"]))
        with torch.random.fork_rng(devices=[]):  # what the file lacks is drawn at random
            model, told = AutoModel.from_pretrained(folder, config=config, **wanted, output_loading_info=True)
    except LOADING_FAILS as error:
        raise UserError(f"the encoder in {folder} cannot be loaded: {in_one_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    require_all_loaded(folder, ENCODERS[spec.kind], model, told)
    return model


def require_tiled(spec: EncoderSpec, patch: int) -> None:
    """UserError unless patches of so many pixels divide the picture, and are enough for the pooling."""
    if spec.image_size % patch or spec.image_size < patch * GRIDS.get(spec.pooling, 1):
        raise UserError(
            f"an image size of {spec.image_size} is asked of {spec.name}, whose patches of {patch} pixels do not "
            f"divide it or are too few for pooling {spec.pooling}: use a larger multiple of {patch}"
        )


def require_all_loaded(folder: Path, family: EncoderFamily, model: Any, told: Mapping[str, Any]) -> None:
    """UserError unless the weights fit the model, by what the library ``told`` when it loaded them.

    transformers and diffusers draw at random what a file lacks or has in another shape, and go on.
    """
    missing = sorted(name for name in told["missing_keys"] if not name.startswith(family.unused))
    own = f"{getattr(model, 'base_model_prefix', '')}."
    strange = sorted(name for name in told["unexpected_keys"] if name.removeprefix(own).startswith(family.parts))
    other = sorted(name for name, *_ in told["mismatched_keys"] if not name.startswith(family.unused))
    if missing or strange or other:
        raise UserError(
            f"the weights of the encoder in {folder} do not fit its config.json: missing {few(missing)}, unexpected "
            f"{few(strange or sorted(told['unexpected_keys']))}, of another shape {few(other)}; copy the folder anew"
        )
    spoilt = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    if spoilt:
        raise UserError(f"the weights of the encoder in {folder} hold no numbers in {few(spoilt)}; copy it anew")


def resizing(spec: EncoderSpec) -> dict[str, Any]:
    """Arguments of a Hugging Face processor: resize straight to ``image_size``, rescale and normalise, crop nothing.

    The processor's own interpolation, mean and deviation hold. Its default would enlarge and then cut off the outer
    eighth of the picture, where a robot's workspace has objects.
    """
    size = {"height": spec.image_size, "width": spec.image_size}
    return {"size": size, "do_resize": True, "do_center_crop": False, "return_tensors": "pt"}


def pool(patches: Tensor, pooling: str) -> Tensor:
    """The patches [B, G * G, D] of a square picture, row by row -> a frame's tokens [B, P, D].

    ``mean``: of all patches, of any number. A grid: of each of its fields, from left to right and then from top to
    bottom; where the fields do not divide the patches, neighbouring ones share the patches between them.
    """
    if pooling == "mean":
        return patches.mean(dim=1, keepdim=True)
    side = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(len(patches), side, side, -1).permute(0, 3, 1, 2)
    return torch.nn.functional.adaptive_avg_pool2d(grid, GRIDS[pooling]).flatten(2).transpose(1, 2)


def clip_rows(ends: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Rows of the clips that end at ``ends`` within one episode whose first frame is row 0.

    A clip never looks ahead of its end, and repeats the first frame where it would start before the episode.

    Args:
        ends: last frame of each clip, int64 [N], each >= 0.
        frames: m, the clip's length.

    Returns:
        int64 [N, m], oldest first.

    >>> clip_rows(np.array([0, 1, 5]), 3).tolist()
    [[0, 0, 0], [0, 0, 1], [3, 4, 5]]
    """
    return np.maximum(ends[:, None] + np.arange(1 - frames, 1), 0)


def history_ends(newest: int, context: int) -> NDArray[np.int64]:
    """Ends of the ``context`` clips of a history that ends at frame ``newest``, oldest first, int64 [T].

    Before the episode's start the first clip is repeated.

    >>> history_ends(1, 4).tolist()
    [0, 0, 0, 1]
    """
    ends: NDArray[np.int64] = np.maximum(np.arange(newest - context + 1, newest + 1), 0)
    return ends
