"""What an arm has of its own reaches its stages and no other's, and suites of data and rollouts are apart."""

from __future__ import annotations

from pathlib import Path

from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.study.graph import Graph
from world_modality.study.specs import ReportSpec

ARM = "  E1: {memory: zero}\n"


def with_arm(own: str) -> str:
    """The small study with an arm more."""
    return edited((ARM, f"{ARM}  own: {own}\n"))


def read_by(graph: Graph, name: str) -> dict[str, str]:
    """Role -> name of what a stage reads."""
    names = {key: name for name, key in reversed(graph.names.items())}
    return {each.role: names[each.key] for each in graph.stages[graph.names[name]].inputs}


def new(folder: Path, text: str) -> tuple[Graph, set[str]]:
    """The graph of a study, and names of those of its stages that the small study lacks."""
    before, after = graph_of(folder), graph_of(folder, text)
    return after, {name for name, key in after.names.items() if key not in before.stages}


OWN = {"train/own-seed0", "train/own-seed1"} | {
    f"rollouts/own/seed{seed}/task{task}" for seed in (0, 1) for task in (0, 1)
}


def test_a_memory_of_its_own(tmp_path: Path) -> None:
    graph, added = new(
        tmp_path, with_arm("{memory: pred, world: {prediction_horizon: 2, fusion: suffix, gate_init: 0.5}}")
    )
    assert added == OWN | {"report"}
    world, shared = (graph.stages[graph.names[f"train/{arm}-seed0"]].address["world"] for arm in ("own", "E2"))
    assert {key: world[key] for key in world if world[key] != shared[key]} == {
        "prediction_horizon": 2,
        "fusion": "suffix",
        "gate_init": 0.5,
    }
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    (own,) = (arm for arm in spec.arms if arm.name == "own")
    assert (own.against, set(own.declared)) == (
        "E0",
        {"memory", "world.prediction_horizon", "world.fusion", "world.gate_init"},
    )
    assert own.trainings == tuple(graph.names[f"train/own-seed{seed}"] for seed in (0, 1))


def test_another_setting_of_the_studys_encoder(tmp_path: Path) -> None:
    graph, added = new(tmp_path, with_arm("{memory: pred, encoder: {frames: 2}}"))
    assert added == OWN | {"report", "encoder-own", "latents-own/image"}
    assert graph.stages[graph.names["encoder-own"]].address == {
        **graph.stages[graph.names["encoder"]].address,
        "frames": 2,
    }
    assert read_by(graph, "train/own-seed0")["latents_image"] == "latents-own/image"
    assert read_by(graph, "rollouts/own/seed0/task0")["encoder"] == "encoder-own"
    assert read_by(graph, "train/E2-seed0")["encoder"] == "encoder"


def test_an_encoder_of_its_own_takes_nothing_over(tmp_path: Path) -> None:
    own = "{source: embedded, kind: dinov2, frames: 1, image_size: 32}"
    text = with_arm(f"{{memory: pred, encoder: {own}}}").replace("image_size: 64}", "image_size: 64, seed: 7}")
    graph = graph_of(tmp_path, text)
    made = graph.stages[graph.names["encoder-own"]].address
    assert (made["kind"], made["name"], made["image_size"], made["seed"]) == ("dinov2", "dinov2-small", 32, 0)


def test_another_start_policy(tmp_path: Path) -> None:
    graph, added = new(tmp_path, with_arm("{memory: disabled, policy: {source: folder, path: p}}"))
    assert added == OWN | {"report", "policy-own"}
    assert read_by(graph, "train/own-seed0")["policy"] == "policy-own"
    assert read_by(graph, "relabel/task0")["policy"] == read_by(graph, "train/E0-seed0")["policy"] == "policy"


def test_data_of_one_suite_and_rollouts_of_another(tmp_path: Path) -> None:
    text = edited(
        ("{assets: package, horizon: 220}", "{assets: folder_of_assets}"),
        ("  num_steps: 5\n", "  num_steps: 5\n  suites: [libero_goal]\n  tasks: [4]\n"),
    )
    graph = graph_of(tmp_path, text)
    demos = [request.address for request in graph.of("demos")]
    assert [(each["sim"]["suite"], each["task"]) for each in demos] == [("libero_spatial", 0), ("libero_spatial", 1)]
    rolled = {(each.address["sim"]["suite"], each.address["task"]) for each in graph.of("rollout")}
    assert rolled == {("libero_goal", 4)}
    assert {each.address["horizon"] for each in graph.of("rollout")} == {300}
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    assert spec.suites == ("libero_goal",)
    only = SMALL_STUDY.replace("suite: libero_spatial\ntasks: [0, 1]\n", "")
    named = only.replace("  source: scripted\n", "  source: scripted\n  suites: libero_spatial\n  tasks: [0, 1]\n")
    named = named.replace("  num_steps: 5\n", "  num_steps: 5\n  suites: libero_spatial\n  tasks: [0, 1]\n")
    assert list(graph_of(tmp_path, named).stages) == list(graph_of(tmp_path).stages)
