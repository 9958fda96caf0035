import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.data_stages import drawn_episode, stage_context

from world_modality.data.collecting import collect
from world_modality.data.episode_file import EpisodeFile, read_episode_info
from world_modality.errors import UserError
from world_modality.store.stage import Facts, StageContext

WANTED = 12


def attempt(number: int) -> EpisodeFile | None:
    """Every third attempt fails; the others depend on their number alone."""
    if number % 3 == 0:
        return None
    time.sleep(0.01)
    episode = drawn_episode(2 + number % 4, number=number, size=16)
    return replace(episode, info=replace(episode.info, attempt=number, success=number % 2 == 0))


def gather(context: StageContext) -> Facts:
    return collect(context, wanted=WANTED, attempt=attempt, counted="episodes", what="counting", remedy="count on")


def contents(context: StageContext) -> dict[str, bytes]:
    files = [path for path in context.artifact.rglob("*") if path.is_file()]
    return {str(path.relative_to(context.artifact)): path.read_bytes() for path in files}


def test_failures_are_counted_and_not_written(tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    facts = gather(context)
    infos = [read_episode_info(path) for path in sorted((context.artifact / "episodes").iterdir())]
    assert [info.attempt for info in infos] == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17]
    assert facts["failed_attempts"] == 6
    assert facts["unsolved_episodes"] == 6
    assert facts == json.loads((context.artifact / "summary.json").read_text())
    assert facts["frames"] == sum(info.steps for info in infos)


def test_killed_again_and_again_the_result_is_the_same(tmp_path: Path) -> None:
    whole, killed = stage_context(tmp_path / "whole"), stage_context(tmp_path / "killed")
    gather(whole)
    kept = killed.work / "episodes"
    for kill_after in (1, 4, 5, 9):
        process = multiprocessing.get_context("fork").Process(target=gather, args=(killed,))
        process.start()
        while process.is_alive() and len(list(kept.glob("*.parquet"))) < kill_after:
            time.sleep(0.001)
        process.kill()
        process.join()
        assert len(list(kept.glob("*.parquet"))) < WANTED
    noted = [path for path in kept.glob("*.parquet") if path.with_suffix(".sha256").is_file()]
    before = {path: path.stat().st_mtime_ns for path in noted}
    assert len(before) >= 8
    gather(killed)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert contents(killed) == contents(whole)


@pytest.mark.parametrize("spoilt", ["cut", "flipped", "gone", "digest gone", "digest cut"])
def test_an_episode_that_a_disk_damaged_is_made_again(tmp_path: Path, spoilt: str) -> None:
    whole, stopped = stage_context(tmp_path / "whole"), stage_context(tmp_path / "stopped")
    gather(whole)

    def stopping(number: int) -> EpisodeFile | None:
        if number == 12:
            raise KeyboardInterrupt
        return attempt(number)

    with pytest.raises(KeyboardInterrupt):
        collect(stopped, wanted=WANTED, attempt=stopping, counted="episodes", what="counting", remedy="count on")
    file = stopped.work / "episodes" / "episode_00003.parquet"
    content = bytearray(file.read_bytes())
    if spoilt == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif spoilt == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif spoilt == "gone":
        file.unlink()
    elif spoilt == "digest gone":
        file.with_suffix(".sha256").unlink()
    else:
        file.with_suffix(".sha256").write_bytes(b"")
    gather(stopped)
    assert contents(stopped) == contents(whole)


def test_a_hopeless_collection_stops(tmp_path: Path) -> None:
    names = {"counted": "episodes", "what": "solving it", "remedy": "raise data.demonstrations.max_steps"}
    with pytest.raises(UserError, match=r"11 of 11 attempts at solving it failed.* raise data\.demonstrations\.max_st"):
        collect(stage_context(tmp_path), wanted=2, attempt=lambda number: None, **names)
