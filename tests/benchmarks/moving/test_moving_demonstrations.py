from pathlib import Path

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.data_stages import stage_context
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.data.demonstrations import run
from world_modality.data.episode_file import read_episode
from world_modality.facts.benchmarks import SUITES
from world_modality.study.specs import DemosSpec


@pytest.mark.slow
def test_goals_that_move_are_demonstrated_in_drawn_scenes_and_again(tmp_path: Path) -> None:
    sim = sim_spec().model_copy(update={"suite": "moving", "assets_digest": ASSETS.digest(str(STAND_INS))})
    spec = DemosSpec(sim=sim, task=0, episodes=1, init_states=(), seed=0, noise=1.0, max_steps=SUITES["moving"].horizon)
    contexts = [stage_context(tmp_path / name) for name in ("a", "b")]
    for context in contexts:
        run(spec, context)
    first, again = (context.artifact / "episodes" / "episode_00000.parquet" for context in contexts)
    assert first.read_bytes() == again.read_bytes()
    episode = read_episode(first)
    assert episode.info.success
    assert episode.info.language == "put the black bowl on the moving plate"
    assert {-1.0, 1.0} >= set(np.unique(episode.action[:, 6]).tolist())
