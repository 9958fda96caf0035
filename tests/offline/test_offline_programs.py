"""The earlier system's three commands on a given checkpoint: tables, files, and one sentence for what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.discrete_world import DiscreteWorld

from world_modality.cli.offline_programs import eval_main, future_main, world_main
from world_modality.data.episodes import dataset_fingerprint
from world_modality.memory.lookup import training_set_of
from world_modality.offline.result import EPISODES, read_result
from world_modality.store.done import DoneFile, Source
from world_modality.store.layout import stage_folder
from world_modality.study.specs import latents_role, tokens_role


def flags(world: DiscreteWorld, model: str, output: Path, *more: object, **settings: Any) -> list[str]:
    checkpoint = world.checkpoint(model, **settings)
    said = ["--checkpoint", checkpoint, "--dataset_name", world.dataset, "--output_dir", output, *more]
    return [str(each) for each in said]


def test_errors_and_forecasts_are_told_and_kept(
    discrete: DiscreteWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eval_main(flags(discrete, "C", tmp_path / "out", "--use_language", "--num_workers", 4))
    told = capsys.readouterr().out
    result = read_result(tmp_path / "out")
    assert (result.model, result.interventions, result.episodes) == ("C", (), discrete.held_out)
    assert (tmp_path / "out" / EPISODES).is_file()
    assert "--use_language has no effect" in told
    assert "--num_workers has no effect" in told
    assert "model        C, on 4 held-out episodes of 2 tasks, " in told
    for word in ("step of the chunk", "a6", "likeliest token", "bigram", "k=4", "fitted on 2 episodes that are not"):
        assert word in told
    with pytest.raises(SystemExit, match="exists already and is never overwritten"):
        eval_main(flags(discrete, "C", tmp_path / "out"))
    eval_main(flags(discrete, "B_cont", tmp_path / "latents", "--episodes", "1-2"))
    assert "cosine of the change" in capsys.readouterr().out
    own = training_set_of(dataset_fingerprint(discrete.dataset), discrete.held_out)
    eval_main(flags(discrete, "A", tmp_path / "train", "--split", "train", world_trained_on=own))
    assert "on 2 episodes that may have been trained on of 2 tasks" in capsys.readouterr().out


def test_interventions_are_those_of_the_mode(
    discrete: DiscreteWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world_main(flags(discrete, "C", tmp_path / "all"))
    assert [each.name for each in read_result(tmp_path / "all").interventions] == [
        f"token_{kind}" for kind in ("uniform", "marginal", "other_episode", "other_task")
    ]
    assert "any token of the codebook" in capsys.readouterr().out
    future_main(
        flags(discrete, "F", tmp_path / "f", "--corruption_mode", "shuffle", "--batch_size", 4, "--max_batches", 2)
    )
    found = read_result(tmp_path / "f")
    assert [each.name for each in found.interventions] == ["memory_other_episode"]
    assert found.frames == 8
    world_main(flags(discrete, "C", tmp_path / "one", "--episodes", "1"))
    assert "left out: the tokens of a frame of another episode: only one episode" in capsys.readouterr().out


def test_what_is_wrong_is_one_sentence(discrete: DiscreteWorld, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="is model B, which reads no world token: give a checkpoint of model C"):
        world_main(flags(discrete, "B", out))
    with pytest.raises(SystemExit, match="is model C, which reads no memory: give one of model F, which is A"):
        future_main(flags(discrete, "C", out))
    with pytest.raises(SystemExit, match="without held-out episodes: name the episodes"):
        eval_main(flags(discrete, "A", out, held_out=False))
    with pytest.raises(SystemExit, match=r"there are no latents in .*nowhere: give the folder"):
        eval_main(flags(discrete, "A", out, "--latents", tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"there are no world tokens in .*nowhere"):
        eval_main(flags(discrete, "B", out, "--world_tokens", tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match="is no folder of latents, but of world tokens: give that of"):
        eval_main(flags(discrete, "A", out, "--latents", discrete.tokens))
    with pytest.raises(SystemExit, match="is no folder of world tokens, but of latents: give that of"):
        eval_main(flags(discrete, "B", out, "--world_tokens", discrete.latents))
    with pytest.raises(SystemExit, match=r"is no folder of latents, it has no latents\.json: give that of their stage"):
        eval_main(flags(discrete, "A", out, "--latents", tmp_path))
    with pytest.raises(SystemExit):
        eval_main(flags(discrete, "A", out, "--episodes", "1-x"))
    assert not out.exists()


def test_what_another_dataset_held_out_is_not_taken_from_this_one(discrete: DiscreteWorld, tmp_path: Path) -> None:
    for split in ("train", "val"):
        given = flags(discrete, "A", tmp_path / "out", "--split", split, world_trained_on="0" * 16)
        with pytest.raises(SystemExit, match="was trained on another dataset, of which it names the episodes that it"):
            eval_main(given)
    given = flags(discrete, "A", tmp_path / "out", "--split", "train", held_out=False, world_trained_on="0" * 16)
    with pytest.raises(SystemExit, match="was trained on another dataset: evaluate it on that one, or name"):
        eval_main(given)


def test_mistakes_in_the_inputs_come_before_a_folder_that_is_there(discrete: DiscreteWorld, tmp_path: Path) -> None:
    for model, settings, message in (
        ("smolvla", {}, "is not a LeRobot checkpoint"),
        ("A", {"held_out": False}, "without held-out episodes: name the episodes"),
        ("A", {}, "exists already and is never overwritten"),
    ):
        given = flags(discrete, "A", tmp_path, **settings)
        if model == "smolvla":
            given[1] = str(tmp_path / "nowhere")
        with pytest.raises(SystemExit, match=message):
            eval_main(given)


def test_a_study_s_checkpoint_is_judged_on_what_its_training_read(
    discrete: DiscreteWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its config.json names folders that are gone, as on another machine."""
    read = {latents_role("image"): discrete.latents, tokens_role("image"): discrete.tokens}
    upstream = []
    for role, source in read.items():
        stage = role.partition("_")[0]
        shutil.copytree(source, stage_folder(tmp_path, stage, "k" * 16).artifact)
        upstream.append(Source(role=role, stage=stage, key="k" * 16))
    made = stage_folder(tmp_path, "train", "t" * 16)
    checkpoint = Path(shutil.copytree(discrete.checkpoint("C"), made.artifact / "pretrained_model"))
    config = json.loads((checkpoint / "config.json").read_text())
    gone = {name: str(tmp_path / "gone") for name in ("world_latents", "world_tokens")}
    (checkpoint / "config.json").write_text(json.dumps(config | gone))
    given = flags(discrete, "C", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    given[1] = str(checkpoint)
    with pytest.raises(SystemExit, match="there are no latents in"):  # nothing says yet who made it
        eval_main(given)
    made.done.write_text(
        DoneFile(
            stage="train",
            key="t" * 16,
            version=1,
            label="train C/0",
            upstream=tuple(upstream),
            content_digest="",
            source_digest="",
            **{empty: {} for empty in ("spec", "address", "software", "files", "facts", "versions")},
        ).model_dump_json()
    )
    eval_main(given)
    assert "model        C, on 4 held-out episodes" in capsys.readouterr().out


def test_they_are_programs() -> None:
    for name in ("eval_offline", "intervention_corrupt_world", "intervention_corrupt_future"):
        done = subprocess.run(
            [sys.executable, "-m", f"world_modality.{name}", "--help"], capture_output=True, text=True, check=True
        )
        assert f"python -m world_modality.{name}" in done.stdout
        assert "--checkpoint" in done.stdout
