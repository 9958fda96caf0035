from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.data_stages import stage_context

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.data.demonstrations import run
from world_modality.data.episode_file import read_episode
from world_modality.data.frames import decode_png
from world_modality.errors import UserError
from world_modality.study.specs import DemosSpec, SimSpec


def spec(**changes: Any) -> DemosSpec:
    sim = SimSpec(
        suite="libero_spatial",
        assets=str(STAND_INS),
        assets_digest=ASSETS.digest(str(STAND_INS)),
        camera_size=64,
        render="fast",
        settle_steps=10,
    )
    fields = {"task": 0, "episodes": 2, "init_states": (10, 11), "seed": 0, "noise": 1.0, "max_steps": 220}
    return DemosSpec(sim=sim, **(fields | changes))


def test_other_assets_than_the_planned_ones_are_refused(tmp_path: Path) -> None:
    sim = spec().sim.model_copy(update={"assets_digest": "0" * 16})
    with pytest.raises(UserError, match=r"asset folder .* but it was 0{16} when this was planned"):
        run(spec().model_copy(update={"sim": sim}), stage_context(tmp_path))


@pytest.mark.slow
def test_demonstrations_are_solved_clean_and_reproducible(tmp_path: Path) -> None:
    contexts = [stage_context(tmp_path / name) for name in ("a", "b")]
    run(spec(), contexts[0])
    run(spec(episodes=1), contexts[1])
    first, again = (context.artifact / "episodes" / "episode_00000.parquet" for context in contexts)
    assert first.read_bytes() == again.read_bytes()
    for number in range(2):
        episode = read_episode(contexts[0].artifact / "episodes" / f"episode_{number:05d}.parquet")
        assert episode.info.success
        assert episode.info.language.startswith("pick up the black bowl between the plate")
        assert decode_png(episode.pictures["image2"][0]).shape == (64, 64, 3)
        assert np.abs(episode.action).max() <= 1
        assert {-1.0, 1.0} >= set(np.unique(episode.action[:, 6]).tolist())
        assert 60 < episode.info.steps < 220


@pytest.mark.slow
def test_drawn_scenes_are_drawn_anew_and_again(tmp_path: Path) -> None:
    contexts = [stage_context(tmp_path / name) for name in ("a", "b")]
    for context in contexts:
        run(spec(init_states=()), context)
    first, second, again = (
        read_episode(context.artifact / "episodes" / f"episode_{number:05d}.parquet")
        for context, number in ((contexts[0], 0), (contexts[0], 1), (contexts[1], 0))
    )
    assert first.info.init_state is None
    assert first.info.seed != second.info.seed
    assert first.pictures["image"][0] != second.pictures["image"][0]
    assert first.pictures["image"][0] == again.pictures["image"][0]


@pytest.mark.slow
def test_too_little_time_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="11 of 11 attempts at demonstrating task 0 of libero_spatial failed"):
        run(spec(episodes=1, max_steps=2), stage_context(tmp_path))
