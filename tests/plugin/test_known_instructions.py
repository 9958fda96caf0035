"""Policies that read instructions: as LeRobot trains them, and as a rollout asks them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.data_stages import encoder_spec, stage_context
from support.tiny_dataset import TASKS, libero_features, picture, write_dataset

from lerobot_policy_world_modality.instructions import KnownInstructions
from lerobot_policy_world_modality.modeling_world_transformer import WorldTransformerPolicy
from lerobot_policy_world_modality.world_policy import WORLD_HISTORY
from world_modality.benchmarks.contract import Observation
from world_modality.benchmarks.libero.tasks import instructions
from world_modality.cli.lerobot_scripts import train_main
from world_modality.data.episodes import dataset_fingerprint
from world_modality.discrete.instruction_table import embed_with, open_instructions, run, words_of
from world_modality.errors import UserError
from world_modality.latents.cache import write_cache
from world_modality.policies.chunk_policy import load_policy
from world_modality.study.instructions import InstructionsSpec

SPEC = InstructionsSpec(source="embedded", name="text-small", revision="", seed=0, max_length=32)
FRAMES, PICTURE, DIM = 6, 32, 8
SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


def opposed(root: Path, *tasks: str) -> Path:
    """A dataset of one episode per task. Frames and states are the same in all, and one action is the opposite."""
    frames = []
    for step in range(FRAMES):
        rng = np.random.default_rng(step)
        shown = picture(rng, PICTURE, rng.uniform(0.2, 0.8, 2), 4)
        frames.append((shown, rng.normal(size=8).astype(np.float32)))

    def episode(task: str) -> Iterator[dict[str, object]]:
        for shown, state in frames:
            action = np.zeros(7, np.float32)
            action[0] = 1 if task == TASKS[0] else -1
            action[1:] = np.random.default_rng(len(task)).normal(size=6) * 0.1
            pictures = {f"observation.images.{name}": shown for name in ("image", "image2")}
            yield {**pictures, "observation.state": state, "action": action, "task": task}

    return write_dataset(root, libero_features(PICTURE), (episode(task) for task in tasks))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset of two opposed tasks, its latents and its instructions."""
    root = tmp_path_factory.mktemp("opposed")
    dataset = opposed(root / "dataset", *TASKS)
    rows = np.random.default_rng(9).normal(size=(FRAMES, 1, DIM)).astype(np.float16)
    latents = root / "latents"
    latents.mkdir()
    fingerprint = dataset_fingerprint(dataset)
    shape, spec = (2 * FRAMES, 1, DIM), encoder_spec(frames=2)
    write_cache(latents, [rows, rows], shape, camera="image", encoder=spec, dataset_fingerprint=fingerprint)
    context = stage_context(root / "instructions", dataset=dataset)
    assert run(SPEC, context) == {"texts": 2, "dim": 64}
    return {"dataset": dataset, "latents": latents, "instructions": context.artifact, "root": root}


@pytest.fixture(scope="module")
def trained(folders: dict[str, Path]) -> dict[str, Path]:
    """Checkpoints of model A with and without instructions, by LeRobot's own training."""
    found, root = {}, logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folders["root"])
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("LIBERO_CONFIG_PATH", str(folders["root"] / "libero"))
        for name, own in (("with", [f"--policy.world_instructions={folders['instructions']}"]), ("without", [])):
            settings = {
                **{"policy.type": "world_transformer", "policy.device": "cpu"},
                **{"policy.world_latents": folders["latents"]},
                **{"policy.width": 32, "policy.layers": 2, "policy.heads": 4, "policy.optimizer_lr": 0.003},
                **{"policy.chunk_size": 3, "policy.n_action_steps": 3, "policy.push_to_hub": "false"},
                **{"dataset.repo_id": "local/tiny", "dataset.root": folders["dataset"], "num_workers": 0},
                **{"dataset.video_backend": "pyav", "dataset.use_imagenet_stats": "false", "env_eval_freq": 0},
                **{"steps": 25, "save_freq": 25, "log_freq": 25, "batch_size": 12, "output_dir": name},
            }
            arguments = [f"--{key}={value}" for key, value in settings.items()]
            patch.setattr(sys, "argv", ["lerobot-wm-train", *arguments, *own])
            assert train_main() == 0
            found[name] = folders["root"] / name / "checkpoints" / "last" / "pretrained_model"
    root.setLevel(level)
    root.handlers[:] = handlers
    return found


def first_action(checkpoint: Path, folders: dict[str, Path], text: str) -> float:
    """The first number of the first action after the dataset's first frame, under an instruction."""
    policy = load_policy(checkpoint)
    rng = np.random.default_rng(0)
    shown = picture(rng, PICTURE, rng.uniform(0.2, 0.8, 2), 4)
    observation = Observation({"image": shown, "image2": shown}, rng.normal(size=8).astype(np.float32))
    history = np.load(folders["latents"] / "latents.npy")[:1].astype(np.float32)
    return float(policy.predict(observation, text, 0, np.repeat(history, 4, 0))[0, 0])


