from dataclasses import replace

import numpy as np
import pytest
from support.data_stages import encode_episode
from support.tiny_checkpoints import ENCODER
from support.toy_world import InlinePool, ToyPolicy, ToyWorld, roll, toy_spec

from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.rollout.history import LatentHistory

CONTEXT = 2
WINDOW = CONTEXT + ENCODER.frames - 1
VIDEOS = {
    camera: np.random.default_rng(seed).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    for seed, camera in enumerate(("image", "image2"))
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(ENCODER, folder)
    return load_encoder(ENCODER, folder)


class VideoWorld(ToyWorld):
    """Shows a fixed video per camera, whatever is done: frame t at control step t; the goal is never reached."""

    def render(self, camera):
        super().render(camera)
        return VIDEOS[camera][self.steps]

    def step(self, action):
        return replace(super().step(action), success=False)


def run(folder, world, encoder, n_action_steps, horizon, cameras=("image",), chunk_size=5, delay=0):
    """Two episodes on ``world``; their records and what the planner was asked."""
    spec = toy_spec(init_states=(3, 5), repeats=1, n_action_steps=n_action_steps, horizon=horizon)
    planner = ToyPolicy(chunk_size)
    new_history = None if encoder is None else lambda: LatentHistory(HistoryEncoder(encoder, CONTEXT), cameras, delay)
    records = roll(folder, spec, InlinePool(lambda _task: world), planner, new_history)
    return records, planner.requests


@pytest.mark.defect("B18")
@pytest.mark.parametrize("n_action_steps", [1, 3, 5])
@pytest.mark.parametrize("delay", [0, 2, 7])
@pytest.mark.parametrize("cameras", [("image",), ("image2", "image")])
def test_a_rollouts_latents_are_those_the_cache_would_hold(encoder, tmp_path, n_action_steps, cameras, delay):
    """At every replan, from the padded first to the last, bit for bit, the cameras in their order; episodes never
    mix."""
    records, requests = run(tmp_path, VideoWorld(), encoder, n_action_steps, 17, cameras, delay=delay)
    caches = [encode_episode(encoder, VIDEOS[camera][:17]) for camera in cameras]
    cache = np.concatenate(caches, axis=-1).astype(np.float32)
    replans = [replan for record in records for replan in range(record.replans)]
    for replan, request in zip(replans, requests, strict=True):
        last = max(replan * n_action_steps - delay, 0)
        ends = np.maximum(np.arange(last - CONTEXT + 1, last + 1), 0)
        np.testing.assert_array_equal(request.latents, cache[ends])


def test_only_the_windows_frames_are_rendered(encoder, tmp_path):
    world = VideoWorld()
    run(tmp_path / "dense", world, encoder, 5, 20, ("image2",))
    looks = {(step, camera) for step in range(0, 20, 5) for camera in ("image", "image2")}
    window = {(replan - back, "image2") for replan in (5, 10, 15) for back in range(1, WINDOW)}
    renders = [entry[1:] for entry in world.log if entry[0] == "render"]
    assert len(renders) == 2 * len(set(renders))  # two episodes
    assert set(renders) == looks | {(step, camera) for step, camera in window if step % 5}
    sparse = VideoWorld()
    run(tmp_path / "sparse", sparse, encoder, 9, 20, ("image2",), chunk_size=9)
    rendered = [entry for entry in sparse.log if entry[0] == "render"]
    frames = {step for _, step, camera in rendered if camera == "image2"}
    assert frames == {0, 9, 18} | set(range(5, 9)) | set(range(14, 18))


@pytest.mark.parametrize("cameras", [("image",), ("image", "image2")])
def test_a_rollout_is_the_same_with_and_without_extra_frames(encoder, tmp_path, cameras):
    bare, video = ToyWorld(), ToyWorld()
    for name, world, memory in (("bare", bare, None), ("video", video, encoder)):
        run(tmp_path / name, world, memory, 3, 20, cameras)
    assert [e for e in bare.log if e[0] == "step"] == [e for e in video.log if e[0] == "step"]
