"""Which stages a study has, and exactly which of them a changed value makes anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import small_study
from support.small_study import KEPT_STUDY

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import small_encoders
from world_modality.facts.policies import small_policies
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.sources import Assets
from world_modality.study.specs import ReportSpec

edited = partial(small_study.edited, text=KEPT_STUDY)
TASKS, SEEDS = (0, 1), (0, 1)
CONDITIONS = ("E0", "E1", "E2", "E2-zero", "E2-random")
REPORT = {"report"}
ENCODER = {"encoder"}
LATENTS, WRIST = {"latents/image"}, {"latents/image2"}
DATASET = {"dataset"}
DEMOS = {f"demos/task{task}" for task in TASKS}
RELABEL = {f"relabel/task{task}" for task in TASKS}


def train(*arms: str, seeds: Iterable[int] = SEEDS) -> set[str]:
    return {f"train/{arm}-seed{seed}" for arm in arms for seed in seeds}


def rollouts(*conditions: str, seeds: Iterable[int] = SEEDS, tasks: Iterable[int] = TASKS, block: str = "") -> set[str]:
    return {
        f"rollouts/{condition}/seed{seed}/task{task}{block}"
        for condition in conditions
        for seed in seeds
        for task in tasks
    }


def prophets(seeds: Iterable[int] = SEEDS, arm: str = "") -> set[str]:
    return {f"prophet{arm}/seed{seed}" for seed in seeds}


E2 = train("E2") | rollouts("E2", "E2-zero", "E2-random") | REPORT
WORLD_ARMS = train("E1") | rollouts("E1") | E2
FORESEEN = prophets() | WORLD_ARMS
ARMS = train("E0") | rollouts("E0") | WORLD_ARMS
FROM_DATA = DATASET | LATENTS | prophets() | ARMS
ROLLOUTS = rollouts(*CONDITIONS) | REPORT

WORLD_ENDS = ", prediction_horizon: 8}"
CHANGES = {
    "prophet depth": ((("prophet_layers: 2", "prophet_layers: 3"),), FORESEEN),
    "K": (((", prediction_horizon: 8}", ", prediction_horizon: 4}"),), FORESEEN),
    "rank of the linear part": (((WORLD_ENDS, ", prediction_horizon: 8, prophet_rank: 3}"),), FORESEEN),
    "Prophets that the arms go on training": (
        ((WORLD_ENDS, ", prediction_horizon: 8, prophet: tuned}"),),
        WORLD_ARMS,
    ),
    "Prophets that only the arms train": (((WORLD_ENDS, ", prediction_horizon: 8, prophet: joint}"),), WORLD_ARMS),
    "another place of the memory": (((WORLD_ENDS, ", prediction_horizon: 8, fusion: suffix}"),), WORLD_ARMS),
    "an arm's own Prophet": (
        (("{memory: pred, ab", "{memory: pred, world: {prophet_steps: 50}, ab"),),
        prophets(arm="-E2") | E2,
    ),
    "an arm that says what holds anyway": (
        (("{memory: pred, ab", "{memory: pred, world: {lambda_world: 0.2, detach: false, prophet: kept}, ab"),),
        set(),
    ),
    "T": (((WORLD_ENDS, ", prediction_horizon: 8, context: 2}"),), FORESEEN),
    "how sure to be": ((("  num_steps: 5\n", "  num_steps: 5\nevidence: {margin: 0.02}\n"),), REPORT),
    "what it may cost": ((("  num_steps: 5\n", "  num_steps: 5\nevidence: {hours: {training: 2.0}}\n"),), set()),
    "another seed": (
        (("seeds: [0, 1]", "seeds: [0, 1, 2]"),),
        prophets([2]) | train("E0", "E1", "E2", seeds=[2]) | rollouts(*CONDITIONS, seeds=[2]) | REPORT,
    ),
    "one seed less": ((("seeds: [0, 1]", "seeds: [1]"),), REPORT),
    "encoder m": ((("frames: 4", "frames: 2"),), ENCODER | LATENTS | FORESEEN),
    "camera of the latents": (
        (("image_size: 64}", "image_size: 64, cameras: [image2]}"),),
        WRIST | FORESEEN,
    ),
    "a camera more": (  # the latents of the other one stay
        (("image_size: 64}", "image_size: 64, cameras: [image, image2]}"),),
        WRIST | FORESEEN,
    ),
    "an arm with cameras of its own": (
        (("{memory: pred, ab", "{memory: pred, encoder: {cameras: [image, image2]}, ab"),),
        WRIST | prophets(arm="-E2") | E2,
    ),
    "a default camera that the only arms with a memory do not have": (
        (
            ("image_size: 64}", "image_size: 64, cameras: [image2]}"),
            ("{memory: zero}", "{memory: zero, encoder: {cameras: [image]}}"),
            ("{memory: pred, ab", "{memory: pred, encoder: {cameras: [image]}, ab"),
        ),
        REPORT,  # which knows what arms have otherwise than the study
    ),
    "training steps": ((("steps: 10\n", "steps: 20\n"),), ARMS),
    "processes of a training": ((("batch_size: 2", "batch_size: 2\n  processes: 2"),), ARMS),
    "CPU threads of the trainings": ((("batch_size: 2", "batch_size: 2\n  threads: 3"),), prophets() | ARMS),
    "numbers of the trainings": ((("batch_size: 2", "batch_size: 2\n  dtype: bfloat16"),), ARMS),
    "device of the trainings, and of the policy that drives": (
        (("batch_size: 2", "batch_size: 2\n  device: cpu"),),
        RELABEL | FROM_DATA,
    ),
    "numbers of the rollouts": ((("num_steps: 5", "num_steps: 5\n  dtype: bfloat16"),), ROLLOUTS),
    "device of the rollouts": ((("num_steps: 5", "num_steps: 5\n  device: cpu"),), ROLLOUTS),
    "learning rate of the world modules": ((("batch_size: 2", "batch_size: 2\n  world_lr: 5e-4"),), WORLD_ARMS),
    "another share held out": (
        (("  source: scripted\n", "  source: scripted\n  held_out: 0\n"),),
        prophets() | ARMS,
    ),
    "more demonstrations": ((("{per_task: 2,", "{per_task: 3,"),), DEMOS | FROM_DATA),
    "more relabelled episodes": ((("{per_task: 1,", "{per_task: 2,"),), RELABEL | FROM_DATA),
    "demonstrations from drawn scenes": (
        (("{per_task: 2, init_states: 0-9}", "{per_task: 2, init_states: sampled}"),),
        DEMOS | FROM_DATA,
    ),
    "no relabelling": ((("  relabel: {per_task: 1, init_states: 0-9}\n", ""),), FROM_DATA),
    "an arm renamed": ((("  E1: {memory: zero}", "  control: {memory: zero}"),), REPORT),
    "the study renamed": ((("study: small", "study: smaller"),), REPORT),
    "integration steps": ((("num_steps: 5", "num_steps: 10"),), ROLLOUTS),
    "executed actions": ((("num_steps: 5", "num_steps: 5\n  n_action_steps: 5"),), ROLLOUTS),
    "episodes doubled by repeats": (
        (("episodes: 4", "episodes: 8"),),
        rollouts(*CONDITIONS, block="-block-1") | REPORT,
    ),
    "other initial states": ((("init_states: 30-33", "init_states: 34-37"),), ROLLOUTS),
    "an ablation less": ((("[zero, random]", "[zero]"),), REPORT),
    "an arm less": ((("  E1: {memory: zero}\n", ""),), REPORT),
    "another task": (
        (("tasks: [0, 1]", "tasks: [0, 1, 2]"),),
        {"demos/task2", "relabel/task2"} | FROM_DATA | rollouts(*CONDITIONS, tasks=[2]),
    ),
    "another start policy": ((("{source: scratch}", "{source: scratch, seed: 1}"),), {"policy"} | RELABEL | FROM_DATA),
    "settle steps": (
        (("horizon: 220}", "horizon: 220, settle_steps: 5}"),),
        DEMOS | RELABEL | FROM_DATA,
    ),
}


def graph_of(folder: Path, text: str = KEPT_STUDY, **changed: Any) -> Graph:
    return small_study.graph_of(folder, text, **changed)


def made_anew(before: Graph, after: Graph) -> set[str]:
    """Names of the stages of ``after`` that a tree with all of ``before`` lacks."""
    return {name for name, key in after.names.items() if key not in before.stages}


JOINT = {
    "a detached memory": ((WORLD_ENDS, ", prediction_horizon: 8, prophet: joint, detach: true}"), E2),
    "an arm's own weight of the world loss": (
        ("{memory: pred, ab", "{memory: pred, world: {lambda_world: 0}, ab"),
        E2,
    ),
    "an arm's detached memory": (("{memory: pred, ab", "{memory: pred, world: {detach: true}, ab"), E2),
    "told the noisy actions": ((WORLD_ENDS, ", prediction_horizon: 8, prophet: joint, actions: true}"), WORLD_ARMS),
    "steps of a Prophet that nobody trains beforehand": (
        (WORLD_ENDS, ", prediction_horizon: 8, prophet: joint, prophet_steps: 9}"),
        set(),
    ),
}


@pytest.mark.parametrize("change", JOINT)
def test_what_a_prophet_learns_from_in_the_arm_is_the_arms_alone(change: str, tmp_path: Path) -> None:
    """E1 has nothing to detach."""
    joint = WORLD_ENDS, ", prediction_horizon: 8, prophet: joint}"
    edit, expected = JOINT[change]
    edits = [edit] if edit[0] == WORLD_ENDS else [joint, edit]
    assert made_anew(graph_of(tmp_path, edited(joint)), graph_of(tmp_path, edited(*edits))) == expected


def test_arms_of_one_world_share_a_prophet_per_seed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    for seed in SEEDS:
        for arm in ("E1", "E2"):
            assert inputs_of(graph, f"train/{arm}-seed{seed}")["prophet"] == [f"prophet/seed{seed}"]
    assert inputs_of(graph, "prophet/seed0") == {"dataset": ["dataset"], "latents_image": ["latents/image"]}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_value_makes_exactly_its_dependents_anew(change: str, tmp_path: Path) -> None:
    edits, expected = CHANGES[change]
    before, after = graph_of(tmp_path), graph_of(tmp_path, edited(*edits))
    names = {name.replace("control", "E1") for name in made_anew(before, after)}
    assert names == expected


def test_the_small_study_has_these_stages(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    assert set(graph.names) == {"policy"} | ENCODER | DEMOS | RELABEL | FROM_DATA
    assert len(graph.stages) == len(graph.names)


def test_stages_come_after_what_they_read(tmp_path: Path) -> None:
    seen: set[str] = set()
    for request in graph_of(tmp_path).stages.values():
        assert {each.key for each in request.inputs} <= seen
        seen.add(request.key)


def ancestors(graph: Graph, key: str) -> set[str]:
    stages = {graph.stages[key].stage}
    for each in graph.stages[key].inputs:
        stages |= ancestors(graph, each.key)
    return stages


def test_only_arms_with_a_memory_depend_on_the_encoder(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    for condition in CONDITIONS:
        kinds = ancestors(graph, graph.names[f"rollouts/{condition}/seed0/task0"])
        assert ("encoder" in kinds) == ("latents" in kinds) == (condition != "E0")


def test_the_order_of_cameras_is_in_the_key_of_a_training_and_of_nothing_before_it(tmp_path: Path) -> None:
    one, other = (
        graph_of(tmp_path, edited(("image_size: 64}", f"image_size: 64, cameras: {cameras}}}")))
        for cameras in ("[image, image2]", "[image2, image]")
    )
    assert made_anew(one, other) == FORESEEN
    for graph in (one, other):
        roles_and_names = inputs_of(graph, "train/E2-seed0")
        assert {role: roles_and_names[role] for role in ("latents_image", "latents_image2")} == {
            "latents_image": ["latents/image"],
            "latents_image2": ["latents/image2"],
        }
        assert [graph.stages[graph.names[f"latents/{name}"]].address["camera"] for name in ("image", "image2")] == [
            "image",
            "image2",
        ]
    assert [graph.stages[graph.names["train/E1-seed0"]].address["world"]["cameras"] for graph in (one, other)] == [
        ["image", "image2"],
        ["image2", "image"],
    ]


def test_the_committed_study_of_cameras_encodes_each_once(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "workflow" / "studies" / "camera_ablations.yaml"
    graph = graph_of(tmp_path, path.read_text())
    assert {name for name in graph.names if name.startswith("latents/")} == LATENTS | WRIST
    assert len(list(graph.of("latents"))) == 2
    views = {"agentview": ["latents_image"], "wrist": ["latents_image2"], "both": ["latents_image", "latents_image2"]}
    for arm, expected in views.items():
        read = roles(graph.stages[graph.names[f"train/{arm}-seed0"]])
        assert read == ["policy", "dataset", *expected, "encoder", "prophet"]


def roles(request: StageRequest) -> list[str]:
    return [each.role for each in request.inputs]


def test_rollouts_read_the_encoder_only_for_history(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    for condition in CONDITIONS:
        request = graph.stages[graph.names[f"rollouts/{condition}/seed1/task1"]]
        assert roles(request) == (["checkpoint", "encoder"] if condition == "E2" else ["checkpoint"])


def test_names_of_small_parts_are_those_of_their_rooms() -> None:
    from world_modality.policies.host import small_host

    for name, family in small_encoders().items():
        assert name in (*family.small, *family.trained)
    for name in small_policies():
        assert small_host(name).small_config(name, SUITES["libero_spatial"], 256).type in small_policies()[name].types


def test_no_encoder_stage_without_a_memory(tmp_path: Path) -> None:
    text = edited(("  E1: {memory: zero}\n", ""), ("  E2: {memory: pred, ablations: [zero, random]}\n", ""))
    assert not {"encoder", "latents"} & {request.stage for request in graph_of(tmp_path, text).stages.values()}


def test_report_names_conditions_differences_and_every_cell(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    assert tuple(condition.name for condition in spec.conditions) == CONDITIONS
    assert [(condition.arm, condition.trained, condition.rolled) for condition in spec.conditions][2:4] == [
        ("E2", "pred", "pred"),
        ("E2", "pred", "zero"),
    ]
    assert (spec.suites, spec.init_states, spec.repeats) == (("libero_spatial",), (30, 31, 32, 33), 1)
    assert {(cell.condition, cell.seed, cell.task) for cell in spec.cells} == {
        (condition, seed, task) for condition in CONDITIONS for seed in SEEDS for task in TASKS
    }
    assert all(graph.stages[cell.rollout].stage == "rollout" for cell in spec.cells)
    assert spec.label == "libero_spatial"
    assert roles(graph.report).count("train") == 6


def test_another_arithmetic_makes_anew_what_is_computed_and_nothing_that_is_taken(tmp_path: Path) -> None:
    embedded = edited(("policy: {source: scratch}", "policy: {source: embedded, name: smolvla-tiny}"))
    native, portable = (graph_of(tmp_path, f"{embedded}{line}") for line in ("", "arithmetic: portable\n"))
    assert graph_of(tmp_path, embedded + "arithmetic: native\n").names == native.names
    kept = {name for name, key in native.names.items() if portable.names[name] == key}
    assert kept == {"policy"}
    assert {request.address.get("arithmetic") for request in portable.stages.values()} == {None, "portable"}


def test_equal_files_share_results_wherever_they_lie(tmp_path: Path) -> None:
    first, second = (graph_of(tmp_path, assets=Assets(place, "a" * 16)) for place in ("/here/assets", "/there/assets"))
    assert list(first.stages) == list(second.stages)
    demos = first.stages[first.names["demos/task0"]]
    assert demos.spec.model_dump()["sim"]["assets"] == "/here/assets"
    assert "here" not in json.dumps(demos.address)


def test_tasks_in_any_order_are_one_study(tmp_path: Path) -> None:
    reordered = graph_of(tmp_path, edited(("tasks: [0, 1]", "tasks: [1, 0]")))
    assert list(reordered.stages) == list(graph_of(tmp_path).stages)


PRETRAIN = """\
pretrain:
- {demonstrations: 2, steps: 7, lr: 1e-3}
- {demonstrations: 3, relabel: 4, steps: 5}
- {demonstrations: 0, relabel: 4, steps: 5}
"""


@pytest.fixture
def pretrained(tmp_path: Path) -> Graph:
    return graph_of(tmp_path, KEPT_STUDY + PRETRAIN)


def inputs_of(graph: Graph, name: str) -> dict[str, list[str]]:
    names = {key: name for name, key in reversed(graph.names.items())}
    found: dict[str, list[str]] = {}
    for each in graph.stages[graph.names[name]].inputs:
        found.setdefault(each.role, []).append(names[each.key])
    return found


def test_every_training_uses_the_studys_threads(tmp_path: Path) -> None:
    text = edited(("batch_size: 2", "batch_size: 2\n  threads: 3")) + PRETRAIN
    threads = [request.address["threads"] for request in graph_of(tmp_path, text).of("train")]
    assert threads == [3] * 9
    assert {request.address["threads"] for request in graph_of(tmp_path).of("train")} == {2}


def test_every_training_is_shared_by_the_studys_processes(tmp_path: Path) -> None:
    text = edited(("batch_size: 2", "batch_size: 2\n  processes: 2")) + PRETRAIN
    assert {request.address["processes"] for request in graph_of(tmp_path, text).of("train")} == {2}
    assert {request.address["processes"] for request in graph_of(tmp_path).of("train")} == {1}


def test_only_the_arms_leave_episodes_out(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, KEPT_STUDY + PRETRAIN)
    shares = {graph.stages[key].address["held_out"] for name, key in graph.names.items() if name.startswith("train/")}
    assert shares == {0.1}
    assert {graph.stages[graph.names[f"pretrain/round{n}/train"]].address["held_out"] for n in range(3)} == {0.0}


def test_rounds_of_pretraining_build_on_each_other(pretrained: Graph) -> None:
    assert inputs_of(pretrained, "pretrain/round0/train") == {
        "policy": ["policy"],
        "dataset": ["pretrain/round0/dataset"],
    }
    assert inputs_of(pretrained, "pretrain/round1/train") == {
        "policy": ["pretrain/round0/train"],
        "dataset": ["pretrain/round1/dataset"],
    }
    assert inputs_of(pretrained, "pretrain/round1/relabel/task0") == {"policy": ["pretrain/round0/train"]}
    assert inputs_of(pretrained, "pretrain/round2/dataset") == {
        "demos": [f"pretrain/round{number}/demos/task{task}" for number in (0, 1) for task in TASKS],
        "relabel": [f"pretrain/round{number}/relabel/task{task}" for number in (1, 2) for task in TASKS],
    }
    assert inputs_of(pretrained, "train/E0-seed0")["policy"] == ["pretrain/round2/train"]
    assert pretrained.pretrained == pretrained.names["pretrain/round2/train"]


def test_a_round_shares_equal_demonstrations_with_the_arms(pretrained: Graph) -> None:
    assert pretrained.names["pretrain/round0/demos/task0"] == pretrained.names["demos/task0"]
    assert pretrained.names["pretrain/round1/demos/task0"] != pretrained.names["demos/task0"]


def test_a_checkpoint_stands_in_for_a_policy_by_its_folder(pretrained: Graph) -> None:
    for name, folder in {"pretrain/round0/train": "", "pretrain/round1/train": "pretrained_model"}.items():
        policy = next(each for each in pretrained.stages[pretrained.names[name]].inputs if each.role == "policy")
        assert policy.folder == folder


def test_a_later_round_does_not_touch_the_earlier_ones(tmp_path: Path, pretrained: Graph) -> None:
    longer = graph_of(tmp_path, KEPT_STUDY + PRETRAIN + "- {demonstrations: 1, steps: 1}\n")
    assert not {
        name for name in made_anew(pretrained, longer) if name.startswith(("pretrain/round0", "pretrain/round2"))
    }


def test_keys_need_no_heavy_import(tmp_path: Path) -> None:
    graph_of(tmp_path)
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import world_modality.cli.workflow
from support.small_study import KEPT_STUDY, graph_of
graph = graph_of(Path({str(tmp_path)!r}), KEPT_STUDY)
heavy = {{"torch", "numpy", "pandas", "lerobot", "pyarrow", "transformers", "mujoco", "huggingface_hub"}}
print(len(graph.stages), sorted(heavy & sys.modules.keys()))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == f"{len(graph_of(tmp_path).stages)} []"


def test_every_suite_has_its_own_cells_and_shares_the_trainings(tmp_path: Path) -> None:
    scripted = KEPT_STUDY[KEPT_STUDY.index("data:") : KEPT_STUDY.index("encoder:")]
    hub = edited(
        ("{assets: package, horizon: 220}", "{assets: hub}"),
        (scripted, f"data: {{source: hub, repo_id: a/b, revision: {'a' * 40}}}\n"),
    )
    one = graph_of(tmp_path, hub)
    graph = graph_of(tmp_path, hub.replace("suite: libero_spatial", "suite: [libero_spatial, libero_10]"))
    cells = {request.label for request in graph.of("rollout")}
    assert len(cells) == 2 * len(list(one.of("rollout")))
    assert {"rollout E0/0 libero_10 task 1", "rollout E2-zero/1 libero_spatial task 0"} <= cells
    assert "rollouts/E0/seed0/libero_10/task1" in graph.names
    assert len(list(graph.of("train"))) == len(list(one.of("train")))
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    assert {(cell.suite, cell.task) for cell in spec.cells} == {
        (suite, task) for suite in ("libero_spatial", "libero_10") for task in TASKS
    }
    horizons = {request.spec.sim.suite: request.spec.horizon for request in graph.of("rollout")}
    assert horizons == {"libero_spatial": 280, "libero_10": 520}
    assert {request.spec.sim.render for request in graph.of("rollout")} == {"stock"}


def test_videos_are_made_of_every_cell_and_compared_with_what_its_condition_is(tmp_path: Path) -> None:
    plain = graph_of(tmp_path, KEPT_STUDY)
    assert not list(plain.of("videos"))
    graph = graph_of(tmp_path, KEPT_STUDY + "  videos: {failures: 2, discordant: 1}\n")
    videos = {request.label: request for request in graph.of("videos")}
    assert len(videos) == len(CONDITIONS) * len(SEEDS) * len(TASKS)
    assert made_anew(plain, graph) == REPORT | {
        f"videos/{c}/seed{s}/task{t}" for c in CONDITIONS for s in SEEDS for t in TASKS
    }

    def read(label: str, role: str) -> list[str]:
        return [graph.stages[each.key].label for each in videos[label].inputs if each.role == role]

    assert read("videos E2/0 task 1", "records") == ["rollout E2/0 task 1"]
    assert read("videos E2/0 task 1", "others") == [
        f"rollout {other}/0 task 1" for other in ("E0", "E2-zero", "E2-random")
    ]
    assert read("videos E0/1 task 0", "others") == ["rollout E1/1 task 0", "rollout E2/1 task 0"]
    assert read("videos E2-zero/1 task 0", "others") == ["rollout E2/1 task 0"]
    assert read("videos E2/0 task 1", "encoder") == ["encoder"]
    assert read("videos E2-zero/0 task 1", "encoder") == []


def test_drawn_scenes_leave_all_recorded_states_to_the_rollouts(tmp_path: Path) -> None:
    drawn = (("{per_task: 2, init_states: 0-9}", "{per_task: 2, init_states: sampled}"),
             ("{per_task: 1, init_states: 0-9}", "{per_task: 1, init_states: sampled}"),
             ("init_states: 30-33", "init_states: 0-3"))  # fmt: skip
    graph = graph_of(tmp_path, edited(*drawn))
    made = [request.spec for request in graph.stages.values() if request.stage in ("demos", "relabel")]
    assert len(made) == 4
    assert all(spec.init_states == () for spec in made)
