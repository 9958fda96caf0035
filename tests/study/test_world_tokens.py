"""World tokens in a study: a stage per camera, even without a memory, and settings that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.study.graph import Graph
from world_modality.study.load import load_study

PLAIN = SMALL_STUDY.replace("  E1: {memory: zero}\n  E2: {memory: pred, ablations: [zero, random]}\n", "")
TOKENS = "tokens: {size: 32, seed: 3}\n"


def inputs(graph: Graph, name: str) -> list[tuple[str, str]]:
    names = {key: name for name, key in graph.names.items()}
    return [(each.role, names[each.key]) for each in graph.stages[graph.names[name]].inputs]


def test_a_study_without_a_memory_makes_latents_for_its_tokens(tmp_path: Path) -> None:
    plain, graph = graph_of(tmp_path, PLAIN), graph_of(tmp_path, PLAIN + TOKENS)
    assert graph.names.keys() - plain.names.keys() == {"encoder", "latents/image", "tokens/image"}
    changed = {name for name in plain.names if plain.names[name] != graph.names[name]}
    assert changed == {"report"}
    assert inputs(graph, "tokens/image") == [("latents", "latents/image"), ("dataset", "dataset")]
    assert ("tokens", "tokens/image") in inputs(graph, "report")
    address = graph.stages[graph.names["tokens/image"]].address
    assert address == {
        **{"size": 32, "l2_normalise": False, "seed": 3, "iterations": 25, "sample": 200_000, "held_out": 0.1},
        "arithmetic": "native",
    }
    assert "faiss-cpu" in graph.stages[graph.names["tokens/image"]].software
    order = [request.stage for request in graph.stages.values()]
    assert order.index("latents") < order.index("tokens") < order.index("train")


def test_tokens_are_made_of_the_latents_that_memories_read(tmp_path: Path) -> None:
    study = edited(("image_size: 64}", "image_size: 64, cameras: [image, image2]}"))
    without, graph = graph_of(tmp_path, study), graph_of(tmp_path, study + TOKENS)
    assert graph.names.keys() - without.names.keys() == {"tokens/image", "tokens/image2"}
    for camera in ("image", "image2"):
        assert inputs(graph, f"tokens/{camera}")[0] == ("latents", f"latents/{camera}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TOKENS, "tokens: {size: 33, seed: 3}\n"),
        (TOKENS, "tokens: {size: 32, seed: 4}\n"),
        (TOKENS, "tokens: {size: 32, seed: 3, l2_normalise: true}\n"),
        (TOKENS, "tokens: {size: 32, seed: 3, iterations: 24}\n"),
        (TOKENS, "tokens: {size: 32, seed: 3, sample: 1000}\n"),
    ],
)
def test_every_setting_makes_other_tokens_and_no_other_training(tmp_path: Path, one: str, other: str) -> None:
    a, b = graph_of(tmp_path, SMALL_STUDY + one), graph_of(tmp_path, SMALL_STUDY + other)
    assert {name for name in a.names if a.names[name] != b.names[name]} == {"tokens/image", "report"}


def test_other_held_out_episodes_make_other_tokens(tmp_path: Path) -> None:
    text = PLAIN + TOKENS
    a = graph_of(tmp_path, text)
    b = graph_of(tmp_path, text.replace("  source: scripted\n", "  source: scripted\n  held_out: 0.2\n"))
    assert a.names["latents/image"] == b.names["latents/image"]
    assert a.names["tokens/image"] != b.names["tokens/image"]


REFUSED = {
    "tokens: {size: 1}": "tokens.size: must be at least 2, not 1",
    "tokens: {size: 100000}": "tokens.size: must be at most 8192, not 100000",
    "tokens: {codes: 64}": "tokens.codes: unknown key",
    "tokens: {sample: 63}": "tokens.sample: 63 latents are too few for 64 codes; choose at least as many",
    "tokens: {iterations: 0}": "tokens.iterations: must be greater than 0, not 0",
    "tokens: 64": "tokens: must hold keys of its own, not 64",
    "tokens: {l2_normalise: 1}": "tokens.l2_normalise: ",
}


@pytest.mark.parametrize("written", REFUSED)
def test_wrong_settings_are_refused_where_they_stand(tmp_path: Path, written: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SMALL_STUDY + written + "\n")
    with pytest.raises(UserError) as told:
        load_study(path)
    assert f"study.yaml:24: {REFUSED[written]}" in str(told.value)


def test_tokens_need_an_encoder_and_a_training(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    encoder = "encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n"
    path.write_text(PLAIN.replace(encoder, "") + TOKENS)
    with pytest.raises(UserError, match="tokens: are made of latents, and 'encoder' is missing"):
        load_study(path)
    path.write_text(
        "study: given\nsuite: libero_spatial\ntasks: [0]\narms:\n  A: {checkpoint: {source: folder, path: a}}\n"
        "rollouts: {init_states: 0-3, episodes: 4}\n" + TOKENS
    )
    with pytest.raises(UserError, match="tokens: nothing is trained here"):
        load_study(path)
