"""From a dataset to a rollout with the memory of two cameras: every stage is the real one, only small."""

import json

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.data_stages import encode_episode
from support.tiny_cell import stage_context, train_spec
from support.tiny_checkpoints import ENCODER, seal_encoder
from support.tiny_dataset import build_tiny_dataset
from support.toy_results import ToyResults
from support.toy_world import in_this_process

from world_modality.benchmarks.libero import simulator
from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.cli.inspect_checkpoint import inspect_lines
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.facts.benchmarks import SUITES
from world_modality.latents import stage as latents_stage
from world_modality.policies.chunk_policy import ChunkPolicy
from world_modality.policies.host import small_host
from world_modality.rollout import setup
from world_modality.rollout import stage as rollout_stage
from world_modality.rollout.records import read_records
from world_modality.study.specs import LatentsSpec, RolloutSpec, SimSpec, latents_role
from world_modality.training import stage as train_stage

CAMERAS = ("image2", "image")
SIZE = 64
VIDEO = []  # both cameras' pictures at every control step of the rollout
HISTORIES = []  # what the policy was given at every replan
ROLLOUT = RolloutSpec(
    family="smolvla",
    sim=SimSpec(
        suite="libero_spatial",
        assets=str(STAND_INS),
        assets_digest=ASSETS.digest(str(STAND_INS)),
        camera_size=SIZE,
        render="fast",
        settle_steps=1,
    ),
    task=0,
    memory="pred",
    init_states=(30,),
    repeats=1,
    n_action_steps=3,
    num_steps=1,
    horizon=8,
    batch=1,
)


class FilmedEnvironment(LiberoSimulator):
    def reset(self, init_state, seed):
        super().reset(init_state, seed)
        VIDEO[:] = [[self.render(camera) for camera in CAMERAS]]

    def step(self, action):
        step = super().step(action)
        VIDEO.append([self.render(camera) for camera in CAMERAS])
        return step


class WatchedPolicy(ChunkPolicy):
    def infer(self, requests):
        HISTORIES.extend(request.latents for request in requests)
        return super().infer(requests)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint trained for 2 steps on both cameras' latents, and the encoder: their sealed folders."""
    root = tmp_path_factory.mktemp("results")
    encoder = seal_encoder(ToyResults(root), ENCODER)
    build_embedded_encoder(ENCODER, encoder)
    dataset = build_tiny_dataset(root / "dataset", episodes=2, frames=6, size=SIZE)
    small_host("smolvla-tiny").build_small("smolvla-tiny", 0, root / "policy", SUITES["libero_spatial"], 256)
    inputs = {"policy": (root / "policy",), "dataset": (dataset,), "encoder": (encoder,)}
    for camera in CAMERAS:
        context = stage_context(root / camera, {"dataset": (dataset,), "encoder": (encoder,)})
        latents_stage.run(LatentsSpec(encoder=ENCODER, camera=camera, dtype="float16"), context)
        inputs[latents_role(camera)] = (context.artifact,)
    context = stage_context(root / "train", inputs)
    train_stage.run(train_spec("pred", steps=2, cameras=CAMERAS), context)
    return context.artifact, encoder


def test_a_rollout_reads_what_training_would_have_read(trained, tmp_path, monkeypatch):
    """At every replan in the simulator: the latents that the latents stage would make of that very episode."""
    checkpoint, encoder = trained
    monkeypatch.setattr(simulator, "LiberoSimulator", FilmedEnvironment)
    monkeypatch.setattr(setup, "simulator_pool", in_this_process)
    monkeypatch.setattr("world_modality.policies.chunk_policy.ChunkPolicy", WatchedPolicy)
    context = stage_context(tmp_path, {"checkpoint": (checkpoint / "pretrained_model",), "encoder": (encoder,)})
    rollout_stage.run(ROLLOUT, context)
    (record,) = read_records(context.artifact / "records.jsonl")
    assert (record.steps, record.replans, record.trained_memory) == (8, 3, "pred")
    assert len(VIDEO) == 9
    loaded = load_encoder(ENCODER, encoder)
    caches = [encode_episode(loaded, np.stack(video)) for video in zip(*VIDEO, strict=True)]
    rows = np.concatenate(caches, axis=-1).astype(np.float32)
    assert [history.shape for history in HISTORIES] == [(2, 1, 2 * loaded.dim)] * 3
    for replan, history in enumerate(HISTORIES):
        assert np.array_equal(history, rows[[max(0, 3 * replan - 1), 3 * replan]])


def test_the_checkpoint_says_whose_latents_it_was_made_for(trained):
    checkpoint, _ = trained
    config = json.loads((checkpoint / "pretrained_model" / "config.json").read_text())
    assert (config["world_cameras"], config["world_trained_cameras"]) == ("image2,image", "image2,image")
    assert (config["world_latent_dim"], config["world_frame_sizes"]) == (256, "64x64,64x64")
    assert config["world_latents"] == ""
    assert "latents      256 numbers of cameras image2 and image" in inspect_lines(checkpoint)
    described = json.loads((checkpoint / "arm.json").read_text())
    assert described["policy"]["world_latents"] == "<latents_image2>:<latents_image>"
    assert described["inputs"].keys() == {"policy", "dataset", "latents_image", "latents_image2"}
