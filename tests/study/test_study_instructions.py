"""Instructions in a study: one stage of the dataset, by the language model that it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hub_cache import COMMITS, use_hub
from support.small_study import DISCRETE_STUDY as PLAIN
from support.small_study import SMALL_STUDY, fixed_sources, graph_of

from world_modality.cli.sources import resolve_sources
from world_modality.data.hub import TEXT_MODEL
from world_modality.errors import UserError
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.instructions import INSTRUCTIONS
from world_modality.study.labels import parts_of
from world_modality.study.latent_stages import instructions_inputs
from world_modality.study.load import load_study
from world_modality.study.snapshot import read_snapshot, write_snapshot

EMBEDDED = "instructions: {source: embedded}\n"


def stage_of(folder: Path, text: str) -> tuple[Graph, StageRequest]:
    """A study's graph, and the instructions that a training of it would read."""
    graph = graph_of(folder, text)
    study = load_study(folder / "study.yaml").study
    (read,) = instructions_inputs(graph, study, fixed_sources(study), graph.stages[graph.names["dataset"]])
    assert (read.role, read.stage) == (INSTRUCTIONS, "instructions")
    return graph, graph.stages[read.key]


def test_a_training_reads_one_stage_of_its_dataset(tmp_path: Path) -> None:
    graph, made = stage_of(tmp_path, PLAIN + EMBEDDED)
    assert graph.names["instructions"] == made.key
    assert [(each.role, each.key) for each in made.inputs] == [("dataset", graph.names["dataset"])]
    model = {"source": "embedded", "name": "text-small", "revision": "", "seed": 0, "max_length": 64}
    assert made.address == {**model, "arithmetic": "native"}
    assert made.software.keys() == {"torch", "transformers"}
    assert read_snapshot(write_snapshot(tmp_path, graph)).stages[made.key].spec == made.spec
    study = load_study(tmp_path / "study.yaml").study
    assert ("language model", "embedded text-small") in parts_of(study, fixed_sources(study))


def test_who_asks_for_none_reads_none(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, PLAIN)
    study = load_study(tmp_path / "study.yaml").study
    dataset = graph.stages[graph.names["dataset"]]
    assert instructions_inputs(graph, study, fixed_sources(study), dataset) == ()
    assert "instructions" not in graph.names


OTHERS = (
    "instructions: {source: embedded, seed: 1}\n",
    "instructions: {source: embedded, max_length: 32}\n",
    "instructions: {source: hub, revision: main}\n",
    "instructions: {source: hub, repo_id: a/b, revision: main}\n",
    "instructions: {source: folder, path: bert}\n",
)


def test_every_setting_makes_others(tmp_path: Path) -> None:
    keys = {stage_of(tmp_path, PLAIN + written)[1].key for written in (EMBEDDED, *OTHERS)}
    assert len(keys) == 1 + len(OTHERS)


def test_a_model_is_known_by_commit_or_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    hub.add("distilbert/distilbert-base-uncased", COMMITS[0], {"config.json": "{}"})
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    found = []
    for written in (EMBEDDED, OTHERS[2], f"instructions: {{source: folder, path: {folder}}}\n"):
        path = tmp_path / "study.yaml"
        path.write_text(PLAIN + written)
        found.append(resolve_sources(load_study(path), tmp_path / "results").instructions)
    assert [(each.name, each.revision) for each in found if each] == [
        ("text-small", ""),
        ("distilbert/distilbert-base-uncased", COMMITS[0]),
        (str(folder), TEXT_MODEL.digest(folder)),
    ]


REFUSED = {
    "instructions: {}": "instructions: 'source' is missing",
    "instructions: {source: web}": "instructions.source: 'web' is not a source; choose one of embedded, hub, folder",
    "instructions: {source: embedded, max_length: 0}": "instructions.max_length: must be greater than 0, not 0",
    "instructions: {source: embedded, path: x}": "instructions.path: unknown key",
    "instructions: {source: hub}": "instructions: 'revision' is missing",
    "instructions: {source: embedded}": "instructions: are read by policies that see latents alone, and no arm has one",
}


@pytest.mark.parametrize("written", REFUSED)
def test_wrong_settings_are_refused_where_they_stand(tmp_path: Path, written: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SMALL_STUDY + written + "\n")
    with pytest.raises(UserError) as told:
        load_study(path)
    assert f"study.yaml:24: {REFUSED[written]}" in str(told.value)


def test_a_folder_without_a_model_and_a_study_without_a_training(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(PLAIN + f"instructions: {{source: folder, path: {tmp_path}}}\n")
    with pytest.raises(UserError, match=r"study.yaml:\d+: instructions.path: .* holds no config.json"):
        resolve_sources(load_study(path), tmp_path / "results")
    path.write_text(
        "study: given\nsuite: libero_spatial\ntasks: [0]\narms:\n  A: {checkpoint: {source: folder, path: a}}\n"
        "rollouts: {init_states: 0-3, episodes: 4}\n" + EMBEDDED
    )
    with pytest.raises(UserError, match="instructions: nothing is trained here"):
        load_study(path)
