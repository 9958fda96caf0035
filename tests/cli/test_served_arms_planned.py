"""Planning and checking a study whose policy another process serves: asked once, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.command_line import wm
from support.policy_servers import Running, openpi, served
from support.small_study import edited

from world_modality.cli.explain import explain, survey
from world_modality.cli.given import served as ask
from world_modality.cli.planning import Planned, plan_study
from world_modality.errors import UserError
from world_modality.policies import remote
from world_modality.study.load import load_study
from world_modality.study.sources import PolicySource

NOBODY = "ws://127.0.0.1:9"  # the port of a service that no machine has any more
STUDY = """\
study: served
suite: libero_spatial
tasks: [0]
simulator: {assets: package, camera_size: 64}
arms:
  PI: {checkpoint: {source: remote, address: ADDRESS}}
rollouts: {init_states: 30-31, episodes: 2}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(remote, "FIRST_PAUSES", ())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with served("scripted_libero") as running:
        yield running


def planned(place: Path, address: str, *edits: tuple[str, str], lenient: bool = False) -> Planned:
    (place / "study.yaml").write_text(edited(("ADDRESS", address), *edits, text=STUDY))
    return plan_study(place / "study.yaml", place / "results", lenient=lenient)


def rollouts(plan: Planned) -> set[str]:
    return {request.key for request in plan.graph.of("rollout")}


def test_what_the_server_states_is_what_a_study_could_have_said_itself(place: Path, server: Running) -> None:
    found = planned(place, server.address)
    assert found.unresolved == ()
    (policy,) = found.graph.of("policy")
    assert (policy.address["name"], policy.address["revision"]) == ("scripted", "0123456789abcdef")
    assert {request.address["n_action_steps"] for request in found.graph.of("rollout")} == {4}
    said = (f"{NOBODY}}}", f"{NOBODY}, name: scripted, revision: 0123456789abcdef}}")
    written = planned(place, NOBODY, said, ("episodes: 2", "episodes: 2, n_action_steps: 4"))
    assert rollouts(written) == rollouts(found)
    with served("scripted_libero", DIGEST="f" * 16) as other:
        assert rollouts(planned(place, other.address)).isdisjoint(rollouts(found))


NAMED = (f"{NOBODY}}}", f"{NOBODY}, name: pi, revision: r1}}")
STEPS = ("episodes: 2", "episodes: 2, n_action_steps: 4")


@pytest.mark.parametrize(
    ("edits", "instead"),
    [
        ((), "give name and revision and set rollouts.n_action_steps, and start it later"),
        ((STEPS,), "give name and revision, and start it later"),
        ((NAMED,), "set rollouts.n_action_steps, and start it later"),
    ],
)
def test_a_server_that_is_away_is_told_in_one_sentence(
    place: Path, edits: tuple[tuple[str, str], ...], instead: str
) -> None:
    with pytest.raises(UserError) as error:
        planned(place, NOBODY, *edits)
    said = str(error.value)
    assert said.startswith(f"study.yaml:6: arms.PI.checkpoint: {NOBODY}: the policy's server does not answer (")
    assert said.endswith(f"start it, wait until it is ready, and run again; or {instead}")
    outlook = planned(place, NOBODY, *edits, lenient=True)
    assert outlook.unresolved == ("served policy",)
    told = explain(place / "results", survey(place / "results", outlook), None)
    assert told[1].startswith("unresolved   served policy: what tells them is out of reach, so results that exist")


def test_a_server_of_openpi_has_to_be_named(place: Path) -> None:
    with openpi() as server:
        dialect = (f"{server.address}}}", f"{server.address}, dialect: openpi}}")
        with pytest.raises(UserError, match=r"PI.checkpoint: .* does not say which weights it serves: give their name"):
            planned(place, server.address, dialect)
        named = (f"{server.address}}}", f"{server.address}, dialect: openpi, name: pi05, revision: r1}}")
        (policy,) = planned(place, server.address, named).graph.of("policy")
        assert (policy.address["name"], policy.address["server"]) == ("pi05", {"dialect": "openpi"})


