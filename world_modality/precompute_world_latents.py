"""``python -m world_modality.precompute_world_latents``: an earlier program's flags for `wm latents encode`.

It leaves ``<cache_dir>/<dataset>/<split>_world_latents_<source>[_m<frames>].fp16.npy``, and goes on where a run with
the same flags was ended. In a study several machines can share the work (`wm join`).
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.earlier_programs import (
    DINO,
    VJEPA,
    add_encoding,
    clips_of,
    parser,
    place,
    require_same,
    run,
    use_device,
)
from world_modality.errors import UserError
from world_modality.latents.earlier_cache import KINDS, earlier_name

DEFAULTS = {"vjepa": VJEPA, "dino": DINO}
"""The encoder of each source, where none is named."""


def latents_parser(program: str, about: str) -> argparse.ArgumentParser:
    """The earlier flags with their defaults, but for camera names: an image key is a feature of the dataset."""
    flags = parser(program, about)
    add_encoding(flags, model=None, about_model=f"folder or hub id; by default {VJEPA}, of source dino {DINO}")
    flags.add_argument("--world_latents_source", choices=tuple(KINDS), default="vjepa")
    flags.add_argument("--vjepa_checkpoint", default="", help="not read: give a model folder as --vision_model_name")
    return flags


@dataclass(frozen=True)
class Places:
    """Where an encoding begins and ends."""

    dataset: Path
    name: str
    """The dataset's in the cache."""
    file: Path

    @classmethod
    def of(cls, flags: argparse.Namespace) -> Places:
        """Of a command line; UserError if there is no such dataset."""
        dataset, name = place(flags)
        file = earlier_name(flags.split, flags.world_latents_source, flags.temporal_window)
        return cls(dataset, name, flags.cache_dir / name / file)

    @property
    def made(self) -> Path:
        """The finished cache that the file is written from."""
        return self.file.with_name(f".{self.file.name.removesuffix('.npy')}")

    @property
    def work(self) -> Path:
        """What is finished of that cache."""
        return self.made.with_name(f"{self.made.name}.work")


def precompute(flags: argparse.Namespace) -> Iterator[str]:
    """Encode the dataset, or what is missing of it, and say where its file is.

    Raises:
        UserError: there is such a file already, or dataset, encoder and flags do not fit.
    """
    from world_modality.cli.latents import encode_latents
    from world_modality.latents.exporting import export_cache

    if flags.vjepa_checkpoint:
        raise UserError("--vjepa_checkpoint: TorchScript files are not read: give a model folder --vision_model_name")
    use_device(flags.device)
    places = Places.of(flags)
    if places.file.exists():
        raise UserError(
            f"{places.file} exists already and is never overwritten: remove it, or name another --cache_dir"
        )
    model = flags.vision_model_name or DEFAULTS[flags.world_latents_source]
    _require_family(model, flags.world_latents_source)
    clips = clips_of(flags, model)
    if not flags.resume:
        for folder in (places.work, places.made):
            shutil.rmtree(folder, ignore_errors=True)
    if places.made.is_dir():  # a run was killed while it wrote the file
        require_same(places.made, places.dataset, clips, instead="give the same flags as then, or --no-resume")
    else:
        encode_latents(places.dataset, places.made, clips, flags.num_workers)
    written = export_cache(places.made, flags.cache_dir, dataset=places.name, split=flags.split)
    shutil.rmtree(places.made)
    yield f"latents      {written}"


def _require_family(model: str, source: str) -> None:
    """UserError unless ``model`` is of the family that ``--world_latents_source`` means: the file's name says it."""
    from world_modality.data.hub import ENCODER
    from world_modality.encoders.resolve import read_model_config
    from world_modality.facts.encoders import family_of
    from world_modality.store.hub import find_folder

    folder, _ = find_folder(model, patterns=ENCODER.patterns)
    family = family_of(read_model_config(folder))
    if family is not None and family.name != KINDS[source]:
        others = [name for name, kind in KINDS.items() if kind == family.name]
        hint = f"give --world_latents_source {others[0]}" if others else "`wm latents encode` takes it"
        raise UserError(
            f"--world_latents_source {source} means a {KINDS[source]}, and {model} is a {family.name}: {hint}"
        )


def main(given: Sequence[str] | None = None) -> None:
    """Parse, encode, tell."""
    flags = latents_parser("precompute_world_latents", "Encode every frame of a dataset, into the earlier layout.")
    flags.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    run(flags, precompute, given)


if __name__ == "__main__":
    main()
