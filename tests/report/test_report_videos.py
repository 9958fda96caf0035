"""Videos of a study of two suites in its report: whose they are, in an order that puts one episode's side by side."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.toy_results import ToyResults

from world_modality.report.page import read_videos
from world_modality.report.stage import run
from world_modality.rollout.choice import VIDEOS
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext

TWO = ("libero_spatial", "libero_10")


def videos_stage(toy: ToyResults, column: str, suite: str, task: int, why_not: str = "") -> Path:
    """A sealed videos stage with one video of the suite's task ``task``."""
    number = TWO.index(suite)  # the toy's task of that suite
    upstream = [("records", "rollout", f"key{column}0{number}".lower())]
    folder = toy._seal("videos", f"videos{column}{suite}".lower(), f"videos {column}/0 {suite}", 1.0, upstream)
    file = "" if why_not else f"task{task}_init10_repeat0.mp4"
    if file:
        (folder / file).write_bytes(f"{column} {suite}".encode())
    entry = {"file": file, "why_not": why_not, "suite": suite, "task": task, "init_state": 10, "repeat": 0}
    (folder / VIDEOS).write_text(json.dumps([{**entry, "success": True, "steps": 110, "discordant": True}]))
    return folder


@pytest.fixture
def two(toy: ToyResults) -> ToyResults:
    toy.suites = TWO
    return toy


def test_files_of_one_name_in_two_suites_are_two_videos(two: ToyResults) -> None:
    stages = [(column, suite) for suite in TWO for column in ("E2", "E0")]
    folders = [videos_stage(two, column, suite, 0) for column, suite in stages]
    labels = {folder.parent.name: (column, 0) for folder, (column, _) in zip(folders, stages, strict=True)}
    episodes = read_videos(folders, labels)
    suites = ("libero_10", "libero_spatial")
    assert [episode.title for episode in episodes] == [
        f"seed 0, {suite} task 0, init state 10, repeat 0" for suite in suites
    ]
    for episode, suite in zip(episodes, suites, strict=True):
        assert [video.condition for video in episode.videos] == ["E0", "E2"]
        assert [base64.b64decode(video.source.partition(",")[2]).decode() for video in episode.videos] == [
            f"{column} {suite}" for column in ("E0", "E2")
        ]


def test_seeds_are_not_mixed_and_episodes_with_several_videos_come_first(two: ToyResults) -> None:
    folders = [
        videos_stage(two, column, suite, 0) for column, suite in (("E0", TWO[1]), ("E0", TWO[0]), ("E2", TWO[0]))
    ]
    seeds = {folder.parent.name: (folder.parent.name[5:7].upper(), 3) for folder in folders}
    alone, *pair = read_videos(folders, seeds)[::-1]
    assert (alone.title.split(",")[1], len(alone.videos)) == (" libero_10 task 0", 1)
    assert [len(episode.videos) for episode in pair] == [2]
    apart = {name: (column, number) for number, (name, (column, _)) in enumerate(seeds.items())}
    assert [len(episode.videos) for episode in read_videos(folders, apart)] == [1, 1, 1]


def test_the_page_holds_them_with_their_columns(two: ToyResults, tmp_path: Path) -> None:
    spec, rollouts, trainings = two.write()
    videos = (videos_stage(two, "E2", TWO[0], 0), videos_stage(two, "E0", TWO[1], 1, "another trajectory"))
    inputs: Any = {"rollout": tuple(rollouts), "train": tuple(trainings), "videos": videos}
    folder = tmp_path / "report"
    run(
        spec,
        StageContext(
            "r" * 16, folder / "artifact", folder / "volatile", folder / "work", inputs, Progress("report"), 1
        ),
    )
    page = (folder / "artifact" / "report.html").read_text()
    assert 'aria-label="E2, seed 0, libero_spatial task 0, init state 10, repeat 0: success after 110 steps"' in page
    assert "<h3>seed 0, libero_10 task 1, init state 10, repeat 0</h3>" in page
    assert "another trajectory" in page
    assert page.count("data:video/mp4;base64,") == 1
