"""Take over a published file of latents as a cache, after a sample of its rows was encoded again and compared."""

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
from world_modality.encoders.clips import clip_rows
from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.resolve import ResolvedEncoder
from world_modality.latents.alignment import Alignment, Sample, choose_frames, compare
from world_modality.latents.cache import write_cache
from world_modality.latents.published import claimed, open_published
from world_modality.store.files import file_digest, write_json
from world_modality.store.machine import versions
from world_modality.store.progress import Progress

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Source:
    """A published file, and what it is said to have been made from."""

    file: Path
    dataset: Path
    camera: str
    given: ResolvedEncoder


class Import:
    """A published file beside its dataset and encoder; ``check`` compares them, ``write`` takes the file over."""

    def __init__(self, source: Source, device: str = "cpu") -> None:
        """Open all three and look at every row of the file.

        Raises:
            UserError: the dataset has no such camera, or the file cannot be latents of it (``open_published``), or says
                by its name or metadata that it is none.
        """
        self.source = source
        self.reader = FrameReader(source.dataset, source.camera)
        spec = source.given.spec
        claimed(source.file).require(
            kind=spec.kind,
            frames=spec.frames,
            pooling=spec.pooling,
            rows=self.reader.table.frames,
            dim=source.given.dim,
        )
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

    def write(self, folder: Path, alignment: Alignment, *, repair_starts: bool, facts: dict[str, Any]) -> None:
        """Fill the empty ``folder`` with the cache, as the latents stage would, and with what is known of its origin.

        With ``repair_starts`` the rows whose clips reach over an episode's start are encoded anew.
        """
        with threadpool_limits(1):  # as in the stage, so that equal rows give equal statistics
            write_cache(
                folder,
                self._episodes(repair_starts),
                (self.table.frames, self.source.given.tokens, self.source.given.dim),
                camera=self.source.camera,
                encoder=self.source.given.spec,
                dataset_fingerprint=dataset_fingerprint(self.source.dataset),
            )
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
            encoded[mine] = self._latents(self.reader.episode(int(episode)), times)
            done += len(mine)
            progress.update(done, len(encoded), "frames encoded again")
        return encoded

    def _latents(self, video: NDArray[np.uint8], times: NDArray[np.int64]) -> NDArray[np.float16]:
        """Latents [n, P, D] of an episode's clips that end at ``times``; only the frames they need are prepared."""
        rows = clip_rows(times, self.source.given.spec.frames)
        needed, where = np.unique(rows, return_inverse=True)
        prepared = self._encoder.prepare(video[needed])
        return self._encoder.encode_prepared(prepared, where.reshape(rows.shape)).astype(np.float16)

    def _episodes(self, repair_starts: bool) -> Iterator[NDArray[np.float16]]:
        reach = self.source.given.spec.frames - 1
        for episode, (start, end) in enumerate(zip(self.table.starts, self.table.ends, strict=True)):
            latents = np.array(self.rows[start:end])
            if repair_starts and reach and episode:
                times = np.arange(min(reach, len(latents)))
                latents[times] = self._latents(self.reader.episode(episode), times)
            yield latents
