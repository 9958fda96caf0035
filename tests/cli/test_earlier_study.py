"""A study of an earlier system's checkpoints, as its author would run it: planned, and rolled out for a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.earlier_checkpoints import earlier_checkpoint, earlier_e1
from support.pictures import see_pictures_of
from support.tiny_cell import stage_context
from support.tiny_checkpoints import ENCODER, plain_checkpoint, seal_encoder
from support.toy_results import ToyResults

from world_modality.cli.planning import plan_study
from world_modality.cli.study_init import init_lines
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.policies import BIAS_CONTROL, POLICIES
from world_modality.report.given import given_table
from world_modality.rollout.setup import prepare
from world_modality.study.graph import Graph
from world_modality.study.specs import EncoderSpec, ReportArm, RolloutSpec

SIZE = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    found = {
        "E0": plain_checkpoint(root / "E0"),
        "E1": earlier_e1(root / "E1"),
        "E2": earlier_checkpoint(root / "E2"),
        "encoder": root / "encoder",
    }
    for name in ("E0", "E1", "E2"):
        see_pictures_of(found[name], SIZE)
    build_embedded_encoder(ENCODER, found["encoder"])
    return found


def study(folders: dict[str, Path], folder: Path, **changes: str) -> Path:
    """The file that `wm study init` writes of them, with where the encoder lies."""
    text = "\n".join(init_lines([str(folders[name]) for name in ("E0", "E1", "E2")], "libero_spatial"))
    text = text.replace("assets: hub", "assets: package")
    at = "    ablations:"
    text = text.replace(at, f"    encoder: {{source: folder, path: {folders['encoder']}}}\n{at}") + "\n"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "study.yaml"
    file.write_text(text)
    return file


def planned(folders: dict[str, Path], folder: Path) -> Graph:
    return plan_study(study(folders, folder), folder / "results").graph


def test_it_is_written_and_planned_as_its_author_would(folders: dict[str, Path], tmp_path: Path) -> None:
    text = study(folders, tmp_path).read_text()
    assert "E1: # SmolVLA with the earlier world memory, trained with memory zero" in text
    assert "rollout: zero # as trained; its own settings say pred" in text
    assert "ablations: [zero, standard_normal, random_scaled, signflip]" in text
    graph = planned(folders, tmp_path)
    spec = graph.report.spec
    assert [(each.name, each.trained, each.rolled, each.against) for each in spec.conditions] == [
        ("E0", "disabled", "disabled", ""),
        ("E1", "zero", "zero", "E0"),
        ("E2", "pred", "pred", "E0"),
        ("E2-zero", "pred", "zero", "E2"),
        ("E2-standard_normal", "pred", "standard_normal", "E2"),
        ("E2-random_scaled", "pred", "random_scaled", "E2"),
        ("E2-signflip", "pred", "signflip", "E2"),
    ]
    (encoder,) = graph.of("encoder")
    assert (encoder.address["source"], encoder.address["frames"], encoder.address["dtype"]) == ("folder", 4, "float16")


def test_what_it_cannot_know_is_refused_when_it_is_planned(folders: dict[str, Path], tmp_path: Path) -> None:
    file = study(folders, tmp_path, standard_normal="random")
    with pytest.raises(UserError, match=r"arms.E2.checkpoint: it does not know .* memory random .* standard_normal"):
        plan_study(file, tmp_path / "results")


@pytest.mark.parametrize("condition", ["E2", "E2-zero"])
def test_its_rollouts_can_be_prepared(folders: dict[str, Path], tmp_path: Path, condition: str) -> None:
    """The encoder is a stage's sealed folder, and pictures still reach it by way of SmolVLA's size."""
    graph = planned(folders, tmp_path)
    rollout = next(each for each in graph.of("rollout") if each.label.startswith(f"rollout {condition}/"))
    (stage,) = graph.of("encoder")
    assert isinstance(stage.spec, EncoderSpec)
    assert isinstance(rollout.spec, RolloutSpec)
    folder = seal_encoder(ToyResults(tmp_path / "toy"), stage.spec)
    build_embedded_encoder(ENCODER, folder)
    context = stage_context(tmp_path / "stage", {"checkpoint": (folders["E2"],), "encoder": (folder,)})
    policy, cell, new_history = prepare(rollout.spec, context)
    assert cell.note == ("" if condition == "E2" else BIAS_CONTROL)
    assert (new_history is None) == (condition == "E2-zero")
    if new_history is not None:
        spec = new_history()._encoder.encoder.spec
        assert (spec.address()["padded_to"], spec.frames) == (policy.config.world_encoder_padded_to, 4)


def test_the_report_says_what_they_are(folders: dict[str, Path]) -> None:
    arms = [ReportArm(name="E1", against="", declared=(), trainings=(), checkpoints=("E1",))]
    place = folders["E1"].parent / "E1" / "artifact"
    place.symlink_to(folders["E1"])
    (row,) = given_table(arms, [place])["rows"]
    assert (row["family"], row["memory"]) == (POLICIES["smolvla_world_earlier"].label, "zero")
    assert row["encoder"] == "facebook/vjepa2-vitg-fpc64-256"
    place.unlink()