def test_opposed_tasks_are_told_apart_by_their_words_alone(trained: dict[str, Path], folders: dict[str, Path]) -> None:
    told = [first_action(trained["with"], folders, text) for text in TASKS]
    assert np.allclose(told, [1, -1], atol=0.2)
    untold = [first_action(trained["without"], folders, text) for text in TASKS]
    assert untold[0] == untold[1]
    assert abs(untold[0]) < 0.3


def test_a_checkpoint_stands_alone_and_embeds_words_that_it_does_not_know(
    trained: dict[str, Path], folders: dict[str, Path]
) -> None:
    loaded = WorldTransformerPolicy.from_pretrained(trained["with"])
    table = open_instructions(folders["instructions"])
    assert loaded.config.world_texts == list(table.texts) == sorted(TASKS)
    assert torch.equal(loaded.instructions.embeddings, torch.from_numpy(table.embeddings))
    other = "grasp the dark bowl, then set it on top of the plate"
    batch = {"observation.state": torch.zeros(1, 8), WORLD_HISTORY: torch.zeros(1, 4, 1, DIM)}
    chunks = [loaded.predict_action_chunk({**batch, "task": text}) for text in (*TASKS, other, [other])]
    assert torch.equal(chunks[2], chunks[3])
    assert not any(torch.equal(chunks[2], chunk) for chunk in chunks[:2])
    with pytest.raises(UserError, match="give batches with 'task'"):
        loaded.predict_action_chunk(batch)
    with pytest.raises(UserError, match="the instruction is empty"):
        loaded.predict_action_chunk({**batch, "task": [" "]})
    loaded.config.world_text_source = "folder"
    with pytest.raises(UserError, match=f"not know the instruction 'fly': .*world_text_path, or one of: {min(TASKS)}"):
        loaded.predict_action_chunk({**batch, "task": "fly"})
    loaded.config.world_text_path = str(folders["root"])
    with pytest.raises(UserError, match="not know the instruction 'fly', and the language model in"):
        loaded.predict_action_chunk({**batch, "task": "fly"})


def test_neither_order_nor_numbers_of_tasks_are_of_any_account(folders: dict[str, Path], tmp_path: Path) -> None:
    context = stage_context(tmp_path / "turned", dataset=opposed(tmp_path / "set", *TASKS[::-1]))
    run(SPEC, context)
    turned, straight = open_instructions(context.artifact), open_instructions(folders["instructions"])
    assert turned.texts == straight.texts
    assert np.array_equal(turned.embeddings, straight.embeddings)
    assert turned.dataset_fingerprint != straight.dataset_fingerprint


def test_each_of_libero_s_forty_tasks_has_the_vector_of_its_own_words() -> None:
    tasks = [text for suite in SUITES for text in instructions(suite).values()]
    texts = words_of(dict(enumerate(tasks)))
    assert len(texts) == 40
    known = KnownInstructions(texts, 64)
    known.embeddings.copy_(torch.from_numpy(embed_with(SPEC, texts)))
    found = known(tasks, None)
    spread = torch.pdist(found)
    assert spread.min() > 0.5
    own = torch.from_numpy(embed_with(SPEC, tasks))
    deviation = (own - own.mean(0)).square().mean().sqrt()
    torch.testing.assert_close(found, (own - own.mean(0)) / deviation, rtol=1e-4, atol=1e-4)


def test_a_single_instruction_is_no_division_by_nothing() -> None:
    known = KnownInstructions(["go"], 64)
    known.embeddings.copy_(torch.from_numpy(embed_with(SPEC, ["go"])))
    assert not known(["go"], None).any()
    config = SimpleNamespace(text_model=SPEC, world_text_path="")
    assert 0 < known(["stop"], config).abs().max() < 10


def test_instructions_of_another_dataset_or_policy_are_refused(
    trained: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    metadata = LeRobotDataset("local/tiny", root=folders["dataset"]).meta
    turned = stage_context(tmp_path / "turned", dataset=opposed(tmp_path / "set", *TASKS[::-1]))
    run(SPEC, turned)
    config = WorldTransformerPolicy.from_pretrained(trained["with"]).config
    for folder, message in (
        (turned.artifact, "make them of this one"),
        (tmp_path, "are damaged or incomplete"),
    ):
        config.world_instructions = str(folder)
        with pytest.raises(UserError, match=message):
            WorldTransformerPolicy(config, metadata)
    config.world_instructions = ""  # what it knows it has in its weights
    assert WorldTransformerPolicy(config, metadata).instructions is not None
    other = stage_context(tmp_path / "other", dataset=folders["dataset"])
    run(SPEC.model_copy(update={"seed": 1}), other)
    config.world_instructions = str(other.artifact)
    with pytest.raises(UserError, match="made for instructions with world_text_seed 0, not 1"):
        WorldTransformerPolicy(config, metadata)


def test_a_language_model_that_changed_is_refused(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"source": "folder", "name": str(tmp_path), "revision": "0" * 16})
    with pytest.raises(UserError, match="run the study again, which plans it anew"):
        embed_with(spec, ["go"])
