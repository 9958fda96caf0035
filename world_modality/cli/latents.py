"""`wm latents encode`, `import` and `verify`: a cache without a study, made, taken over, checked."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from world_modality.encoders.resolve import ResolvedEncoder, resolve_encoder
from world_modality.errors import UserError
from world_modality.latents.cache import DESCRIPTION
from world_modality.latents.earlier_cache import LATENTS, claimed, find_published
from world_modality.latents.reader import read_description
from world_modality.store.files import new_folder, write_json
from world_modality.store.progress import Progress
from world_modality.study.specs import EncoderSpec, LatentsSpec

SPEC = "spec.json"
CAMERA, FRAMES, BATCH, POOLING, DTYPE = "image", 4, 4, "mean", "float32"
"""How frames become latents where nothing says it."""


@dataclass(frozen=True)
class Clips:
    """How frames become latents, as given on a command line."""

    encoder: str
    camera: str
    frames: int | None
    image_size: int | None
    dtype: str
    batch: int = BATCH
    pooling: str = POOLING

    def given(self, frames: int | None = None) -> ResolvedEncoder:
        """The encoder of clips of so many ``frames``, unless they are given; UserError if there is none."""
        clip = self.frames or frames or FRAMES
        found = resolve_encoder(
            self.encoder, frames=clip, image_size=self.image_size, dtype=self.dtype, pooling=self.pooling
        )
        return replace(found, spec=found.spec.model_copy(update={"batch": self.batch}))


@dataclass(frozen=True)
class Asked:
    """What a command line says of how frames became a cache's latents; None where the cache is to say it."""

    encoder: str | None
    camera: str | None
    frames: int | None
    image_size: int | None
    dtype: str | None
    batch: int | None = None
    pooling: str | None = None


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


def import_latents(file: Path, dataset: Path, output: Path, asked: Asked, check: Check) -> list[str]:
    """Take over a published file if its rows are where they belong; lines that say what was found.

    ``file`` may be a folder of ours, which says what made it, or an earlier cache's folder of a dataset; its file's
    name and metadata say how long its clips are. The table of what was compared is printed before a refusal too.

    Raises:
        UserError: ``output`` exists, or the file is not what it is, or says itself, to be.
    """
    _require_new(output)
    file = find_published(file)
    camera, given = _maker(file, asked)
    import torch

    from world_modality.latents.importing import Import, Source

    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Import(Source(file, dataset, camera, given), device)
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


def verify_latents(cache: Path, dataset: Path, asked: Asked, check: Check) -> list[str]:
    """Compare a sample of a cache's rows with what its encoder makes of their frames; lines that say what was found.

    ``cache`` is a folder of ours, which says what made it, an earlier cache's folder of a dataset, or a file.

    Raises:
        UserError: the rows do not belong to their frames, or cannot be a cache of this dataset and encoder.
    """
    from world_modality.latents.importing import Import, Source

    file = find_published(cache)
    camera, given = _maker(file, asked)
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Import(Source(file, dataset, camera, given), device)
    alignment = work.check(
        count=check.sample, seed=check.seed, minimum_cosine=check.minimum_cosine, progress=Progress("check")
    )
    print("\n".join(alignment.lines()))
    if problem := alignment.problem():
        raise UserError(f"{file}: {problem}")
    return [f"latents      {file}: every row is a latent, and the sampled ones are those of their frames"]


def _maker(file: Path, asked: Asked) -> tuple[str, ResolvedEncoder]:
    """The camera and the encoder that made a file of latents, as asked for or else as a cache of ours says."""
    said = read_description(file.parent) if file.name == LATENTS and (file.parent / DESCRIPTION).is_file() else None
    if said is None:
        if asked.encoder is None:
            raise UserError(f"{file} does not say which encoder made it: give --encoder")
        claim = claimed(file)
        clips = Clips(
            asked.encoder,
            asked.camera or CAMERA,
            asked.frames,
            asked.image_size,
            asked.dtype or DTYPE,
            asked.batch or BATCH,
            asked.pooling or claim.pooling or POOLING,
        )
        return clips.camera, clips.given(claim.frames)
    spec = EncoderSpec.model_validate(said["encoder"])
    if asked.encoder is None and spec.source != "hub":
        raise UserError(f"the encoder that made {file} was no model of the hub: give its folder as --encoder")
    found = resolve_encoder(
        asked.encoder or f"{spec.name}@{spec.revision}",
        frames=asked.frames or spec.frames,
        image_size=asked.image_size or spec.image_size,
        dtype=asked.dtype or spec.dtype,
        pooling=asked.pooling or spec.pooling,
    )
    own = replace(found, spec=found.spec.model_copy(update={"batch": asked.batch or spec.batch}))
    return asked.camera or str(said["camera"]), own


def _require_new(output: Path) -> None:
    """UserError if there is something already, told before hours of work."""
    if output.exists():
        raise UserError(f"{output} exists already and is never overwritten: name a new folder, or remove that one")


def _next(output: Path) -> str:
    return f"next         lerobot-wm-train --policy.world_latents={output} ..."
