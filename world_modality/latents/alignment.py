"""Does row i of a file hold the latent of frame i? A sample of frames, encoded again, against all rows.

A latent has a large part in common with every other one, so cosines are taken after subtracting the sample's mean. A
frame *matches* if no row of the whole file is closer to its new latent than its own row, up to half of what the minimum
cosine leaves open. Two known ways to go wrong have shapes of their own: a making that was resumed at the wrong frame
leaves rows a constant offset away from their frames, and clips that reach into the previous episode leave every
episode's first rows wrong and all others right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from world_modality.store.keys import keyed_seed

FrameIndices = NDArray[np.int64]
PLACES = ("episode start", "middle", "episode end")
PER_EPISODE = 4  # two starts, one middle, one end
NEIGHBOURS = 8  # rows this close may resemble each other
ROWS_AT_ONCE = 16384  # bounds memory
NUMBERS_AT_ONCE = 1 << 27  # where a row has more than 8192
SAMPLED = 64  # frames that are encoded again
MINIMUM_COSINE = 0.98  # that is taken for the same latent
MINIMUM_SHARE = 0.98  # of the sampled frames have to match: all but one of 64


@dataclass(frozen=True)
class Sample:
    """Frames of a dataset int64 [n], ascending, and the place of each in its episode as an index into ``PLACES``."""

    frames: FrameIndices
    places: NDArray[np.int64]


def choose_frames(starts: FrameIndices, ends: FrameIndices, *, clip: int, count: int, seed: int) -> Sample:
    """A sample of about ``count`` frames, all if there are no more: a function of its arguments alone.

    Args:
        starts, ends: global frame ranges [start, end) of the episodes, int64 [E].
        clip: m; a frame counts as at its episode's start if a clip that ends there would reach over the start.
        count: wanted frames; at least 8.
        seed: which of them.

    The episodes are spread over the dataset, the first and the last among them. Each gives its first frame, another
    one at its start, one from its middle and its last.
    """
    lengths = ends - starts
    early = np.minimum(np.maximum(clip - 1, 1), lengths)  # frames at the start of each episode
    if lengths.sum() <= count:
        chosen = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
    else:
        rng = np.random.default_rng(keyed_seed("alignment", seed))
        episodes = _spread(len(starts), min(len(starts), count // PER_EPISODE), rng)
        picked: set[int] = set()
        for episode in episodes:
            start, length, head = int(starts[episode]), int(lengths[episode]), int(early[episode])
            picked |= {start, start + int(rng.integers(head)), start + length - 1}
            picked.add(start + int(rng.integers(min(head, length - 1), length)))
        more: list[int] = []  # where episodes are few: their other starts, then what lies between
        for low, high in ((starts, starts + early), (starts + early, ends)):
            rest = np.setdiff1d(np.concatenate([np.arange(low[e], high[e]) for e in episodes]), list(picked))
            more += rng.permutation(rest).tolist()
        more = more[: max(0, count - len(picked))]
        chosen = np.array(sorted({*picked, *more}), np.int64)
    episode_of = np.searchsorted(starts, chosen, side="right") - 1
    time = chosen - starts[episode_of]
    places = np.where(time < early[episode_of], 0, np.where(time == lengths[episode_of] - 1, 2, 1))
    return Sample(chosen, places)


def _spread(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """``wanted`` of ``count`` episodes: one from each of as many equal stretches, the first and the last among them."""
    edges = np.linspace(0, count, wanted + 1).astype(int)
    picked = [int(rng.integers(low, high)) for low, high in pairwise(edges.tolist())]
    picked[-1], picked[0] = count - 1, 0
    return picked


@dataclass(frozen=True)
class Alignment:
    """What the comparison found, per sampled frame [n]."""

    sample: Sample
    own: NDArray[np.float64]  # cosine between the new latent and the frame's row
    best: NDArray[np.float64]  # the highest cosine with any row of the file
    located: FrameIndices  # the row that has it; the frame's own if that is as good
    twins: FrameIndices  # another row with the very content of the frame's own one, -1 if there is none
    minimum_cosine: float

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Which frames match, bool [n]."""
        return self.own >= self.best - (1 - self.minimum_cosine) / 2

    @property
    def offset(self) -> int:
        """The most frequent number of rows between a frame's own row and the one that is closest to its latent."""
        values, counts = np.unique(self.located - self.sample.frames, return_counts=True)
        return int(values[counts.argmax()])

    def lines(self) -> list[str]:
        """A small table for people."""
        groups = [(name, self.sample.places == place) for place, name in enumerate(PLACES)]
        lines = [f"{'frames':<16}{'matched':>10}{'median cosine':>16}{'lowest':>9}"]
        for name, rows in [*groups, ("all", np.ones(len(self.own), bool))]:
            if rows.any():
                matched = f"{int(self.matched[rows].sum())}/{int(rows.sum())}"
                lines.append(f"{name:<16}{matched:>10}{np.median(self.own[rows]):>16.4f}{self.own[rows].min():>9.4f}")
        away = self.located - self.sample.frames
        at = int((away == self.offset).sum())
        return [*lines, f"closest row at an offset of {self.offset} for {at} of {len(away)} frames"]

    def only_starts_fail(self) -> bool:
        """Whether every episode start is suspect and nothing else is."""
        at_start = self.sample.places == 0
        rest_is_right = _enough(self.matched[~at_start]) and self._median(~at_start) >= self.minimum_cosine
        return self.offset == 0 and bool((~at_start).any()) and rest_is_right and not self._starts_are_right()

    def problem(self) -> str | None:
        """Why the file cannot be trusted, a clause for a sentence; None if it can."""
        median = float(np.median(self.own))
        if self.offset == 0 and _enough(self.matched) and self._starts_are_right() and median >= self.minimum_cosine:
            return None
        if self.only_starts_fail():
            return "its rows at episodes' starts are wrong and all others right: clips reached into the episode before"
        moved = self._moved()
        if moved is not None:
            return moved
        if median >= self.minimum_cosine:
            return f"{int((~self.matched).sum())} of {len(self.own)} sampled frames do not match their rows, nor others"
        return (
            f"its rows resemble no latents of this encoder (median cosine {median:.3f}): another encoder, camera, clip "
            "length or preprocessing made it, or they were cut in time from encodings of longer clips"
        )

    def _displacements(self) -> tuple[FrameIndices, FrameIndices]:
        """Sampled frames whose latents lie in other rows, and how many rows too late each was written."""
        found = (self.located != self.sample.frames) & (self.best >= self.minimum_cosine)
        copied = ~self.matched & ~found & (self.twins >= 0)
        late = np.where(found, self.located - self.sample.frames, self.sample.frames - self.twins)
        return self.sample.frames[found | copied], late[found | copied]

    def _moved(self) -> str | None:
        """Where rows lie that do not lie where they belong; None if that cannot be told."""
        frames, away = self._displacements()
        if not away.size:
            return None
        values, counts = np.unique(away, return_counts=True)
        offset = int(values[counts.argmax()])
        first = int(frames[away == offset][0])
        if counts.max() > (self.sample.frames >= first).sum() / 2:
            side = "before" if offset > 0 else "after"
            return f"from about row {first} on, its rows belong to the frames {abs(offset)} {side} them"
        if np.median(np.abs(away)) > NEIGHBOURS:
            return f"{len(away)} of {len(self.own)} sampled frames have their latents in rows of other frames"
        return None

    def _starts_are_right(self) -> bool:
        at_start = self.sample.places == 0
        return bool(_enough(self.matched[at_start])) and self._median(at_start) >= self.minimum_cosine

    def _median(self, rows: NDArray[np.bool_]) -> float:
        return float(np.median(self.own[rows])) if rows.any() else 1.0


