"""``python -m world_modality.precompute_world_latents``: an earlier program's name and flags for `wm encode-latents`.

It leaves ``<cache_dir>/<dataset_name>/<split>_world_latents_<source>[_m<frames>].fp16.npy``, and goes on where a run
with the same flags was ended. In a study several machines can share the work (`wm join`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from world_modality.errors import UserError

VJEPA, DINO = "facebook/vjepa2-vitg-fpc64-256", "facebook/dinov2-base"  # the earlier program's encoders


def parser(program: str) -> argparse.ArgumentParser:
    """The earlier flags with their defaults, but for camera names: an image key is a feature of the dataset."""
    flags = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--dataset_name", required=True, help="folder of a LeRobotDataset v3, hub id or hub id@revision")
    flags.add_argument("--split", default="train", help="first part of the file's name; every frame is encoded")
    flags.add_argument("--image_key", default="observation.images.image", help="feature with the pictures")
    flags.add_argument("--cache_dir", type=Path, default=Path("cache"))
    flags.add_argument("--batch_size", type=int, default=64, help="clips that the encoder computes at once")
    flags.add_argument("--num_workers", type=int, default=8, help="cores")
    flags.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    flags.add_argument("--world_latents_source", choices=("vjepa", "dino"), default="vjepa")
    flags.add_argument(
        "--vision_model_name", default=DINO, help="folder or hub id; of source vjepa only one called vjepa counts"
    )
    flags.add_argument("--vjepa_checkpoint", default="", help="not read: give a model folder as --vision_model_name")
    flags.add_argument("--temporal_window", type=int, default=1, help="frames of a clip, which ends at its frame")
    flags.add_argument("--image_size", type=int, default=None, help="pixels of the encoder's input, its own by default")
    flags.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    flags.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    return flags


def precompute(flags: argparse.Namespace) -> Path:
    """Encode the dataset, or what is missing of it; the file.

    Raises:
        UserError: there is such a file already, or dataset, encoder and flags do not fit.
    """
    from world_modality.data.hub import DATASET
    from world_modality.latents.earlier_cache import earlier_name

    if flags.vjepa_checkpoint:
        raise UserError("--vjepa_checkpoint: TorchScript files are not read: give a model folder --vision_model_name")
    name = earlier_name(flags.split, flags.world_latents_source, flags.temporal_window)
    said = flags.dataset_name.partition("@")[0]
    of_dataset = Path(said).name if Path(said).is_absolute() or said.startswith(".") else said
    file = flags.cache_dir / of_dataset / name
    if file.exists():
        raise UserError(f"{file} exists already and is never overwritten: remove it, or name another --cache_dir")
    if flags.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from world_modality.cli.latents import Clips, encode_latents
    from world_modality.latents.exporting import export_cache
    from world_modality.store.hub import find_folder

    dataset, _ = find_folder(flags.dataset_name, "dataset", patterns=DATASET.patterns)
    model = flags.vision_model_name
    if flags.world_latents_source == "vjepa" and "vjepa" not in model:
        model = VJEPA
    camera = flags.image_key.removeprefix("observation.images.")
    clips = Clips(model, camera, flags.temporal_window, flags.image_size, flags.dtype, flags.batch_size)
    made = file.with_name(f".{name.removesuffix('.npy')}")
    if not flags.resume:
        shutil.rmtree(made.with_name(f"{made.name}.work"), ignore_errors=True)
    if not made.is_dir():  # else a run that was killed while it wrote the file
        encode_latents(dataset, made, clips, flags.num_workers)
    written = export_cache(made, flags.cache_dir, dataset=of_dataset, split=flags.split)
    shutil.rmtree(made)
    return written


def main(arguments: Sequence[str] | None = None, program: str = "precompute_world_latents") -> int:
    """Parse, encode, tell; the exit status."""
    try:
        print(f"latents      {precompute(parser(program).parse_args(arguments))}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
