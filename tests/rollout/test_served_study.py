"""A study of policies that other processes serve, from its plan to its table, whatever happens to their servers."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.command_line import wm
from support.policy_servers import Running, served
from support.small_study import edited
from support.toy_world import in_this_process

from world_modality.cli.planning import plan_study
from world_modality.cli.run_stage import find_runner
from world_modality.errors import UserError
from world_modality.evidence.gates import SCENES, VERSIONS
from world_modality.policies import remote
from world_modality.policies.served import Served, read_served
from world_modality.report.gates import DEVICES
from world_modality.rollout import setup
from world_modality.rollout.records import OWN_NOISE, Record, read_records, read_unfinished
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.execute import execute
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.study.graph import Graph

STUDY = """\
study: served
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: coarse, camera_size: 64, settle_steps: 1, horizon: 5}
arms:
  A: {checkpoint: {source: remote, address: ONE}}
rollouts: {init_states: 30-31, episodes: 2, batch: 2}
""".replace("STAND_INS", str(STAND_INS))
CELL = "rollouts/A/seed0/task0"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSES", ())
    monkeypatch.setattr(remote, "PAUSES", ())
    monkeypatch.setattr(setup, "simulator_pool", in_this_process)
    monkeypatch.setattr(setup, "Scheduler", partial(Scheduler, slots=1))


def plan(folder: Path, server: Running, *edits: tuple[str, str]) -> Graph:
    (folder / "study.yaml").write_text(edited(("ONE", server.address), *edits, text=STUDY))
    return plan_study(folder / "study.yaml", folder / "results").graph


def make(folder: Path, graph: Graph, *kinds: str) -> None:
    """Make the stages of these kinds as their jobs do."""
    for request in graph.stages.values():
        if request.stage in kinds:
            execute(folder / "results", request, find_runner(request.stage), cores=1, stream=io.StringIO())


def place(folder: Path, graph: Graph, name: str = CELL) -> StageFolder:
    key = graph.names[name]
    return stage_folder(folder / "results", graph.stages[key].stage, key)


def records(folder: Path, graph: Graph, name: str = CELL) -> tuple[Record, ...]:
    return read_records(place(folder, graph, name).artifact / "records.jsonl")


def test_it_makes_its_table_and_says_what_a_reader_must_know(tmp_path: Path) -> None:
    with (
        served("scripted_libero") as one,
        served("scripted_libero", FAULT="unseeded", DIGEST="b" * 16, DEVICE="slide rule") as two,
    ):
        arm = f"{one.address}}}}}\n  B: {{checkpoint: {{source: remote, address: {two.address}}}, against: A}}"
        graph = plan(tmp_path, one, (f"{one.address}}}}}", arm))
        make(tmp_path, graph, "policy", "rollout", "report")
        addresses = one.address, two.address
    own, other = (records(tmp_path, graph, f"rollouts/{arm}/seed0/task0") for arm in "AB")
    assert {(each.checkpoint, each.device, each.memory) for each in own} == {
        (graph.names["checkpoints/A-seed0"], "remote abacus", "disabled")
    }
    assert all(each.versions["served beads"] == "2" for each in own)
    assert {each.note for each in own} == {""}
    assert {(each.note, each.flow_seed, each.device) for each in other} == {(OWN_NOISE, None, "remote slide rule")}
    assert [each.init_state_digest for each in own] == [each.init_state_digest for each in other]

    report = place(tmp_path, graph, "report").artifact
    table = json.loads((report / "table.json").read_text())
    assert {(rate["condition"], rate["episodes"]) for rate in table["rates"]} == {("A", 2), ("B", 2)}
    gates = {gate["name"]: gate for gate in table["gates"]}
    assert gates[DEVICES] == {"name": DEVICES, "passed": True, "detail": "remote abacus; remote slide rule"}
    assert gates[VERSIONS]["passed"]
    assert gates[SCENES]["passed"]
    assert "the noise of B is the policy's own" in gates[SCENES]["detail"]
    assert f"B: {OWN_NOISE}." in table["notes"]
    assert ["checkpoint A", "remote scripted 0123456789abcdef"] in table["sources"]
    assert "scripted, served" in (report / "report.html").read_text()

    artifact = place(tmp_path, graph, "checkpoints/A-seed0").artifact
    assert read_served(artifact) == Served("scripted", "0123456789abcdef", "world_modality")
    assert wm("inspect", artifact).printed.startswith("served       scripted 0123456789abcdef, asked in dialect world_")
    sealed = [*tmp_path.glob("results/*/*/DONE.json"), *tmp_path.glob("results/*/*/artifact/*.json*")]
    assert len(sealed) > 8
    for file in sealed:
        assert not any(address in file.read_text() for address in addresses), file


@pytest.mark.slow
def test_what_was_begun_goes_on_at_another_port_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Its server dies in the middle and stays away; it is started elsewhere, and the study told where."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    with served("scripted_libero") as calm:
        graph = plan(whole, calm)
        make(whole, graph, "policy", "rollout")
    with served("scripted_libero", FAULT="killed", AT="4") as mortal:
        assert plan(torn, mortal).names == graph.names
        with pytest.raises(UserError, match=r"^ws://[^ ]+: the policy's server does not answer \(.*: start it, wait"):
            make(torn, plan(torn, mortal), "policy", "rollout")
    begun = place(torn, graph)
    assert len(read_unfinished(begun.work / "records")) == 1
    assert not begun.done.exists()
    with served("scripted_libero") as elsewhere:
        assert plan(torn, elsewhere).names == graph.names
        make(torn, plan(torn, elsewhere), "policy", "rollout")
    assert records(torn, graph) == records(whole, graph)
    assert begun.done.read_bytes() == place(whole, graph).done.read_bytes()


def test_another_policy_than_was_planned_is_refused_and_nothing_is_recorded(tmp_path: Path) -> None:
    with served("scripted_libero") as server:
        graph = plan(tmp_path, server)
        make(tmp_path, graph, "policy")
        server.kill()
        server.start(DIGEST="c" * 16)
        with pytest.raises(UserError, match=r"serves scripted c{16}, not revision 0123456789abcdef: start the right"):
            make(tmp_path, graph, "rollout")
    assert not list(tmp_path.glob("results/rollout/*/work/records/records-*.jsonl"))


def test_a_server_that_is_away_leaves_its_videos_to_be_made(tmp_path: Path) -> None:
    """A video that only its server kept from being made is not sealed as one that cannot be."""
    with served("scripted_libero") as server:
        graph = plan(tmp_path, server, ("batch: 2", "batch: 2, videos: {first: 1}"))
        make(tmp_path, graph, "policy", "rollout")
        server.kill()
        server.start(FAULT="killed", AT="2")
        with pytest.raises(UserError, match="the policy's server does not answer"):
            make(tmp_path, graph, "videos")
        server.start()
        make(tmp_path, graph, "videos")
    (video,) = json.loads((place(tmp_path, graph, "videos/A/seed0/task0").artifact / "videos.json").read_text())
    assert (video["file"], video["why_not"]) == ("task0_init30_repeat0.mp4", "")