def _enough(matched: NDArray[np.bool_]) -> bool:
    return bool(matched.mean() >= MINIMUM_SHARE) if matched.size else True


def compare(
    encoded: NDArray[np.float16], rows: NDArray[np.float16], sample: Sample, *, minimum_cosine: float
) -> Alignment:
    """Compare latents ``encoded`` [n, P, D] of the sample's frames with all ``rows`` [N, P, D] of a file."""
    encoded, rows = encoded.reshape(len(encoded), -1), rows.reshape(len(rows), -1)
    centre = encoded.astype(np.float32).mean(axis=0)
    wanted = _directions(encoded, centre)
    own = np.einsum("nd,nd->n", wanted, _directions(rows[sample.frames], centre)).astype(np.float64)
    best, located = own.copy(), sample.frames.copy()
    step = rows_at_once(rows.shape[1], ROWS_AT_ONCE)
    for first in range(0, len(rows), step):
        cosines = wanted @ _directions(rows[first : first + step], centre).T
        place = cosines.argmax(axis=1)
        found = cosines[np.arange(len(wanted)), place].astype(np.float64)
        better = found > best + 1e-6  # the same row's cosine, summed in another order, is not better
        best[better], located[better] = found[better], first + place[better]
    return Alignment(sample, own, best, located, _twins(rows, sample.frames), minimum_cosine)


def rows_at_once(width: int, most: int) -> int:
    """How many rows of so many numbers are looked at together, at most ``most``."""
    return max(1, min(most, NUMBERS_AT_ONCE // width))


def _twins(rows: NDArray[np.float16], frames: FrameIndices) -> FrameIndices:
    """For each of ``frames``, the first other row that equals its row bit for bit, or -1."""
    own = np.ascontiguousarray(rows[frames])
    heads = own[:, :4].copy().view(np.uint64)[:, 0]  # eight bytes tell nearly all rows apart
    twins = np.full(len(frames), -1, np.int64)
    step = rows_at_once(rows.shape[1], ROWS_AT_ONCE)
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        theirs = part[:, :4].copy().view(np.uint64)[:, 0]
        for i in np.flatnonzero(twins < 0):
            for row in np.flatnonzero(theirs == heads[i]):
                if first + row != frames[i] and np.array_equal(part[row], own[i]):
                    twins[i] = first + row
                    break
    return twins


def _directions(latents: NDArray[np.float16], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """Episode vectors float32 [n, D] from ``centre`` to the latents; zero for a latent that lies on it."""
    away = latents.astype(np.float32) - centre
    length = np.linalg.norm(away, axis=1, keepdims=True)
    directions: NDArray[np.float32] = np.divide(away, length, out=np.zeros_like(away), where=length > 0)
    return directions
