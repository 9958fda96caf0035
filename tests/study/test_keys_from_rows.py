"""The versions in a stage's key are those of the rows that it names, and rows may be another distribution's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.memory import FUSIONS, MODES
from world_modality.facts.policies import POLICIES
from world_modality.facts.stages import STAGES
from world_modality.store.keys import stage_key
from world_modality.study import rows
from world_modality.study.graph import Graph
from world_modality.study.schema import study_schema

TABLES = (SUITES, ENCODERS, MODES, FUSIONS, POLICIES, STAGES)

ROWS = """
from world_modality.facts.benchmarks import ActionLayout, Suite
from world_modality.facts.encoders import EncoderFamily
from world_modality.facts.memory import MemoryMode
from world_modality.facts.stages import StageKind
from world_modality.facts.table import Reference

SUITE = Suite(
    name="toy", benchmark="Toy", tasks=2, init_states=None, horizon=50, fps=20, control_rate=20,
    cameras={"top": "from above"}, state=("x", "y"), action=ActionLayout(("x", "y"), -1.0, 1.0, True, (0.0, 0.0)),
    packages=("toy-engine",), simulator=Reference("toy_rows:Simulator"), assets=(), expert=Reference("toy_rows:Expert"),
)
ENCODER = EncoderFamily(
    name="toyenc", model_type="toyenc", packages=("numpy",), network=Reference("toy_rows:Net"),
    image_size=Reference("toy_rows:image_size"), small=("toyenc-small",),
)
MODE = MemoryMode(name="ones", holds="ones", isolates="nothing", make=Reference("toy_rows:ones"))
STAGE = StageKind(
    name="toy_stage", version=1, spec=Reference("world_modality.study.specs:PolicySpec"),
    runner=Reference("toy_rows:run"), target="toys", plan=Reference("toy_rows:plan"),
)


def plan(study, sources, graph):
    from world_modality.study.slices import policy_spec

    graph.add("toy_stage", policy_spec(study, study.policy, sources), (), "toy", "toy_stage")
