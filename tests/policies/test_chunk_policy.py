import json

import numpy as np
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.envs.utils import preprocess_observation
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.processor.env_processor import LiberoProcessorStep
from safetensors.torch import load_file, save_file
from support.tiny_checkpoints import ENCODER, WIDTH, plain_checkpoint, world_checkpoint

from world_modality.benchmarks.contract import Observation
from world_modality.benchmarks.libero.simulator import axis_angle
from world_modality.errors import UserError
from world_modality.policies.chunk_policy import load_policy

TASK = "pick up the black bowl on the stove and place it on the plate"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    plain = plain_checkpoint(root / "plain")
    modes = ("disabled", "zero", "pred")
    return {"plain": plain, **{mode: world_checkpoint(root / mode, plain, mode) for mode in modes}}


def raw_observation(seed=0):
    """What LIBERO itself gives: pictures upside down, orientation as a quaternion; batch of one, as LeRobot has it."""
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=4)
    pixels = {name: rng.integers(0, 256, (1, 256, 256, 3), dtype=np.uint8) for name in ("image", "image2")}
    position, fingers = rng.normal(size=(1, 3)), rng.normal(size=(1, 2))
    quaternion = (quaternion / np.linalg.norm(quaternion))[None]
    state = {"eef": {"pos": position, "quat": quaternion}, "gripper": {"qpos": fingers}}
    return {"pixels": pixels, "robot_state": state}


def observation(raw):
    """The same as our simulator gives it."""
    robot = raw["robot_state"]
    turn = axis_angle(robot["eef"]["quat"][0])
    state = np.concatenate([robot["eef"]["pos"][0], turn, robot["gripper"]["qpos"][0]]).astype(np.float32)
    return Observation({name: image[0, ::-1, ::-1] for name, image in raw["pixels"].items()}, state)


def lerobots_actions(folder, raw, noise, history=None):
    """LeRobot's evaluation step by step: its environment processing, processors and action queue."""
    config = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    preprocessor, postprocessor = make_pre_post_processors(config, pretrained_path=str(folder))
    actions = []
    for _ in range(config.n_action_steps):
        batch = {**preprocess_observation(raw), "task": [TASK]}
        batch = preprocessor(LiberoProcessorStep().observation(batch))
        if history is not None:
            batch["observation.world_history"] = torch.from_numpy(history)[None]
        with torch.inference_mode():
            actions.append(postprocessor(policy.select_action(batch, noise=noise))[0].numpy())
    return np.stack(actions)


@pytest.mark.parametrize("memory", ["disabled", "zero", "pred"])
def test_actions_are_those_of_lerobots_own_evaluation(checkpoints, memory):
    """Parity from the raw observation to the unnormalised action, bit for bit."""
    raw = raw_observation()
    history = np.random.default_rng(1).normal(size=(2, 1, WIDTH)).astype(np.float32) if memory == "pred" else None
    policy = load_policy(checkpoints[memory])
    ours = policy.predict(observation(raw), TASK, 99, history)
    noise = torch.randn((1, 10, 7), generator=torch.Generator().manual_seed(99))
    theirs = lerobots_actions(checkpoints[memory], raw, noise, history)
    assert ours.dtype == np.float32
    assert ours.shape == (policy.chunk_size, 7)
    np.testing.assert_array_equal(ours, theirs)


def test_a_chunk_depends_on_its_arguments_alone(checkpoints):
    policy = load_policy(checkpoints["pred"])
    one, two = observation(raw_observation(1)), observation(raw_observation(2))
    history = np.random.default_rng(1).normal(size=(3, 2, 1, WIDTH)).astype(np.float32)
    first = policy.predict(one, TASK, 5, history[0])
    policy.predict(two, "another task", 6, history[1])
    np.testing.assert_array_equal(policy.predict(one, TASK, 5, history[0]), first)
    for changed in ((two, TASK, 5, history[0]), (one, "go", 5, history[0]), (one, TASK, 6, history[0])):
        assert not np.array_equal(policy.predict(*changed), first)
    assert not np.array_equal(policy.predict(one, TASK, 5, history[2]), first)


def test_the_global_generator_neither_matters_nor_moves(checkpoints):
    policy, view = load_policy(checkpoints["pred"], memory_mode="random"), observation(raw_observation())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = policy.predict(view, TASK, 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(policy.predict(view, TASK, 5), first)


@pytest.mark.defect("B10")
def test_zero_memory_gives_plain_smolvlas_actions(checkpoints):
    """E1, E2-zero, E0 and plain SmolVLA agree bit for bit while they share the base's weights; E2 does not."""
    view = observation(raw_observation())
    plain = load_policy(checkpoints["plain"]).predict(view, TASK, 3)
    for name, mode in (("disabled", None), ("zero", None), ("pred", "zero")):
        np.testing.assert_array_equal(load_policy(checkpoints[name], memory_mode=mode).predict(view, TASK, 3), plain)
    assert not np.array_equal(load_policy(checkpoints["pred"], memory_mode="random").predict(view, TASK, 3), plain)


def test_a_mode_that_reads_history_insists_on_it(checkpoints):
    with pytest.raises(ValueError, match="'pred' needs the world's history"):
        load_policy(checkpoints["pred"]).predict(observation(raw_observation()), TASK, 3)


def test_what_a_checkpoint_tells_of_itself(checkpoints):
    world, plain = load_policy(checkpoints["pred"], memory_mode="zero"), load_policy(checkpoints["plain"])
    assert (world.trained_memory, world.encoder_spec) == ("pred", ENCODER)
    assert (plain.trained_memory, plain.encoder_spec) == ("disabled", None)
    assert world.config.rollout_mode.name == "zero"


def test_flow_steps_are_taken_from_the_caller(checkpoints):
    view = observation(raw_observation())
    few = load_policy(checkpoints["plain"], num_steps=1, n_action_steps=4)
    assert (few.config.num_steps, few.config.n_action_steps) == (1, 4)
    assert not np.array_equal(few.predict(view, TASK, 3), load_policy(checkpoints["plain"]).predict(view, TASK, 3))


@pytest.mark.parametrize("name", ["plain", "disabled"])
def test_a_policy_without_world_modules_is_not_rolled_out_with_them(checkpoints, name):
    with pytest.raises(UserError, match="pred"):
        load_policy(checkpoints[name], memory_mode="pred")


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="is not a LeRobot checkpoint"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"type": "no-such"}))
    with pytest.raises(UserError, match="'no-such' policy"):
        load_policy(tmp_path)


@pytest.mark.defect("B13")
def test_a_checkpoint_with_missing_weights_is_refused(checkpoints, tmp_path):
    for file in checkpoints["pred"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop(next(name for name in weights if name.startswith("world.prophet")))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="do not fit"):
        load_policy(tmp_path)


def test_a_camera_the_simulator_lacks_is_named(checkpoints):
    view = observation(raw_observation())
    lacking = Observation({"image": view.images["image"]}, view.state)
    with pytest.raises(UserError, match=r"observation\.images\.image2"):
        load_policy(checkpoints["plain"]).predict(lacking, TASK, 3)


def test_a_camera_that_has_the_name_of_its_column_is_shown_under_it(tmp_path):
    """MetaWorld's, as in the public dataset."""
    plain_checkpoint(tmp_path, suite="metaworld_mt50", pixels=64)
    picture = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    policy, state = load_policy(tmp_path), np.zeros(4, np.float32)
    dark, light = (policy.predict(Observation({"observation.image": each}, state), TASK, 3) for each in picture)
    assert dark.shape == (policy.chunk_size, 4)
    assert not np.array_equal(dark, light)
