"""The stage "offline": what it reads, what it leaves, and which trainings a study has it for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.data_stages import stage_context
from support.discrete_world import SHARE, DiscreteWorld
from support.small_study import graph_of

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.offline.result import read_result
from world_modality.offline.stage import run
from world_modality.store.files import files_below
from world_modality.store.stage import StageContext
from world_modality.study import offline_stages
from world_modality.study.offline_stages import OfflineSpec

SPEC = OfflineSpec(family="world_transformer", held_out=SHARE, frames=20, seed=0, threads=1, device="cpu")


def context_of(world: DiscreteWorld, folder: Path, model: str, *, held_out: bool = True) -> StageContext:
    tokens = world.tokens_of(model)
    read = {"latents_image": world.latents} | ({} if tokens is None else {"tokens_image": tokens})
    checkpoint = world.checkpoint(model, held_out=held_out)
    context = stage_context(folder, checkpoint=checkpoint, dataset=world.dataset, **read)
    return replace(context, input_keys={"checkpoint": ("c" * 16,)})


def test_a_checkpoint_is_judged_on_what_the_study_holds_out_and_files_come_again(
    discrete: DiscreteWorld, tmp_path: Path
) -> None:
    made = []
    for folder in ("one", "two"):
        context = context_of(discrete, tmp_path / folder, "C")
        facts = run(SPEC, context)
        made.append({name: path.read_bytes() for name, path in files_below(context.artifact)})
    assert made[0] == made[1]
    assert set(made[0]) == {"offline.json", "episodes.parquet"}
    result = read_result(context.artifact)
    assert facts == {"model": "C", "frames": 20, "episodes": len(discrete.held_out)}
    assert (result.training, result.episodes, result.held_out) == ("c" * 16, discrete.held_out, True)
    assert "next token right" in context.progress._stream.getvalue()


def test_other_held_out_episodes_than_the_checkpoint_s_are_refused(discrete: DiscreteWorld, tmp_path: Path) -> None:
    for held_out, share in ((True, 0.0), (True, 0.2), (False, SHARE)):
        context = context_of(discrete, tmp_path / f"{held_out}{share}", "A", held_out=held_out)
        with pytest.raises(UserError, match="by the share that it was trained with"):
            run(SPEC.model_copy(update={"held_out": share}), context)
    context = context_of(discrete, tmp_path / "none", "A", held_out=False)
    run(SPEC.model_copy(update={"held_out": 0.0}), context)
    result = read_result(context.artifact)
    assert (result.held_out, len(result.episodes)) == (False, 6)


def test_every_training_of_the_family_has_one_and_the_report_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(graph_of(tmp_path).of("offline"))  # none of its arms is of the discrete line
    monkeypatch.setattr(offline_stages, "FAMILY", "smolvla")
    graph = graph_of(tmp_path)
    found = list(graph.of("offline"))
    trained = [each.key for each in graph.report.inputs if each.role == "train"]
    assert [each.inputs[0].key for each in found] == trained
    assert [each.key for each in graph.report.inputs if each.role == "offline"] == [each.key for each in found]
    for each in found:
        training = graph.stages[each.inputs[0].key]
        assert each.inputs[0].folder == "pretrained_model"
        wanted = [known for known in training.inputs if known.role.startswith(("dataset", "latents_"))]
        assert list(each.inputs[1:]) == wanted
        assert each.spec.held_out == training.spec.held_out
    assert graph.names["offline/E2-seed1"] == found[-1].key
    assert STAGES["offline"].target == "offline"
