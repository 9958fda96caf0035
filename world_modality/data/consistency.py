"""Is a dataset at one with itself: do its times fit its rate, and do its videos hold the episodes that they should?

LeRobot finds an episode's pictures in a shared video file by time alone. Where a time is wrong it takes another
episode's pictures without a word, or fails when it comes to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from world_modality.data.description import EPISODES, INFO, TASKS, Description, Row
from world_modality.errors import UserError, in_one_line

TIMESTAMP, FRAME_INDEX, EPISODE_INDEX, INDEX = "timestamp", "frame_index", "episode_index", "index"
SLACK = 0.5  # of a frame


class Fault(NamedTuple):
    """What is wrong with a dataset."""

    where: str
    """The file, relative to the dataset's root."""
    message: str


@dataclass(frozen=True)
class Recording:
    """A video file, as its head says."""

    seconds: float
    width: int
    height: int


def require_in_step(description: Description, column: str) -> None:
    """UserError if the times of a dataset's frames or the pictures of ``column`` are not where it says."""
    faults = [*frame_faults(description)]
    if not faults and column in description.videos:
        faults = [*video_faults(description, column)]
    for fault in faults:
        raise UserError(f"the dataset in {description.root}: {fault.where}: {fault.message}")


def bound_faults(description: Description) -> Iterator[Fault]:
    """Whether the episodes cover all frames one after the other."""
    rows, frames = description.rows, int(description.info.get("total_frames") or 0)
    starts = np.array([row["dataset_from_index"] for row in rows], np.int64)
    ends = np.array([row["dataset_to_index"] for row in rows], np.int64)
    empty = np.flatnonzero(starts >= ends)
    if empty.size:
        yield Fault(EPISODES, f"episode {empty[0]} has no frames: leave it out, and build the dataset again")
    elif starts[0] != 0 or (starts[1:] != ends[:-1]).any() or ends[-1] != frames:
        yield Fault(
            EPISODES,
            f"the episode bounds do not cover its {frames} frames one after the other: the metadata is damaged, fetch "
            "or build the dataset again",
        )
    else:
        yield from _numbering_faults(rows, ends - starts)


def _numbering_faults(rows: Sequence[Row], lengths: NDArray[np.int64]) -> Iterator[Fault]:
    """Whether episodes are numbered as they follow each other: LeRobot looks an episode up by its number."""
    for number, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        said, told = row.get(EPISODE_INDEX, number), row.get("length", length)
        if said != number:
            yield Fault(
                EPISODES,
                f"episode {number} in the order of frames has {EPISODE_INDEX} {said}: LeRobot would give its frames "
                "another episode's actions; number the episodes from 0 on, or build the dataset again",
            )
            return
        if told != length:
            yield Fault(
                EPISODES,
                f"episode {number} has length {told}, and its bounds hold {length} frames: the metadata is damaged, "
                "fetch or build the dataset again",
            )
            return


def column_faults(description: Description) -> Iterator[Fault]:
    """Whether the tables have a column for every feature that is no video."""
    wanted = [name for name in description.features if name not in description.videos]
    for file in dict.fromkeys(map(description.data_file, range(len(description.rows)))):
        there = description.names_in(file)
        lacking, more = [each for each in wanted if each not in there], [each for each in there if each not in wanted]
        if lacking:
            other = f"; it has {', '.join(more)}, which meta/info.json does not name" if more else ""
            yield Fault(
                file, f"there is no column {lacking[0]}{other}: name it alike in both, or build the dataset again"
            )
            return


def frame_faults(description: Description) -> Iterator[Fault]:
    """Whether the rows are those that the episode table promises, at the rate of ``meta/info.json``."""
    columns = description.columns(EPISODE_INDEX, FRAME_INDEX, INDEX, TIMESTAMP)
    index, time = columns[INDEX].astype(np.int64), columns[TIMESTAMP].astype(np.float64)
    episodes = columns[EPISODE_INDEX].astype(np.int64)
    for number, row in enumerate(description.rows):
        start, end = int(row["dataset_from_index"]), int(row["dataset_to_index"])
        own = slice(start, end)
        if not np.array_equal(index[own], np.arange(start, end)):
            yield Fault(
                description.data_file(number),
                f"episode {number} in it does not hold frames {start} to {end - 1} in order, as its metadata says: "
                "the dataset is damaged, fetch or build it again",
            )
            return
        if (episodes[own] != number).any():
            other = int(episodes[own][episodes[own] != number][0])
            yield Fault(
                description.data_file(number),
                f"frames of episode {number} in it say {EPISODE_INDEX} {other}: the dataset is damaged, fetch or build "
                "it again",
            )
            return
        if not np.array_equal(columns[FRAME_INDEX][own], np.arange(end - start)):
            yield Fault(
                description.data_file(number),
                f"{FRAME_INDEX} of episode {number} in it does not count from 0 to {end - start - 1}: the dataset is "
                "damaged, fetch or build it again",
            )
            return
        fault = _rate_fault(description, number, time[own])
        if fault is not None:
            yield fault
            return