"""
POINTS = {"benchmarks": "SUITE", "encoders": "ENCODER", "memory_modes": "MODE"}


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is said to be installed; 1.0 for a package that is not named."""
    installed: dict[str, str] = {}
    monkeypatch.setattr(rows, "versions", lambda names: {name: installed.get(name, "1.0") for name in names})
    return installed


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Mapping[str, str]], None]]:
    """Put a version of the distribution toy-bench on the path, with rows in some groups."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "toy_rows.py").write_text(ROWS)
    monkeypatch.syspath_prepend(folder)

    def add(version: str, points: Mapping[str, str] = POINTS) -> None:
        for old in folder.glob("*.dist-info/*"):
            old.unlink()
        metadata = folder / f"toy_bench-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-bench\nVersion: {version}\n")
        text = "".join(f"[world_modality.{group}]\nrow = toy_rows:{name}\n" for group, name in points.items())
        (metadata / "entry_points.txt").write_text(text)
        read_anew()

    yield add
    sys.modules.pop("toy_rows", None)
    monkeypatch.undo()
    read_anew()


def read_anew() -> None:
    for table in TABLES:
        table.__dict__.pop("_entries", None)


def changed(before: Graph, after: Graph) -> set[str]:
    """Names of the stages whose keys differ."""
    return {name for name, key in after.names.items() if before.names[name] != key}


SCRIPTED = SMALL_STUDY[SMALL_STUDY.index("data:") : SMALL_STUDY.index("encoder:")]
HUB = edited((SCRIPTED, f"data: {{source: hub, repo_id: a/b, revision: {'a' * 40}}}\n"))
LIBERO_ALONE = {"hf-libero", "mujoco", "robosuite"}


def test_a_simulators_upgrade_leaves_what_is_not_simulated(tmp_path: Path, versions: dict[str, str]) -> None:
    before = graph_of(tmp_path, HUB)
    versions["mujoco"] = "2.0"
    anew = changed(before, graph_of(tmp_path, HUB))
    assert {name.partition("/")[0] for name in anew} == {"rollouts", "report"}


def test_each_kind_of_stage_has_the_packages_of_what_it_uses(tmp_path: Path, versions: dict[str, str]) -> None:
    graph = graph_of(tmp_path)
    found = {request.stage: set(request.software) for request in graph.stages.values()}
    learning = {"lerobot", "torch", "transformers"}
    assert found == {
        "policy": learning,
        "encoder": {"torch", "transformers"},
        "demos": LIBERO_ALONE,
        "relabel": LIBERO_ALONE | learning,
        "dataset": {"lerobot"},
        "latents": {"torch", "transformers"},
        "train": learning,
        "rollout": LIBERO_ALONE | learning,
        "report": set(),
    }


TOY = edited(
    (
        "suite: libero_spatial\ntasks: [0, 1]\nsimulator: {assets: package, horizon: 220}\n",
        "suite: toy\ntasks: all\n",
    ),
    ("[zero, random]", "[ones]"),
    ("init_states: 30-33", "init_states: 1000-1003"),
)


def test_rows_of_another_distribution_make_a_study(
    tmp_path: Path, versions: dict[str, str], install: Callable[..., None]
) -> None:
    with pytest.raises(UserError, match="'toy' is not a benchmark suite"):
        graph_of(tmp_path, TOY)
    install("1.0")
    graph = graph_of(tmp_path, TOY)
    demos = graph.stages[graph.names["demos/task1"]]
    assert demos.software == {"toy-engine": "1.0", "toy-bench": "1.0"}
    assert (demos.spec.model_dump()["sim"]["assets"], demos.spec.model_dump()["max_steps"]) == ("", 50)
    assert graph.stages[graph.names["dataset"]].address["fps"] == 20
    assert "latents/top" in graph.names, "the suite's first camera is encoded by default"
    rolled = graph.stages[graph.names["rollouts/E2-ones/seed0/task0"]]
    assert rolled.software["toy-bench"] == "1.0"
    assert not LIBERO_ALONE & set(rolled.software)
    enums = [each for each in _enums(json.loads(study_schema())) if "libero_spatial" in each or "pred" in each]
    assert enums
    assert all("toy" in each or "ones" in each for each in enums)


def _enums(value: object) -> Iterator[list[str]]:
    if isinstance(value, dict):
        if isinstance(value.get("enum"), list):
            yield value["enum"]
        for inner in value.values():
            yield from _enums(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _enums(inner)


def test_an_upgrade_of_the_distribution_makes_exactly_what_uses_it_anew(
    tmp_path: Path, versions: dict[str, str], install: Callable[..., None]
) -> None:
    mode_alone = edited(("[zero, random]", "[zero, ones]"))
    own = "encoder: {source: embedded, kind: toyenc, frames: 1, image_size: 64}"
    encoder_alone = edited(("{memory: pred, ab", f"{{memory: pred, {own}, ab"))
    install("1.0")
    before = {text: graph_of(tmp_path, text) for text in (SMALL_STUDY, mode_alone, encoder_alone)}
    install("1.1")
    after = {text: graph_of(tmp_path, text) for text in before}
    assert changed(before[SMALL_STUDY], after[SMALL_STUDY]) == set()
    ones = {f"rollouts/E2-ones/seed{seed}/task{task}" for seed in (0, 1) for task in (0, 1)}
    assert changed(before[mode_alone], after[mode_alone]) == ones | {"report"}
    of_encoder = changed(before[encoder_alone], after[encoder_alone])
    assert {"encoder-E2", "latents-E2/image", "train/E2-seed0", "rollouts/E2/seed0/task0"} <= of_encoder
    assert not {name for name in of_encoder if "E0" in name or "E1" in name or name.startswith(("demos", "dataset"))}


def test_another_distribution_adds_a_kind_of_stage(
    tmp_path: Path, versions: dict[str, str], install: Callable[..., None]
) -> None:
    install("1.0", {"stages": "STAGE"})
    graph = graph_of(tmp_path)
    request = graph.stages[graph.names["toy_stage"]]
    assert (request.stage, request.software["toy-bench"]) == ("toy_stage", "1.0")
    assert list(graph.of("toy_stage")) == [request]


def test_inputs_count_in_the_order_in_which_they_are_read() -> None:
    one, other = ("latents_image", "a"), ("latents_image2", "b")
    assert stage_key("train", 1, {}, {}, [one, other]) != stage_key("train", 1, {}, {}, [other, one])
