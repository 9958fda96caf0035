from pathlib import Path

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.data_stages import stage_context
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.pretraining import footage
from world_modality.pretraining.footage import run, shrunk
from world_modality.pretraining.specs import FootageSpec
from world_modality.pretraining.takes import EPISODES, clips_of, read_take

SPEC = FootageSpec(
    sim=sim_spec(camera_size=32).model_copy(update={"assets_digest": ASSETS.digest(str(STAND_INS))}),
    task=0,
    reel=0,
    episodes=2,
    seed=0,
    noise=1.0,
    max_steps=12,
    shot=4,
    pause=2,
    cameras=("image", "image2"),
    pixels=16,
)


class Killed(Exception):
    pass


@pytest.mark.slow
def test_a_reel_that_was_killed_is_gone_on_with_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = stage_context(tmp_path / "whole"), stage_context(tmp_path / "broken")
    assert run(SPEC, whole) == {"episodes": 2, "frames": 16}
    film = footage.film

    def once(*arguments: object) -> object:
        if (broken.work / EPISODES).exists():
            raise Killed
        return film(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(footage, "film", once)
        with pytest.raises(Killed):
            run(SPEC, broken)
    run(SPEC, broken)
    takes = []
    for name in ("take_00000.parquet", "take_00001.parquet"):
        paths = [context.artifact / EPISODES / name for context in (whole, broken)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        takes.append(read_take(paths[0]))
    scripted, wandering = takes
    assert (scripted.info.motion, wandering.info.motion) == ("scripted", "wandering")
    assert scripted.shots.tolist() == [0] * 4 + [1] * 4
    assert scripted.cameras == ("image",) * 4 + ("image2",) * 4
    assert clips_of(scripted.shots, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert scripted.decoded().shape == (8, 16, 16, 3)
    assert "plate_1" in scripted.info.objects
    plates = [take.places[0, take.info.objects.index("plate_1")] for take in takes]
    assert 0.001 < np.linalg.norm(plates[0] - plates[1]) < 0.5  # drawn anew
    assert np.linalg.norm(wandering.hand[-1] - wandering.hand[0]) > 0.005
    assert 0 < wandering.opening[0] < 0.1
    assert not wandering.touched[0].any()


def test_pictures_shrink_by_averages() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[::2] = 200
    assert np.abs(shrunk(picture, 4).astype(int) - 100).max() <= 15
    assert shrunk(picture, 8) is picture