def _rate_fault(description: Description, number: int, time: NDArray[np.float64]) -> Fault | None:
    """Whether an episode's times are 0, 1, 2 ... frames."""
    fps = description.fps
    wrong = np.flatnonzero(np.abs(time * fps - np.arange(len(time))) > SLACK)
    if not wrong.size:
        return None
    gaps = np.diff(time)
    if gaps.size and np.ptp(gaps) < SLACK / fps and gaps.mean() > 0 and abs(time[0]) < SLACK / fps:
        return Fault(
            INFO,
            f"fps is {fps:g}, but the frames of {description.data_file(number)} are {gaps.mean():g} s apart, so "
            f"{1 / gaps.mean():g} per second: set the right one",
        )
    at = int(wrong[0])
    return Fault(
        description.data_file(number),
        f"frame {at} of episode {number} is at {time[at]:g} s, not at {at / fps:g} s as {fps:g} frames per second ask: "
        "the dataset is damaged, or lacks frames, build it again",
    )


def video_faults(description: Description, column: str) -> Iterator[Fault]:
    """Whether every episode's pictures lie in its video file, and are no other episode's."""
    fps = description.fps
    by_file: dict[str, list[tuple[float, float, int]]] = {}
    for number, row in enumerate(description.rows):
        stretch = description.stretch(number, column)
        frames = int(row["dataset_to_index"]) - int(row["dataset_from_index"])
        by_file.setdefault(stretch.file, []).append((stretch.start, stretch.start + frames / fps, number))
    for file, stretches in by_file.items():
        try:
            recording = read_recording(description, file)
        except UserError as error:
            yield Fault(file, str(error))
            continue
        ordered = sorted(stretches)
        for (_, end, before), (start, _, number) in pairwise(ordered):
            if start * fps < end * fps - SLACK:
                yield Fault(
                    file,
                    f"the pictures of episode {number} are said to begin at {start:g} s, where those of episode "
                    f"{before} last until {end:g} s: the times in {EPISODES} are wrong, build the dataset again",
                )
        first, last = ordered[0], max(ordered, key=lambda each: each[1])
        if first[0] * fps < -SLACK:
            yield Fault(
                file, f"the pictures of episode {first[2]} are said to begin at {first[0]:g} s, before the file"
            )
        if last[1] * fps > recording.seconds * fps + SLACK:
            yield Fault(
                file,
                f"the pictures of episode {last[2]} are said to last until {last[1]:g} s, but the file ends at "
                f"{recording.seconds:g} s: it is cut short or the times in {EPISODES} are wrong, fetch or build the "
                "dataset again",
            )


def read_recording(description: Description, file: str) -> Recording:
    """The head of a video file. UserError if it cannot be read."""
    import av

    path = description.root / file
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate, base = stream.average_rate, stream.time_base
            if stream.frames and rate:
                seconds = stream.frames / float(rate)
            elif stream.duration and base:
                seconds = float(stream.duration * base)
            else:
                seconds = (container.duration or 0) / 1_000_000
            return Recording(seconds, stream.width, stream.height)
    except (OSError, IndexError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a video ({in_one_line(error)}): fetch or build it again") from None


def text_fault(description: Description) -> Fault | None:
    """Whether any episode's instruction is empty, or another one than the episode table says."""
    texts = description.episode_texts()
    empty = [number for number, text in enumerate(texts) if not text.strip()]
    if not empty:
        return _contradicting(texts, description.told_texts)
    whose = "every prompt is" if len(empty) == len(texts) else f"the prompt of {len(empty)} of {len(texts)} episodes is"
    return Fault(
        TASKS, f"{whose} empty (first: episode {empty[0]}): a policy cannot be told what to do, give the texts"
    )


def _contradicting(texts: Sequence[str], told: Sequence[str] | None) -> Fault | None:
    pairs = [] if told is None else list(enumerate(zip(texts, told, strict=True)))
    # The episode table lists an episode's instructions in an order of its own.
    other = [(number, text, said) for number, (text, said) in pairs if set(text.split(" / ")) != set(said.split(" / "))]
    if not other:
        return None
    number, text, said = other[0]
    return Fault(
        TASKS,
        f"the frames of {len(other)} of {len(texts)} episodes say something else than the episode table: those of "
        f"episode {number} say '{text}', and meta/episodes '{said}'. Policies learn what the frames say: texts were "
        "exchanged or changed in one of the two, put them right",
    )
