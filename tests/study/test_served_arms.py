"""Arms of policies that another process serves: what they are enters keys, where and how patiently they are asked
never."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import edited, graph_of

from world_modality.errors import UserError
from world_modality.facts.policies import DIALECTS
from world_modality.report.claims import plan_of
from world_modality.study.graph import Graph
from world_modality.study.load import load_study
from world_modality.study.rows import rows_named_in
from world_modality.study.snapshot import read_snapshot, write_snapshot
from world_modality.study.specs import PolicySpec, ReportSpec, RolloutSpec, ServerSpec

SERVED = """\
study: served
suite: libero_spatial
tasks: [0]
simulator: {assets: package, horizon: 220}
arms:
  E0: {checkpoint: {source: folder, path: e0}}
  PI: {checkpoint: {source: remote, address: ws://a:1, name: pi, revision: r1, rename: {image: front}}, against: E0}
rollouts: {init_states: 30-33, episodes: 4, n_action_steps: 5, num_steps: 7, videos: {first: 1}}
"""


def names_of(folder: Path, *edits: tuple[str, str]) -> dict[str, str]:
    return graph_of(folder, edited(*edits, text=SERVED)).names


def changed(folder: Path, *edits: tuple[str, str]) -> set[str]:
    """Kinds of stages of the served arm whose keys differ after ``edits``; nothing but the report may change else."""
    before, after = names_of(folder), names_of(folder, *edits)
    assert before.keys() == after.keys()
    others = {name for name in before if before[name] != after[name]} - {"report"}
    assert all("PI" in name for name in others)
    return {name.partition("/")[0] for name in before if before[name] != after[name]}


def served(graph: Graph) -> RolloutSpec:
    (spec,) = (each.spec for each in graph.of("rollout") if not each.address["family"])
    assert isinstance(spec, RolloutSpec)
    return spec


@pytest.mark.parametrize(
    "edit",
    [
        ("ws://a:1", "wss://somewhere-else:8000"),
        ("revision: r1", "revision: r1, timeout: 5"),
        ("revision: r1", "revision: r1, dialect: world_modality"),
    ],
)
def test_where_and_how_patiently_it_is_asked_is_in_no_key(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert changed(tmp_path, edit) == set()


@pytest.mark.parametrize(
    "edit",
    [
        ("revision: r1", "revision: r2"),
        ("name: pi", "name: tau"),
        ("revision: r1", "revision: r1, dialect: openpi"),
        ("front", "wrist"),
        (", rename: {image: front}", ""),
    ],
)
def test_what_it_is_and_how_it_is_spoken_to_is(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert changed(tmp_path, edit) == {"checkpoints", "rollouts", "videos", "report"}


def test_what_its_server_decides_changes_nothing_of_it(tmp_path: Path) -> None:
    before = names_of(tmp_path)
    after = names_of(tmp_path, ("num_steps: 7", "num_steps: 3, device: cuda, dtype: bfloat16"))
    differing = {name for name in before if before[name] != after[name]} - {"report"}
    assert differing
    assert all("E0" in name for name in differing)
    assert served(graph_of(tmp_path, SERVED)).num_steps is None


def test_the_plan_of_the_jobs_says_where_it_is_asked(tmp_path: Path) -> None:
    graph = read_snapshot(write_snapshot(tmp_path, graph_of(tmp_path, SERVED)))
    assert served(graph).server == ServerSpec(url="ws://a:1", dialect="world_modality", timeout=300)
    assert (DIALECTS, "world_modality") in rows_named_in(served(graph))  # whose package is in keys
    assert all("ws://" not in str(request.address) for request in graph.stages.values())
    (spec,) = (each.spec for each in graph.of("policy") if each.label == "checkpoint PI/0")
    assert isinstance(spec, PolicySpec)
    assert (spec.source, spec.name, spec.revision, spec.rename) == ("remote", "pi", "r1", (("image", "front"),))


def test_no_software_of_this_machine_computes_it(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SERVED)
    software = {request.address["family"]: set(request.software) for request in graph.of("rollout")}
    assert software["smolvla"] - software[""] >= {"lerobot", "torch", "transformers"}
    assert "mujoco" in software[""]
    (policy,) = (request for request in graph.of("policy") if request.label == "checkpoint PI/0")
    assert (policy.software, "arithmetic" in policy.address) == ({}, False)


def test_it_is_compared_with_the_arm_that_it_names(tmp_path: Path) -> None:
    spec = graph_of(tmp_path, SERVED).report.spec
    assert isinstance(spec, ReportSpec)
    assert {each.name: (each.against, each.trained, each.rolled) for each in spec.conditions} == {
        "E0": ("", "disabled", "disabled"),
        "PI": ("E0", "disabled", "disabled"),
    }
    assert ("checkpoint PI", "remote pi r1") in spec.sources
    plan = plan_of(spec)
    assert plan is not None
    assert [(claim.treated_words, claim.control_words) for claim in plan.claims] == [("PI", "E0")]
    alone = graph_of(tmp_path, edited((", against: E0", ""), text=SERVED)).report.spec
    assert isinstance(alone, ReportSpec)
    assert [each.against for each in alone.conditions] == ["", ""]


def test_one_per_seed_stands_beside_trained_arms(tmp_path: Path) -> None:
    two = "[{source: remote, address: ws://a:1, revision: r1}, {source: remote, address: ws://a:2, revision: r2}]"
    graph = graph_of(tmp_path, edited(("arms:\n", f"arms:\n  PI: {{checkpoint: {two}}}\n")))
    specs = [each.spec for each in graph.of("rollout") if not each.address["family"]]
    assert len(list(graph.of("train"))) == 6
    urls = [spec.server.url for spec in specs if isinstance(spec, RolloutSpec) and spec.server is not None]
    assert urls == ["ws://a:1"] * 2 + ["ws://a:2"] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [("ablations", "[zero]"), ("rollout", "zero"), ("encoder", "{source: folder, path: enc}")],
)
def test_what_asks_for_a_memory_is_refused(tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "study.yaml").write_text(edited(("against: E0", f"{key}: {value}"), text=SERVED))
    message = rf"study.yaml:7: arms.PI.{key}: what a served policy remembers is its server's to decide; remove this key"
    with pytest.raises(UserError, match=message):
        load_study(tmp_path / "study.yaml")


def test_what_is_no_address_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(edited(("ws://a:1", "http://a:1"), text=SERVED))
    with pytest.raises(UserError, match=r"study.yaml:7: arms.PI.checkpoint.address: 'http://a:1' is no address"):
        load_study(tmp_path / "study.yaml")
