"""`wm encode-latents` and `wm import-latents`: a latent cache without a study, made here or taken over from a file."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.encoders.resolve import ResolvedEncoder, resolve_encoder
from world_modality.errors import UserError
from world_modality.store.files import new_folder, write_json
from world_modality.store.progress import Progress
from world_modality.study.specs import LatentsSpec

SPEC = "spec.json"
FRAMES = 4  # of a clip, if nothing says how many


@dataclass(frozen=True)
class Clips:
    """How frames become latents, as given on a command line."""

    encoder: str
    camera: str
    frames: int | None
    image_size: int | None
    dtype: str

    def given(self, frames: int | None = None) -> ResolvedEncoder:
        """The encoder of clips of so many ``frames``, unless they are given; UserError if there is none."""
        clip = self.frames or frames or FRAMES
        return resolve_encoder(self.encoder, frames=clip, image_size=self.image_size, dtype=self.dtype)


def encode_latents(dataset: Path, output: Path, clips: Clips, cores: int) -> list[str]:
    """Encode a dataset as the latents stage of a study would; lines that say what was made.

    Finished episodes survive a crash in ``<output>.work``, and the same command goes on from there.

    Raises:
        UserError: ``output`` exists, the work of another encoding is in the way, or dataset and encoder do not fit.
    """
    _require_new(output)
    from world_modality.data.episodes import dataset_fingerprint
    from world_modality.latents.stage import run
    from world_modality.store.stage import StageContext

    given = clips.given()
    spec = LatentsSpec(encoder=given.spec, camera=clips.camera, dtype="float16")
    work = output.with_name(f"{output.name}.work")
    _require_same_work(work, {**spec.address(), "dataset": dataset_fingerprint(dataset)})
    inputs = {"dataset": (dataset,), "encoder": (given.folder,)}
    with new_folder(output) as draft:
        facts = run(spec, StageContext("", draft, work, work, inputs, Progress("encode"), cores))
    shutil.rmtree(work)
    return [f"latents      {output}: {facts['frames']} frames, {facts['dim']} numbers each", _next(output)]


def _require_same_work(work: Path, spec: dict[str, Any]) -> None:
    """Note what the work in ``work`` is for; UserError if it was for something else."""
    file = work / SPEC
    if file.is_file() and json.loads(file.read_text()) != spec:
        raise UserError(f"{work} holds the unfinished work of another encoding: finish that one, or remove the folder")
    work.mkdir(parents=True, exist_ok=True)
    write_json(file, spec)


@dataclass(frozen=True)
class Check:
    """How closely a published file is looked at."""

    sample: int
    seed: int
    minimum_cosine: float
    repair_starts: bool


def import_latents(file: Path, dataset: Path, output: Path, clips: Clips, check: Check) -> list[str]:
    """Take over a published file if its rows are where they belong; lines that say what was found.

    ``file`` may be an earlier cache's folder of a dataset; its file's name and metadata say how long its clips are. The
    table of what was compared is printed before a refusal too.

    Raises:
        UserError: ``output`` exists, or the file is not what it is, or says itself, to be.
    """
    _require_new(output)
    from world_modality.latents.earlier_cache import claimed, find_published

    file = find_published(file)
    import torch

    from world_modality.latents.importing import Import, Source

    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Import(Source(file, dataset, clips.camera, clips.given(claimed(file).frames)), device)
    alignment = work.check(
        count=check.sample, seed=check.seed, minimum_cosine=check.minimum_cosine, progress=Progress("check")
    )
    print("\n".join(alignment.lines()))
    repair = check.repair_starts and alignment.only_starts_fail()
    problem = None if repair else alignment.problem()
    if problem is not None:
        hint = "; --repair-starts encodes those anew" if alignment.only_starts_fail() else ""
        raise UserError(f"{file} is not taken over: {problem}{hint}")
    facts = {"sample": check.sample, "seed": check.seed, "minimum_cosine": check.minimum_cosine}
    with new_folder(output) as draft:
        work.write(draft, repair_starts=repair)
        work.write_provenance(draft, alignment, repair_starts=repair, facts=facts)
    repaired = ", the starts of episodes encoded anew" if repair else ""
    return [
        f"latents      {output}: {len(work.rows)} frames, {work.source.given.dim} numbers each{repaired}",
        _next(output),
    ]


def _require_new(output: Path) -> None:
    """UserError if there is something already, told before hours of work."""
    if output.exists():
        raise UserError(f"{output} exists already and is never overwritten: name a new folder, or remove that one")


def _next(output: Path) -> str:
    return f"next         lerobot-wm-train --policy.world_latents={output} ..."
