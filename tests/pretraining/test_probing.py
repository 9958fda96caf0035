import json
from pathlib import Path
from typing import Any

import pytest
from support.data_stages import encoder_spec, stage_context
from support.toy_footage import SIZE, toy_reel

from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.pretraining.comparison import difference, explained, shortfalls, table
from world_modality.pretraining.probing import PROBES, run
from world_modality.pretraining.specs import ProbesSpec


def probed(folder: Path, reels: tuple[Path, ...], seed: int = 0, camera: str = "image") -> dict[str, Any]:
    spec = ProbesSpec(encoder=encoder_spec(image_size=SIZE, seed=seed), camera=camera, folds=3, seed=0)
    build_embedded_encoder(spec.encoder, folder / "encoder")
    context = stage_context(folder, encoder=folder / "encoder", footage=reels)
    run(spec, context)
    told: dict[str, Any] = json.loads((context.artifact / PROBES).read_text())
    return told


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The probes of two random encoders on the same reels, two of one task."""
    folder = tmp_path_factory.mktemp("probes")
    reels = (toy_reel(folder / "a", 30), toy_reel(folder / "b", 20, task=1))
    return probed(folder / "zero", reels), probed(folder / "one", reels, seed=1)


def test_probes_tell_where_a_dot_is_by_task(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    found = two[0]
    assert {name: task["episodes"] for name, task in found["tasks"].items()} == {
        "libero_spatial 0": 30,
        "libero_spatial 1": 20,
    }
    task = found["tasks"]["libero_spatial 0"]
    assert task["clips"] == 30 * 9
    assert set(task["groups"]["objects"]["targets"]) == {"dot x", "dot y"}  # the stone and z never change
    assert len(task["groups"]["objects"]["errors"]["probe"]) == 30
    assert explained(found, "objects") > 0.15
    assert explained(found, "object velocities") < explained(found, "objects")
    assert found["width"] == 128
    assert found["latents"]["effective_rank"] > 1


@pytest.mark.parametrize(("episodes", "camera", "had"), [(5, "image", 5), (6, "image2", 0)])
def test_too_few_episodes_of_a_camera_are_refused(episodes: int, camera: str, had: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"libero_spatial 0 need 6 episodes filmed by {camera} and have {had}: raise"):
        probed(tmp_path, (toy_reel(tmp_path / "reel", episodes),), camera=camera)


def test_an_encoder_differs_from_itself_by_nothing(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    same, other = difference(two[0], two[0], "objects"), difference(two[0], two[1], "objects")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert other.low < other.value < other.high
    assert other.value == pytest.approx(explained(two[0], "objects") - explained(two[1], "objects"))


def test_probes_of_other_episodes_are_not_compared(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    fewer = {**two[1], "tasks": {"libero_spatial 0": two[1]["tasks"]["libero_spatial 0"]}}
    with pytest.raises(ValueError, match="probed on other episodes"):
        difference(two[0], fewer, "hand")


def with_errors(probes: dict[str, Any], factor: float, groups: tuple[str, ...]) -> dict[str, Any]:
    """The same probes with so many times the errors."""
    changed: dict[str, Any] = json.loads(json.dumps(probes))
    for task in changed["tasks"].values():
        for group in groups:
            errors = task["groups"][group]["errors"]
            errors["probe"] = [factor * each for each in errors["mean"]]
    return changed


def test_the_margin_asks_for_objects_and_their_velocities_and_for_no_loss(
    two: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    deciding = ("objects", "object velocities")
    base = with_errors(two[0], 0.5, (*deciding, "hand", "gripper"))
    base["latents"]["effective_rank_within_tasks"] = 9.0
    better = with_errors(base, 0.44, deciding)
    assert shortfalls(better, base, "random") == []
    slightly = with_errors(base, 0.46, deciding)
    assert [line.split(":")[0] for line in shortfalls(slightly, base, "random")] == list(deciding)
    worse = with_errors(better, 0.53, ("hand",))
    assert shortfalls(worse, base, "random") == [
        "hand: -0.030 [-0.030, -0.030] than random, where no less than -0.02 is asked"
    ]
    collapsed = {**better, "latents": {**better["latents"], "effective_rank_within_tasks": 1.5}}
    assert shortfalls(collapsed, base, "random") == ["effective rank 1.5 within tasks, where 8 is asked"]


def test_the_table_names_encoders_groups_and_gains(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    lines = table({"mine": two[0], "random": two[1]}, ["random"]).splitlines()
    assert lines[0] == "| share of variance explained | mine | random |"
    assert f"| objects | {explained(two[0], 'objects'):.3f} | {explained(two[1], 'objects'):.3f} |" in lines
    assert "| gain over random | mine |" in lines
