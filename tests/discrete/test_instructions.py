"""Instructions as vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.hub_cache import COMMITS, use_hub
from support.tiny_dataset import build_tiny_dataset
from transformers import AutoTokenizer, BertConfig, BertModel

from lerobot_policy_world_modality.backbone import BACKBONES
from world_modality.benchmarks.libero.tasks import instructions
from world_modality.data.episodes import read_episode_table
from world_modality.data.hub import TEXT_MODEL
from world_modality.discrete.instruction_table import embed_with
from world_modality.discrete.instructions import SMALL, embed, read_tasks
from world_modality.errors import UserError
from world_modality.precompute_instruction_embeddings import main
from world_modality.study.instructions import InstructionsSpec


def test_forty_tasks_of_libero_are_forty_vectors_each_by_its_own_words() -> None:
    suites = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
    texts = [text for suite in suites for text in instructions(suite).values()]
    vectors = embed(texts, SMALL, max_length=64)
    assert vectors.shape == (40, 64)
    assert len(np.unique(vectors, axis=0)) == 40
    assert np.array_equal(embed(texts[7:8], SMALL, max_length=64)[0], vectors[7])  # whatever stands beside it


def save_bert(folder: Path) -> Path:
    """A small BERT of random weights, as transformers saves it."""
    tokenizer = AutoTokenizer.from_pretrained(BACKBONES / "smolvlm-tiny")
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


def test_a_model_of_transformers_is_loaded_from_a_folder(tmp_path: Path) -> None:
    vectors = embed(["open the drawer", "close the drawer"], str(save_bert(tmp_path)), max_length=16)
    assert vectors.shape == (2, 32)
    assert not np.array_equal(*vectors)


def test_a_planned_model_is_that_of_its_commit_or_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it lies by then, as a rollout on another machine has it."""
    texts, folder = ["open the drawer"], save_bert(tmp_path / "bert")
    hub = use_hub(tmp_path / "hub", monkeypatch)
    hub.add("distilbert/distilbert-base-uncased", COMMITS[0], folder)
    wanted = embed(texts, str(folder), max_length=16)
    own = {"seed": 0, "max_length": 16}
    of_hub = InstructionsSpec(source="hub", name="distilbert/distilbert-base-uncased", revision=COMMITS[0], **own)
    assert np.array_equal(embed_with(of_hub, texts), wanted)
    assert np.array_equal(embed(texts, "distilbert-base-uncased", max_length=16), wanted)  # as it was once called
    told = InstructionsSpec(source="folder", name=str(folder), revision=TEXT_MODEL.digest(folder), **own)
    assert np.array_equal(embed_with(told, texts), wanted)
    moved = folder.rename(tmp_path / "moved")
    known = InstructionsSpec.model_validate(told.address())  # as a checkpoint knows it
    assert known.name == "folder"
    assert np.array_equal(embed_with(known, texts, moved), wanted)
    with pytest.raises(UserError, match="is not there, and"):
        embed_with(told, texts)
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    with pytest.raises(UserError, match="put back the files"):
        embed_with(known, texts, moved)


def test_what_is_no_text_or_no_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="instruction of task 1 is empty"):
        embed(["open the drawer", " "], SMALL, max_length=16)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no language model"):
        embed(["open the drawer"], str(tmp_path), max_length=16)


def test_tasks_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"task_index": 1, "task": "b"}\n\n{"task_index": 0, "task": "a"}\n')
    assert read_tasks(file) == {1: "b", 0: "a"}
    file.write_text('{"task_index": 1, "task": "b"}\n{"task_index": 1, "task": "a"}\n')
    with pytest.raises(UserError, match=r"tasks.jsonl:2: task_index 1 is there twice"):
        read_tasks(file)
    file.write_text('{"task": "b"}\n')
    with pytest.raises(UserError, match="cannot be read"):
        read_tasks(file)


def test_every_frame_has_its_own_task_s_vector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = build_tiny_dataset(tmp_path / "set", episodes=4, frames=6)
    flags = ["--dataset_name", str(dataset), "--cache_dir", str(tmp_path / "cache"), "--text_model_name", SMALL]
    main([*flags, "--batch_size", "3"])
    assert "--batch_size has no effect" in capsys.readouterr().out
    rows = np.load(tmp_path / "cache" / "set" / "train_instruction_embeddings.fp16.npy")
    about = json.loads((tmp_path / "cache" / "set" / "train_instructions.json").read_text())
    table = read_episode_table(dataset)
    assert rows.shape == (table.frames, 64)
    vectors = {text: embed([text], SMALL, max_length=64)[0].astype(np.float16) for text in about["texts"].values()}
    for start, end, text in zip(table.starts, table.ends, table.tasks, strict=True):
        assert (rows[start:end] == vectors[text]).all()
    with pytest.raises(SystemExit, match="never overwritten"):
        main(flags)


def test_texts_of_a_file_take_the_place_of_the_dataset_s(tmp_path: Path) -> None:
    dataset = build_tiny_dataset(tmp_path / "set", episodes=2, frames=4)
    file = tmp_path / "tasks.jsonl"
    flags = ["--dataset_name", str(dataset), "--cache_dir", str(tmp_path), "--text_model_name", SMALL]
    flags += ["--split", "own", "--tasks_jsonl", str(file)]
    file.write_text("")
    with pytest.raises(SystemExit, match="has no text for task 0"):
        main(flags)
    file.write_text("".join(json.dumps({"task_index": n, "task": f"task number {n}"}) + "\n" for n in range(9)))
    main(flags)
    rows = np.load(tmp_path / "set" / "own_instruction_embeddings.fp16.npy")
    assert (rows[0] == embed(["task number 0"], SMALL, max_length=64)[0].astype(np.float16)).all()
