"""Take over a file of latents that someone else made as a cache, one row per frame of a dataset.

It is doubted before it is used: every row is looked at, and a sample of them is encoded again and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from world_modality.data.episodes import EpisodeTable, dataset_fingerprint
from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import Encoder, clip_rows, load_encoder
from world_modality.encoders.resolve import ResolvedEncoder
from world_modality.errors import UserError
from world_modality.latents.alignment import ROWS_AT_ONCE, Alignment, Sample, choose_frames, compare, rows_at_once
from world_modality.latents.cache import write_cache
from world_modality.latents.earlier_cache import claimed
from world_modality.latents.shards import cut
from world_modality.store.files import file_digest, write_json
from world_modality.store.machine import versions
from world_modality.store.progress import Progress

PROVENANCE = "provenance.json"


def open_published(file: Path, *, frames: int, tokens: int, dim: int) -> NDArray[np.float16]:
    """The file's rows, float16 [frames, tokens, dim], memory-mapped and read-only, after every row was looked at.

    Args:
        file: a ``.npy`` file of that shape; of pooled latents, whose one token has no axis, [frames, dim].
        frames: of the dataset.
        tokens: that stand for a frame,
        dim: and numbers of each, by the encoder that is said to have made it.

    Raises:
        UserError: it has another type or shape, or rows that no encoder gives: not finite, all zero, constant.
    """
    try:
        rows: NDArray[np.float16] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} is not a .npy file that can be read ({error}): download it again") from error
    if rows.dtype != np.float16:
        raise UserError(f"{file} holds {rows.dtype}, not float16: convert it only if you know what made it")
    known = [(frames, tokens, dim), *([(frames, dim)] if tokens == 1 else [])]
    if rows.shape not in known:
        raise UserError(
            f"{file} is {list(rows.shape)}, but the dataset has {frames} frames and the encoder's latents "
            f"{f'{tokens} tokens of ' if tokens > 1 else ''}{dim} "
            "numbers: give the dataset and the encoder that it was made from"
        )
    flat = rows.reshape(frames, -1)
    _require_latents(file, flat)
    return flat.reshape(frames, tokens, dim)


def _require_latents(file: Path, rows: NDArray[np.float16]) -> None:
    unwritten: list[int] = []
    step = rows_at_once(rows.shape[1], ROWS_AT_ONCE)
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        infinite = ~np.isfinite(part).all(axis=1)
        if infinite.any():
            raise UserError(f"{file}: row {first + int(infinite.argmax())} is not finite: make the file again")
        constant = part.max(axis=1) == part.min(axis=1)
        zero = constant & (part[:, 0] == 0)
        if (constant & ~zero).any():
            row = first + int((constant & ~zero).argmax())
            raise UserError(f"{file}: row {row} holds the same number {part.shape[1]} times: make the file again")
        unwritten += (first + np.flatnonzero(zero)).tolist()
    if unwritten:
        tail = unwritten == list(range(unwritten[0], len(rows)))
        raise UserError(
            f"{file}: {len(unwritten)} rows are all zero, "
            + (f"all from row {unwritten[0]} on: its making was cut short" if tail else f"first row {unwritten[0]}")
            + "; make the file again"
        )


@dataclass(frozen=True)
class Source:
    """A published file, and what it is said to have been made from."""

    file: Path
    dataset: Path
    camera: str
    given: ResolvedEncoder


class Import:
    """A published file beside its dataset and encoder; ``check`` compares them, ``write`` takes the file over."""

    def __init__(self, source: Source, device: str = "cpu", *, renamed: bool = False) -> None:
        """Open all three and look at every row of the file.

        Args:
            source: the file and what it is said to be from.
            device: of the encoder.
            renamed: the dataset may be a copy whose features have other names. So the camera's name and the dataset's
                fingerprint, which a cache of ours says, may be others.

        Raises:
            UserError: the dataset has no such camera, or the file cannot be latents of it (``open_published``), or says
                by its name or metadata that it is none.
        """
        self.source = source
        self.reader = FrameReader(source.dataset, source.camera)
        spec, said = source.given.spec, claimed(source.file)
        said.require(
            kind=spec.kind,
            frames=spec.frames,
            pooling=spec.pooling,
            rows=self.reader.table.frames,
            dim=source.given.dim,
        )
        said.require_encoder(spec)
        if not renamed:
            said.require_dataset(camera=source.camera, dataset=dataset_fingerprint(source.dataset))
        self.rows = open_published(
            source.file, frames=self.reader.table.frames, tokens=source.given.tokens, dim=source.given.dim
        )
        self._encoder: Encoder = load_encoder(source.given.spec, source.given.folder, device)

    @property
    def table(self) -> EpisodeTable:
        """The dataset's episodes."""
        return self.reader.table

    def check(self, *, count: int, seed: int, minimum_cosine: float, progress: Progress) -> Alignment:
        """Encode about ``count`` frames again and compare them with the file."""
        clip = self.source.given.spec.frames
        sample = choose_frames(self.table.starts, self.table.ends, clip=clip, count=count, seed=seed)
        return compare(self._encode(sample, progress), self.rows, sample, minimum_cosine=minimum_cosine)

    def write(self, folder: Path, *, repair_starts: bool = False) -> None:
        """Fill the empty ``folder`` with the cache, as the latents stage would.

        With ``repair_starts`` the rows whose clips reach over an episode's start are encoded anew.
        """
        with threadpool_limits(1):  # as in the stage, so that equal rows give equal statistics
            write_cache(
                folder,
                self._parts(repair_starts),
                (self.table.frames, self.source.given.tokens, self.source.given.dim),
                camera=self.source.camera,
                encoder=self.source.given.spec,
                dataset_fingerprint=dataset_fingerprint(self.source.dataset),
            )

    def write_provenance(
        self, folder: Path, alignment: Alignment, *, repair_starts: bool, facts: dict[str, Any]
    ) -> None:
        """Put beside the cache what is known of its origin."""
        provenance = {
            "file": self.source.file.name,
            "sha256": file_digest(self.source.file),
            "sampled_frames": len(alignment.own),
            "matched": int(alignment.matched.sum()),
            "median_cosine": round(float(np.median(alignment.own)), 6),
            "table": alignment.lines(),
            "starts_encoded_anew": repair_starts,
            **facts,
            "versions": versions(),
        }
        write_json(folder / PROVENANCE, provenance)

    def _encode(self, sample: Sample, progress: Progress) -> NDArray[np.float16]:
        """New latents [n, P, D] of the sample's frames."""
        episode_of = np.searchsorted(self.table.starts, sample.frames, side="right") - 1
        encoded = np.empty((len(sample.frames), *self.rows.shape[1:]), np.float16)
        done = 0
        progress.update(0, len(encoded), "frames encoded again")
        for episode in np.unique(episode_of):
            mine = np.flatnonzero(episode_of == episode)
            times = sample.frames[mine] - self.table.starts[episode]
            encoded[mine] = self._latents(int(episode), times)
            done += len(mine)
            progress.update(done, len(encoded), "frames encoded again")
        return encoded

    def _latents(self, episode: int, times: NDArray[np.int64]) -> NDArray[np.float16]:
        """Latents [n, P, D] of an episode's clips that end at ``times``; only the frames they need are prepared."""
        rows = clip_rows(times, self.source.given.spec.frames)
        needed, where = np.unique(rows, return_inverse=True)
        prepared = self._encoder.prepare(self._frames(episode, needed))
        return self._encoder.encode_prepared(prepared, where.reshape(rows.shape)).astype(np.float16)

    def _frames(self, episode: int, steps: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames of an episode, decoded run by run: those between that no clip needs may be many."""
        runs = np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1)
        return np.concatenate([self.reader.between(episode, int(run[0]), int(run[-1]) + 1) for run in runs])

    def _parts(self, repair_starts: bool) -> Iterator[NDArray[np.float16]]:
        """The rows in the stage's stretches."""
        reach = self.source.given.spec.frames - 1
        for stretch in cut(self.table):
            latents = np.array(self.rows[stretch.start + stretch.first : stretch.start + stretch.end])
            if repair_starts and reach and stretch.episode and not stretch.first:
                times = np.arange(min(reach, len(latents)))
                latents[times] = self._latents(stretch.episode, times)
            yield latents
