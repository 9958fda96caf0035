"""What the earlier system's programs have in common, each ``python -m world_modality.NAME``: flags, places, refusals.

A dataset's cache is the folder ``<cache_dir>/<dataset>``: a dataset of the hub goes by its id there, a folder by its
own name.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from world_modality.cli.latents import Clips
from world_modality.data.episodes import dataset_fingerprint, read_episode_table
from world_modality.errors import UserError
from world_modality.latents.reader import open_latents
from world_modality.store.hub import find_folder

VJEPA, DINO = "facebook/vjepa2-vitg-fpc64-256", "facebook/dinov2-base"
"""The earlier system's encoders."""
FEATURE = "observation.images."


def parser(program: str, about: str, *, split: bool = True) -> argparse.ArgumentParser:
    """A program's parser, with the flags that all have: which dataset, and where its cache is.

    Without ``split`` its files there are not named by a flag.
    """
    flags = argparse.ArgumentParser(prog=f"python -m world_modality.{program}", description=about)
    flags.add_argument("--dataset_name", required=True, help="folder of a LeRobotDataset v3, hub id or hub id@revision")
    if split:
        flags.add_argument(
            "--split", default="train", help="first word of the files' names; they hold the whole dataset"
        )
    flags.add_argument("--cache_dir", type=Path, default=Path("cache"))
    return flags


def add_camera(flags: argparse.ArgumentParser) -> None:
    """Whose frames; by default LIBERO's scene, under the name that its dataset has for it."""
    flags.add_argument("--image_key", default=f"{FEATURE}image", help="feature with the pictures")


def camera_of(given: argparse.Namespace) -> str:
    """The camera that ``--image_key`` means."""
    return str(given.image_key).removeprefix(FEATURE)


def add_encoding(flags: argparse.ArgumentParser, *, model: str | None, about_model: str) -> None:
    """How frames become latents, by which ``model`` by default, None if other flags say it, and on what."""
    add_camera(flags)
    flags.add_argument("--vision_model_name", default=model, help=about_model)
    flags.add_argument("--temporal_window", type=positive, default=1, help="frames of a clip, which ends at its frame")
    flags.add_argument("--image_size", type=positive, help="pixels of the encoder's input, its own by default")
    flags.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    flags.add_argument("--batch_size", type=positive, default=64, help="clips that the encoder computes at once")
    flags.add_argument(
        "--num_workers", type=positive, default=min(8, os.cpu_count() or 1), help="cores: 8, or as many as there are"
    )
    flags.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def clips_of(given: argparse.Namespace, model: str) -> Clips:
    """The clips that the flags of :func:`add_encoding` ask for."""
    return Clips(model, camera_of(given), given.temporal_window, given.image_size, given.dtype, given.batch_size)


def use_device(device: str) -> None:
    """Have latents made where ``--device`` says; UserError if it asks for a GPU and there is none."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # latents are made on every GPU that is seen
    if device == "cuda":
        import torch

        if not torch.cuda.device_count():
            raise UserError("--device cuda: no GPU is seen here: leave the flag out to work on the CPU")


def add_ignored(flags: argparse.ArgumentParser, why: Mapping[str, str]) -> None:
    """Flags that are taken and decide nothing, and why."""
    for name, reason in why.items():
        flags.add_argument(f"--{name}", help=f"without effect: {reason}")


def told(given: argparse.Namespace, why: Mapping[str, str]) -> Iterator[str]:
    """A line for each of the flags of :func:`add_ignored` that was given."""
    for name, reason in why.items():
        if getattr(given, name) is not None:
            yield f"--{name} has no effect: {reason}"


def positive(text: str) -> int:
    """A flag's whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def share(text: str) -> float:
    """A flag's number from 0 on and below 1."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{number:g} is no share: give a number from 0 on and below 1")
    return number


def place(given: argparse.Namespace) -> tuple[Path, str]:
    """The dataset's folder, and its name in the cache; UserError if there is no such dataset."""
    dataset, commit = find_folder(given.dataset_name, "dataset")
    return dataset, Path(given.dataset_name).absolute().name if commit is None else given.dataset_name.partition("@")[0]


def require_same(latents: Path, dataset: Path, clips: Clips, *, instead: str) -> None:
    """UserError unless the latents that are there are what would be made; ``instead`` says what to do then."""
    cache = open_latents(latents, frames=read_episode_table(dataset).frames)
    there = {
        "camera": cache.camera,
        "dataset": cache.dataset_fingerprint,
        **{f"encoder.{name}": value for name, value in cache.encoder.address().items()},
    }
    asked = {
        "camera": clips.camera,
        "dataset": dataset_fingerprint(dataset),
        **{f"encoder.{name}": value for name, value in clips.given().spec.address().items()},
    }
    other = [name for name, value in asked.items() if there.get(name) != value]
    if other:
        raise UserError(f"{latents} is not what these flags would make, its {', '.join(other)} differ: {instead}")


def run(
    flags: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], Iterator[str]],
    given: Sequence[str] | None,
) -> None:
    """Parse, and print what a program says; end with one line on stderr for what the user can mend."""
    try:
        for line in work(flags.parse_args(given)):
            print(line, flush=True)
    except UserError as error:
        sys.exit(str(error))
