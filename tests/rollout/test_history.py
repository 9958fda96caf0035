import numpy as np
import pytest
from support.tiny_checkpoints import ENCODER
from support.toy_world import ToyPlanner, ToyWorld, toy_spec

from world_modality.encoders.embedded import build_embedded_encoder
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.rollout.history import LatentHistory
from world_modality.rollout.loop import run_unit
from world_modality.rollout.units import Unit

CONTEXT = 2
WINDOW = CONTEXT + ENCODER.frames - 1
FILMS = {
    camera: np.random.default_rng(seed).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    for seed, camera in enumerate(("image", "image2"))
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(ENCODER, folder)
    return load_encoder(ENCODER, folder)


class FilmWorld(ToyWorld):
    """Shows a fixed film per camera, whatever is done: frame t at control step t; the goal is never reached."""

    def render(self, camera):
        super().render(camera)
        return FILMS[camera][self.steps]

    def step(self, action):
        super().step(action)
        return False


@pytest.mark.defect("B18")
@pytest.mark.parametrize("n_action_steps", [1, 3, 5])
@pytest.mark.parametrize("cameras", [("image",), ("image2",), ("image", "image2"), ("image2", "image")])
def test_a_rollouts_latents_are_those_the_cache_would_hold(encoder, n_action_steps, cameras):
    """At every replan, from the padded first to the last, bit for bit, the cameras in their order."""
    planner, history = ToyPlanner(), LatentHistory(HistoryEncoder(encoder, CONTEXT), cameras)
    for unit in (Unit(1, 3, 0), Unit(1, 5, 0)):  # the second must not see the first one's frames
        planner.histories.clear()
        outcome = run_unit(unit, "toy", FilmWorld(), planner, history, n_action_steps, 17)
        caches = [encoder.encode_episode(FILMS[camera][: outcome.steps]) for camera in cameras]
        cache = np.concatenate(caches, axis=1).astype(np.float32)
        for replan, latents in enumerate(planner.histories):
            ends = np.maximum(np.arange(replan * n_action_steps - CONTEXT + 1, replan * n_action_steps + 1), 0)
            np.testing.assert_array_equal(latents, cache[ends])
        assert len(planner.histories) == outcome.replans


def test_only_the_windows_frames_are_rendered(encoder):
    world, history = FilmWorld(), LatentHistory(HistoryEncoder(encoder, CONTEXT), ("image2",))
    outcome = run_unit(Unit(1, 3, 0), "toy", world, ToyPlanner(), history, 5, 20)
    assert outcome.steps == 20
    looks = {(step, camera) for step in range(0, 20, 5) for camera in ("image", "image2")}
    window = {(replan - back, "image2") for replan in (5, 10, 15) for back in range(1, WINDOW)}
    renders = [entry[1:] for entry in world.log if entry[0] == "render"]
    assert len(renders) == len(set(renders))
    assert set(renders) == looks | {(step, camera) for step, camera in window if step % 5}
    sparse = FilmWorld()
    run_unit(Unit(1, 3, 0), "toy", sparse, ToyPlanner(9), history, 9, 20)
    frames = {step for kind, step, *camera in sparse.log if kind == "render" and camera == ["image2"]}
    assert frames == {0, 9, 18} | set(range(5, 9)) | set(range(14, 18))


@pytest.mark.parametrize("cameras", [("image",), ("image", "image2")])
def test_a_rollout_is_the_same_with_and_without_extra_frames(encoder, cameras):
    bare, film = ToyWorld(), ToyWorld()
    history = LatentHistory(HistoryEncoder(encoder, CONTEXT), cameras)
    spec = toy_spec()
    for world, memory in ((bare, None), (film, history)):
        run_unit(Unit(1, 3, 0), "toy", world, ToyPlanner(), memory, spec.n_action_steps, spec.horizon)
    assert [e for e in bare.log if e[0] == "step"] == [e for e in film.log if e[0] == "step"]
