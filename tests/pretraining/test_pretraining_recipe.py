from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import STAND_INS

from workflow.tools.embedded_encoder import RECIPE, needed
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS
from world_modality.pretraining.plan import plan_recipe, read_recipe


def recipe(tmp_path: Path, **footage: Any) -> Path:
    """The shipped one on few scenes of the stand-ins."""
    told = yaml.safe_load(RECIPE.read_text())
    told["pictures"]["assets"] = str(STAND_INS)
    told["footage"] |= {"tasks": {"libero_spatial": [0, 1]}, "reels": 1} | footage
    told["held_out"] |= {"tasks": {"libero_spatial": [2]}, "reels": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


@pytest.mark.parametrize("path", sorted(RECIPE.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_recipe_holds_out_tasks_of_every_suite_that_it_trains_on(path: Path) -> None:
    shipped = read_recipe(path)
    assert set(shipped.held_out.tasks) == set(shipped.footage.tasks)
    for suite, tasks in (*shipped.footage.tasks.items(), *shipped.held_out.tasks.items()):
        assert set(tasks) <= set(range(SUITES[suite].tasks))
    assert {*shipped.footage.cameras, *shipped.held_out.cameras} <= set(SUITES["libero_10"].cameras)
    assert ENCODERS["vjepa2"].patch_of("vjepa2-libero") == shipped.network.patch


def test_encoders_read_the_footage_and_probes_what_is_held_out(tmp_path: Path) -> None:
    graph = plan_recipe(read_recipe(recipe(tmp_path)))
    held_out = {key for name, key in graph.names.items() if name.startswith("held-out/")}
    filmed = {key for name, key in graph.names.items() if name.startswith("footage/")}
    assert (len(held_out), len(filmed)) == (1, 2)
    for request in graph.of("probes"):
        assert {each.key for each in request.inputs if each.role == "footage"} == held_out
    trained = graph.stages[graph.names["pretraining/masked"]]
    assert {each.key for each in trained.inputs} == filmed
    assert not graph.stages[graph.names["pretraining/untrained-0.1"]].inputs
    assert {name for name in graph.names if name.startswith("probes/")} == {
        f"probes/{name}"
        for name in ("masked", "temporal", "untrained-0.02", "untrained-0.1", "untrained-0.1-seed1", "vjepa2-small")
    }


def test_an_encoder_is_made_from_what_it_needs_alone(tmp_path: Path) -> None:
    graph = plan_recipe(read_recipe(recipe(tmp_path)))
    kinds = [graph.stages[key].stage for key in needed(graph, ["untrained-0.1", "vjepa2-small"])]
    assert sorted(kinds) == ["encoder", "footage", "pretraining", "probes", "probes"]
    assert len(needed(graph, ["masked"])) == 2 + 1 + 1 + 1
    with pytest.raises(UserError, match=r"no encoder mask: choose some of vjepa2-small, untrained-0\.02"):
        needed(graph, ["mask"])


def test_more_reels_add_stages_and_repeat_none(tmp_path: Path) -> None:
    one, two = (plan_recipe(read_recipe(recipe(tmp_path, reels=reels))) for reels in (1, 2))
    keys = [[request.key for request in graph.of("footage")] for graph in (one, two)]
    assert len(set(keys[1]) - set(keys[0])) == 2
    assert set(keys[0]) < set(keys[1])
    assert one.names["probes/vjepa2-small"] == two.names["probes/vjepa2-small"]
    assert one.names["probes/masked"] != two.names["probes/masked"]


def test_what_is_trained_on_is_not_held_out(tmp_path: Path) -> None:
    path = recipe(tmp_path, tasks={"libero_spatial": [0, 2]})
    with pytest.raises(UserError, match="libero_spatial task 2 is in footage and held_out: take it out of one"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("line", "told"), [("exported: masked", "exported"), ("folds: 5", "probes.folds"), ("  reels: 3", "held_out.reels")]
)
def test_a_mistake_in_a_recipe_is_told_with_its_place(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.read_text().replace(line, f"{line.partition(':')[0]}: []"))
    with pytest.raises(UserError, match=f"{path}: .*{told}"):
        read_recipe(path)
