"""A dataset of version 3 whose episode table has no column "tasks", as some public ones have not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from support.command_line import ENCODE, wm

from world_modality.data.episodes import read_episode_table


def test_the_texts_are_those_of_the_frames(place: Path, whole: Path, encoders: Callable[[str], Path]) -> None:
    data = place / "data"
    shutil.copytree(whole, data)
    for file in (data / "meta" / "episodes").rglob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns(["tasks"]), file)
    outcome = wm(*ENCODE, "--dataset", data, "--encoder", encoders("dinov2"), "--output", "latents", "--cores", 1)
    assert outcome.accepted, repr(outcome.error)
    assert read_episode_table(data).tasks == read_episode_table(whole).tasks
