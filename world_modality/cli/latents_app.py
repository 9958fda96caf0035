"""Commands of `wm` about latents: `wm latents ...`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from world_modality.cli.options import (
    CameraOption,
    CoresOption,
    DatasetOption,
    DtypeOption,
    EncoderOption,
    FramesOption,
    OutputOption,
    SizeOption,
)
from world_modality.facts.encoders import POOLINGS

latents = typer.Typer(no_args_is_help=True, help="Make, take over, check, export, publish and fetch caches of latents.")

CacheArgument = Annotated[Path, typer.Argument(help="Folder of a cache: latents.npy and what describes it.")]


def _pooling(name: str | None) -> str | None:
    if name is not None and name not in POOLINGS:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(POOLINGS)}.")
    return name


POOLING_HELP = f"How patches become a frame's tokens: {', '.join(POOLINGS)}."
# How a file's latents were made, which it may say itself.
MakerOption = Annotated[
    str | None, typer.Option(help="Folder, hub id or hub id@revision; the hub's by default, if it made them.")
]
MakersCameraOption = Annotated[str | None, typer.Option(help="Whose frames; as the cache says by default, else image.")]
ClipOption = Annotated[
    int | None, typer.Option(min=1, help="Frames of a clip; as the file or its name says by default, else 4.")
]
MakersSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Pixels of the encoder's input; as the cache says by default, else its own.")
]
MakersDtypeOption = Annotated[
    Literal["float32", "float16", "bfloat16"] | None,
    typer.Option(help="In which the encoder computes; as the cache says by default, else float32."),
]
MakersPoolingOption = Annotated[
    str | None, typer.Option(callback=_pooling, help=f"{POOLING_HELP} As the cache says by default, else mean.")
]
MakersBatchOption = Annotated[
    int | None, typer.Option(min=1, help="Clips computed at once; as the cache says by default, else 4.")
]
SampleOption = Annotated[int, typer.Option(min=8, help="Frames to encode again and compare.")]
SampleSeedOption = Annotated[int, typer.Option(help="Which frames.")]
CosineOption = Annotated[float, typer.Option(min=0.5, max=1.0, help="That is taken for the same latent.")]
RepositoryArgument = Annotated[str, typer.Argument(help="Data set of the Hugging Face hub, hub id or hub id@revision.")]


@latents.command()
def encode(
    dataset: DatasetOption,
    encoder: EncoderOption,
    output: OutputOption,
    camera: CameraOption = "image",
    frames: FramesOption = 4,
    image_size: SizeOption = None,
    dtype: DtypeOption = "float32",
    pooling: Annotated[str, typer.Option(callback=_pooling, help=POOLING_HELP)] = "mean",
    batch: Annotated[int, typer.Option(min=1, help="Clips that the encoder computes at once.")] = 4,
    cores: CoresOption = None,
) -> None:
    """Encode every frame of a dataset, for a training without a study. The same command goes on after a crash."""
    from world_modality.cli.latents import Clips, encode_latents

    clips = Clips(encoder, camera, frames, image_size, dtype, batch, pooling)
    print("\n".join(encode_latents(dataset, output, clips, cores or os.cpu_count() or 1)))


@latents.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .npy file, float16 [frames, numbers], or a cache folder with one.")],
    dataset: DatasetOption,
    output: OutputOption,
    encoder: MakerOption = None,
    camera: MakersCameraOption = None,
    frames: ClipOption = None,
    image_size: MakersSizeOption = None,
    dtype: MakersDtypeOption = None,
    pooling: MakersPoolingOption = None,
    batch: MakersBatchOption = None,
    sample: SampleOption = 64,
    seed: SampleSeedOption = 0,
    minimum_cosine: CosineOption = 0.98,
    repair_starts: Annotated[
        bool, typer.Option(help="Encode the starts of episodes anew if they alone are wrong.")
    ] = False,
) -> None:
    """Take over latents that someone else made, once a sample of them was encoded again and found in its rows."""
    from world_modality.cli.latents import Asked, Check, import_latents

    asked = Asked(encoder, camera, frames, image_size, dtype, batch, pooling)
    check = Check(sample, seed, minimum_cosine, repair_starts)
    print("\n".join(import_latents(file, dataset, output, asked, check)))


@latents.command()
def verify(
    cache: Annotated[Path, typer.Argument(help="Folder of a cache, of ours or an earlier one's, or a .npy file.")],
    dataset: DatasetOption,
    encoder: MakerOption = None,
    camera: MakersCameraOption = None,
    frames: ClipOption = None,
    image_size: MakersSizeOption = None,
    dtype: MakersDtypeOption = None,
    pooling: MakersPoolingOption = None,
    batch: MakersBatchOption = None,
    sample: SampleOption = 64,
    seed: SampleSeedOption = 0,
    minimum_cosine: CosineOption = 0.98,
) -> None:
    """Encode a sample of a cache again and say whether its rows belong to their frames. Exit status 1 if not."""
    from world_modality.cli.latents import Asked, Check, verify_latents

    asked = Asked(encoder, camera, frames, image_size, dtype, batch, pooling)
    print("\n".join(verify_latents(cache, dataset, asked, Check(sample, seed, minimum_cosine, False))))


@latents.command()
def export(
    cache: CacheArgument,
    output: Annotated[Path, typer.Option(help="Folder of caches, in which the dataset has one of its own.")],
    dataset_name: Annotated[str, typer.Option(help="The dataset's hub id, such as HuggingFaceVLA/libero.")],
    split: Annotated[str, typer.Option(help="First part of the file's name.")] = "train",
) -> None:
    """Write a cache as an earlier system's file, with its metadata beside it."""
    from world_modality.latents.exporting import export_cache

    file = export_cache(cache, output, dataset=dataset_name, split=split)
    print(f"latents      {file}")


@latents.command()
def push(
    cache: CacheArgument,
    repository: RepositoryArgument,
    private: Annotated[bool, typer.Option(help="Whether others may not see a new one.")] = False,
) -> None:
    """Publish a cache as a data set of the Hugging Face hub, with a card that says what made it."""
    from world_modality.latents.publishing import push_cache

    print(f"latents      {push_cache(cache, repository, private=private)}")


@latents.command()
def pull(repository: RepositoryArgument, output: OutputOption) -> None:
    """Fetch a cache from the Hugging Face hub. `wm latents verify` says whether it is a dataset's."""
    from world_modality.latents.publishing import pull_cache

    print("\n".join(pull_cache(repository, output)))