def test_another_digest_than_the_study_says_is_refused(place: Path, server: Running) -> None:
    said = (f"{server.address}}}", f"{server.address}, name: pi, revision: r1}}")
    with pytest.raises(
        UserError, match=r"arms.PI.checkpoint: .* serves scripted 0123456789abcdef, not revision r1: st"
    ):
        planned(place, server.address, said)


def test_an_arm_of_one_policy_twice_is_refused(place: Path, server: Running) -> None:
    one = f"{{source: remote, address: {server.address}"
    both = (f"{one}}}", f"[{one}}}, {one}, timeout: 60}}]")
    with pytest.raises(UserError, match=r"arms.PI.checkpoint\[1\]: scripted 0123456789abcdef is given twice"):
        planned(place, server.address, both)


def test_an_arm_of_a_served_policy_and_a_checkpoint_is_refused(place: Path, server: Running) -> None:
    (place / "e0").mkdir()
    (place / "e0" / "config.json").write_text(json.dumps({"type": "smolvla", "chunk_size": 50, "n_action_steps": 4}))
    (place / "e0" / "model.safetensors").write_bytes(b"")
    one = f"{{source: remote, address: {server.address}}}"
    with pytest.raises(
        UserError, match=r"arms.PI.checkpoint\[1\]: a policy of smolvla, where the first is of a server"
    ):
        planned(place, server.address, (one, f"[{one}, {{source: folder, path: e0}}]"))


def test_beside_trained_arms_nothing_is_asked_for_the_number_of_actions(place: Path) -> None:
    arm = "\n  PI: {checkpoint: {source: remote, address: ws://127.0.0.1:9, name: pi, revision: r1}}\n"
    (place / "study.yaml").write_text(edited(("arms:\n", f"arms:{arm}"), ("seeds: [0, 1]", "seeds: [0]")))
    study = load_study(place / "study.yaml").study
    (checkpoint,) = study.given["PI"].checkpoint
    assert checkpoint.source == "remote"
    assert ask(checkpoint, study, lenient=False).policy == PolicySource("", "pi", "r1")


def test_a_check_asks_it_and_says_what_does_not_fit(place: Path, server: Running) -> None:
    planned(place, server.address)
    assert "fit together (2 checks)" in wm("check", place / "study.yaml").printed
    for edit, message in (
        (("camera_size: 64", "camera_size: 128"), "have 128x128 pixels, but the checkpoint was trained on image of 64"),
        (("episodes: 2", "episodes: 2, n_action_steps: 7"), "n_action_steps 7: the chunks of scripted have 6 actions"),
    ):
        planned(place, server.address, edit)
        outcome = wm("check", place / "study.yaml")
        assert message in outcome.printed
        assert not outcome.accepted
    planned(place, NOBODY, NAMED, STEPS)
    printed = wm("check", place / "study.yaml").printed
    assert f"unseen   arms.PI: {NOBODY}: the policy's server does not answer" in printed


def test_a_study_is_written_from_what_a_server_says(place: Path, server: Running) -> None:
    found = wm("study", "init", "--from", server.address, "--suite", "libero_spatial", "--assets", str(STAND_INS))
    assert found.accepted, found.said
    (place / "study.yaml").write_text(found.printed)
    plan = plan_study(place / "study.yaml", place / "results")
    (policy,) = plan.graph.of("policy")
    assert policy.address["revision"] == "0123456789abcdef"
    assert "scripted: # served by another process" in found.printed
    assert "camera_size: 64" in found.printed
    assert "n_action_steps: 4" in found.printed


def test_inspect_says_what_a_server_says(server: Running) -> None:
    assert wm("inspect", server.address).printed.splitlines() == [
        "served       scripted 0123456789abcdef",
        "actions      chunks of 6, 4 executed: x, y, z, roll, pitch, yaw, gripper",
        "sees         image 64x64, image2 64x64",
        "noise        by the seed that it is sent",
        "computed     remote abacus, beads 2",
    ]
