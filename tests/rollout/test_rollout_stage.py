"""The whole stage on the real simulator, the real encoder and the real policy type, with random weights."""

import dataclasses
import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.pictures import see_pictures_of
from support.tiny_checkpoints import ENCODER, WIDTH, plain_checkpoint, seal_encoder, world_checkpoint
from support.tiny_dataset import build_tiny_dataset
from support.toy_results import ToyResults
from support.toy_world import in_this_process

from world_modality.benchmarks.libero import simulator
from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.data.episodes import dataset_fingerprint
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.memory import MODES
from world_modality.latents.cache import write_cache
from world_modality.rollout import setup, stage
from world_modality.rollout.pool import kept_memory, kept_simulators
from world_modality.rollout.records import read_records
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import RolloutSpec, SimSpec

WATCHED = []  # what every step of every rollout did


class WatchedEnvironment(LiberoSimulator):
    def reset(self, init_state, seed):
        super().reset(init_state, seed)
        self.quiet = False
        WATCHED.append(("start", init_state))

    def step(self, action):
        step = super().step(action)
        if len(WATCHED) and not getattr(self, "quiet", True):
            WATCHED.append(("step", np.asarray(action).tobytes(), self.qpos().tobytes()))
        return step

    def render(self, camera):
        picture = super().render(camera)
        WATCHED.append(("render", camera, picture.tobytes()))
        return picture


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A results tree with one sealed encoder and trainings of E0, E1 and E2 from the same weights."""
    root = tmp_path_factory.mktemp("results")
    plain = plain_checkpoint(root / "plain")
    toy = ToyResults(root)
    both = ("image", "image2")
    for name, mode, cameras in (
        *((mode, mode, ("image",)) for mode in ("disabled", "zero", "pred")),
        ("both", "pred", both),
    ):
        folder = toy._seal("train", name, mode, 1.0, [])
        see_pictures_of(world_checkpoint(folder / "pretrained_model", plain, mode, cameras=cameras), 64)
    build_embedded_encoder(ENCODER, seal_encoder(toy, ENCODER))
    dataset = build_tiny_dataset(root / "dataset")
    rng = np.random.default_rng(0)
    (root / "latents").mkdir()
    write_cache(
        root / "latents",
        [rng.normal(size=(length, 1, WIDTH)).astype(np.float16) for length in (14, 15, 16)],
        (45, 1, WIDTH),
        camera="image",
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(dataset),
    )
    return root


@pytest.fixture
def run_stage(tree, tmp_path):
    """Run the stage; gives its records without wall time."""

    def run(trained, memory, states=(30,), name="cell", **simulator):
        settings = {
            "suite": "libero_spatial",
            "assets": str(STAND_INS),
            "assets_digest": ASSETS.digest(str(STAND_INS)),
            "camera_size": 64,
            "render": "fast",
            "settle_steps": 2,
        }
        sim = SimSpec(**settings | simulator)
        spec = RolloutSpec(
            family="smolvla",
            sim=sim,
            task=0,
            memory=memory,
            init_states=states,
            repeats=1,
            n_action_steps=6,
            num_steps=2,
            horizon=14,
            batch=2,
        )
        inputs: dict[str, tuple[Path, ...]] = {
            "checkpoint": (tree / "train" / trained / "artifact" / "pretrained_model",)
        }
        if MODES[memory].encodes:
            inputs["encoder"] = (tree / "encoder" / "encoder" / "artifact",)
        if MODES[memory].needs_bank:
            inputs |= {"dataset": (tree / "dataset",), "latents_image": (tree / "latents",)}
        folder = tmp_path / name
        (folder / "work").mkdir(parents=True, exist_ok=True)
        context = StageContext(
            "k", folder / "artifact", folder / "volatile", folder / "work", inputs, Progress("rollout"), 1,
            input_keys={"checkpoint": (trained,)},
        )  # fmt: skip
        facts = stage.run(spec, context)
        records = read_records(folder / "artifact" / "records.jsonl")
        assert facts["episodes"] == len(records) == len(states)
        return list(records)

    return run


@pytest.fixture
def roll(run_stage, monkeypatch):
    """Run the stage; gives its records without wall time, and what the simulator saw."""
    monkeypatch.setattr(simulator, "LiberoSimulator", WatchedEnvironment)
    # In this process, one episode after the other, where it can be watched.
    monkeypatch.setattr(setup, "Scheduler", partial(Scheduler, slots=1))
    monkeypatch.setattr(setup, "simulator_pool", in_this_process)

    def run(*arguments, **settings):
        WATCHED.clear()
        return run_stage(*arguments, **settings), list(WATCHED)

    return run


def test_stages_of_one_job_leave_the_records_that_each_leaves_alone(run_stage):
    cells = (("disabled", "disabled"), ("pred", "pred"), ("pred", "oracle_policy"))
    alone = [run_stage(*cell, name=f"alone-{cell[1]}") for cell in cells]
    with kept_simulators():
        together = [run_stage(*cell, name=f"together-{cell[1]}") for cell in cells]
        assert kept_memory() > 0
    assert together == alone
    assert not multiprocessing.active_children()


def test_e0_e1_and_zeroed_e2_do_the_same_to_the_last_bit(roll):
    """Same actions, positions and pictures; none of them renders an extra frame or needs the encoder."""
    (plain,), trajectory = roll("disabled", "disabled", name="E0")
    for trained in ("zero", "pred"):
        (record,), other = roll(trained, "zero", name=f"{trained}-zero")
        assert other == trajectory
        same = {"checkpoint": trained, "trained_memory": trained, "memory": "zero"}
        assert record == dataclasses.replace(plain, **same)
    kinds = [entry[0] for entry in trajectory if entry[0] == "render"]
    assert len(kinds) == 2 * plain.replans == 6
    assert plain.steps == 14
    assert plain.language.startswith("pick up the black bowl between the plate")


def test_predicted_memory_acts_and_renders_its_window_alone(roll):
    _, plain = roll("disabled", "disabled", name="E0")
    (record,), trajectory = roll("pred", "pred", name="E2")
    renders = [entry[1] for entry in trajectory if entry[0] == "render"]
    # T + m - 1 = 5 frames end at each replan: four before each but the first, one camera.
    assert renders.count("image2") == record.replans == 3
    assert renders.count("image") == 3 + 4 + 4
    assert [e[1] for e in trajectory if e[0] == "step"] != [e[1] for e in plain if e[0] == "step"]
    (again,), repeated = roll("pred", "pred", name="E2-again")
    assert repeated == trajectory
    assert again == record
    _, trajectory = roll("both", "pred", name="both")
    renders = [entry[1] for entry in trajectory if entry[0] == "render"]
    assert renders.count("image") == renders.count("image2") == 3 + 4 + 4


def test_a_memory_is_looked_up_among_what_the_checkpoint_was_trained_on(roll):
    _, zeroed = roll("pred", "zero", name="E2-zero")
    found, looked_up = roll("pred", "nearest_other", states=(30, 31), name="E2-nearest")
    moves = [entry[1] for entry in looked_up if entry[0] == "step"]
    assert moves[:14] != [entry[1] for entry in zeroed if entry[0] == "step"]
    assert all(record.memory == "nearest_other" for record in found)
    alone, _ = roll("pred", "nearest_other", states=(31,), name="alone")
    assert alone == found[1:]


def test_an_episode_does_not_depend_on_those_before_it(roll):
    (_, second), both = roll("pred", "pred", states=(30, 31), name="both")
    (alone,), trajectory = roll("pred", "pred", states=(31,), name="alone")
    assert alone == second
    assert both[both.index(("start", 31)) :] == trajectory


def test_another_encoder_is_refused(roll, tree):
    toy = ToyResults(tree)
    seal_encoder(toy, ENCODER.model_copy(update={"frames": 2}))
    try:
        with pytest.raises(UserError, match="world_encoder_frames 4, not 2"):
            roll("pred", "pred")
    finally:
        seal_encoder(toy, ENCODER)


def test_an_initial_state_that_does_not_exist_is_named(roll):
    with pytest.raises(UserError, match=r"libero_spatial has no initial state 77; choose from 0 to 49"):
        roll("disabled", "disabled", states=(77,))


@pytest.mark.parametrize(("trained", "memory"), [("disabled", "disabled"), ("zero", "zero"), ("pred", "pred")])
def test_pictures_of_another_size_than_in_training_are_refused_in_every_arm(roll, trained, memory):
    message = r"pictures have 128x128 pixels, but .* on observation\.images\.image of 64x64;"
    with pytest.raises(UserError, match=message):
        roll(trained, memory, camera_size=128)
    assert WATCHED == []


def test_other_assets_than_the_planned_ones_are_refused(roll):
    with pytest.raises(UserError, match=r"asset folder .* but it was 0{16} when this was planned"):
        roll("disabled", "disabled", assets_digest="0" * 16)
    assert WATCHED == []
