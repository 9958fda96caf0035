"""A study goes to a hub and comes back: once, private, whole, with equal digests; by the hub's own client."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from support.command_line import wm
from support.published_study import ROOT, RunningHub, publication

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES as KINDS
from world_modality.latents.publishing import pull_cache
from world_modality.publishing.bundle import STAGES, WHAT
from world_modality.publishing.fetch import fetch_published
from world_modality.publishing.notes import notes_of
from world_modality.publishing.publish import publish
from world_modality.publishing.remote import Remote
from world_modality.report.record_sets import read_set
from world_modality.report.sealed_plans import read_seals
from world_modality.store.done import read_done
from world_modality.store.hub import find_folder
from world_modality.store.layout import StageFolder
from world_modality.store.verify import verify

E0, E2 = "models/someone/small-E0-seed0", "models/someone/small-E2-seed0"
LATENTS, RECORDS, REPORT = (f"datasets/someone/small-{name}" for name in ("latents-image", "records", "report"))
ALL = [LATENTS, E0, E2, RECORDS, REPORT]


def published(hub: RunningHub, **more: bool) -> list[str]:
    said: list[str] = []
    publish(Remote(), publication(hub.endpoint), WHAT, said.append, public=more.get("public", False))
    return said


def sealed(root: Path) -> dict[str, StageFolder]:
    done = root.glob("*/*/DONE.json")
    return {f"{path.parents[1].name}/{path.parent.name}": StageFolder(path.parent) for path in done}


def stages_of_the_report() -> Any:
    folder, _ = find_folder(REPORT.removeprefix("datasets/"), "dataset", patterns=(STAGES,))
    return json.loads((folder / STAGES).read_text())


def test_a_dry_run_lists_all_and_sends_nothing(study: Path, hub: RunningHub) -> None:
    told = wm("publish", "someone", "--study", "study.yaml", "--dry-run")
    assert told.accepted, told.said
    lines = told.printed.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("model ", "dataset "))] == [
        name.partition("/")[2] for name in ALL
    ]
    assert all("private" in line for line in lines if line.startswith(("model ", "dataset ")))
    assert any(line.split()[2:] == ["model.safetensors"] for line in lines)
    assert lines[-1].startswith("in all   5 repositories, ")
    assert hub.log() == {"uploads": [], "commits": [], "refused": []}
    assert not (ROOT / "published").exists()


def test_all_goes_once_and_is_private(study: Path, hub: RunningHub) -> None:
    first = wm("publish", "someone", "--study", "study.yaml")
    assert first.accepted, first.said
    assert first.printed.splitlines()[-1] == "commits      5"
    log = hub.log()
    assert log["commits"] == ALL
    for repository in ALL:
        assert hub.files(repository)["private"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            hub.files(repository, token=False)
    again = wm("publish", "someone", "--study", "study.yaml")
    assert again.printed.splitlines()[-1] == "commits      0: the hub has all of it"
    assert hub.log() == log
    notes = notes_of(ROOT, "small")
    assert sorted(note.repo_id for note in notes) == sorted(name.partition("/")[2] for name in ALL)
    assert all(note.private and note.commit == hub.files(f"{note.repo_type}s/{note.repo_id}")["sha"] for note in notes)
    token = hub.environment["HF_TOKEN"]
    assert token not in first.printed + again.printed
    assert not any(token in file.read_text() for file in (ROOT / "published").rglob("*.json"))
    shown = wm("report", "--study", "study.yaml").printed
    assert all(f"published    {note.named}" in shown for note in notes)


def test_what_was_published_comes_back_with_equal_digests(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    published(hub)
    here, there = sealed(ROOT), tmp_path / "there" / "results"
    for repository in ALL:
        told = list(fetch_published(there, repository.removeprefix("models/")))
        assert " stages of small, 0 were here" in told[0]
    taken = sealed(there)
    kinds = {"train", "latents", "rollout", "report"}
    assert {name.partition("/")[0] for name in taken} == kinds
    assert taken.keys() == {name for name in here if name.partition("/")[0] in kinds}
    for name, folder in taken.items():
        assert folder.done.read_bytes() == here[name].done.read_bytes()
        record = read_done(folder.done)
        assert record is not None
        for file in record.files:
            assert (folder.artifact / file).read_bytes() == (here[name].artifact / file).read_bytes()
    assert not any(finding.damage for _, found in verify(there, KINDS.names) for finding in found)
    for condition in ("E0", "E2", "E2-zero"):
        place = Path("by-name/small/rollouts") / condition
        assert read_set(there / place).records == read_set(ROOT / place).records
    assert [seal.digest for seal in read_seals(there, "small")] == [seal.digest for seal in read_seals(ROOT, "small")]
    run = json.loads((next(folder for name, folder in taken.items() if "train" in name)).run.read_text())
    assert run["sealed_at"]
    assert not {"host", "system"} & run["machine"].keys()
    assert "0 of 3 stages of small, 3 were here" in "\n".join(fetch_published(there, RECORDS))


def test_records_are_compared_and_stages_known_where_they_were_fetched(
    study: Path, hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(hub)
    other = tmp_path / "other"
    other.mkdir()
    (other / "study.yaml").write_text((study / "study.yaml").read_text())
    monkeypatch.chdir(other)
    fetched = wm("fetch-published", *(name.removeprefix("models/") for name in ALL))
    assert fetched.accepted, fetched.said
    compared = wm("compare", "results/by-name/small/rollouts/E2", "results/by-name/small/rollouts/E2-zero")
    assert compared.accepted, compared.said
    assert "E2" in compared.printed
    status = wm("status", "--study", "study.yaml").printed
    assert re.search(r"^train +2 ", status, re.M)
    assert re.search(r"^rollout +3 ", status, re.M)
    assert "small: libero_spatial, 1 seed, 4 episodes per condition" in wm("report", "--study", "study.yaml").printed


def test_lerobot_loads_a_checkpoint_by_its_name_alone(study: Path, hub: RunningHub) -> None:
    from lerobot.policies.factory import get_policy_class

    published(hub)
    policy = get_policy_class("smolvla_world").from_pretrained("someone/small-E2-seed0")
    local = next(ROOT.glob("by-name/small/train/E2-seed0")) / "pretrained_model"
    own = get_policy_class("smolvla_world").from_pretrained(local)
    weights, expected = policy.state_dict(), own.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_what_is_read_from_the_hub_already_reads_it(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    published(hub)
    told = pull_cache("someone/small-latents-image", tmp_path / "pulled")
    assert "30 frames, 4 numbers each, camera image" in told[0]
    folder, commit = find_folder("someone/small-E2-seed0", patterns=("*.json", "*.safetensors"))
    assert commit == hub.files(E2)["sha"]
    weights = sorted(path.name for path in folder.rglob("*.safetensors"))
    assert "optimizer_state.safetensors" not in weights
    assert "model.safetensors" in weights
    study_file = wm("study", "init", "--from", "someone/small-E0-seed0", "--suite", "libero_spatial")
    assert study_file.accepted, study_file.said
    assert "someone/small-E0-seed0" in study_file.printed


def test_a_call_that_was_killed_goes_on(study: Path, hub: RunningHub) -> None:
    hub.hold(2)
    command = [sys.executable, "-m", "world_modality.cli.main", "publish", "someone", "--study", "study.yaml"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **hub.environment}, stdout=quiet, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(hub.log()["uploads"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = hub.log()
    hub.hold(None)
    assert len(before["uploads"]) == 2
    assert len(before["commits"]) < 5
    published(hub)
    after = hub.log()
    assert after["commits"] == ALL
    assert not set(before["uploads"]) & set(after["uploads"][2:])


def test_only_what_is_new_is_sent(study: Path, hub: RunningHub) -> None:
    told = wm("publish", "someone/mine", "--study", "study.yaml", "--what", "records")
    assert told.accepted, told.said
    assert hub.log()["commits"] == ["datasets/someone/mine-records"]
    uploads = len(hub.log()["uploads"])
    hub.spoil("datasets/someone/mine-records", "README.md", b"---\n---\nSomebody wrote here\n")
    assert wm("publish", "someone/mine", "--study", "study.yaml", "--what", "records").accepted
    assert len(hub.log()["commits"]) == 2
    assert len(hub.log()["uploads"]) == uploads


def test_a_file_that_was_changed_on_the_hub_is_not_taken(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    published(hub)
    weights = (ROOT / "by-name/small/train/E2-seed0/pretrained_model/model.safetensors").read_bytes()
    hub.spoil(E2, "model.safetensors", weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(UserError, match=r"model\.safetensors of someone/small-E2-seed0@.* is not what train E2/0 was"):
        list(fetch_published(tmp_path / "there", "someone/small-E2-seed0"))
    assert not sealed(tmp_path / "there")


def test_a_fetch_that_ended_early_goes_on(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    publish(Remote(), publication(hub.endpoint), ("records",), lambda _: None, public=False)
    there, name = tmp_path / "there", "records/E2-zero/seed0/records.jsonl"
    own = (ROOT / "by-name/small/rollouts/E2-zero/seed0/task0/records.jsonl").read_bytes()
    hub.spoil(RECORDS, name, own[:-20])
    with pytest.raises(UserError, match="is not what rollout E2-zero/0 task 0 was sealed with"):
        list(fetch_published(there, RECORDS))
    assert len(sealed(there)) == 2
    hub.spoil(RECORDS, name, own)
    assert "1 of 3 stages of small, 2 were here" in "\n".join(fetch_published(there, RECORDS))
    assert sealed(there).keys() == {name for name in sealed(ROOT) if name.startswith("rollout/")}


def test_no_name_leaves_its_folder(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    publish(Remote(), publication(hub.endpoint), ("report",), lambda _: None, public=False)
    stages = stages_of_the_report()
    record, table = stages["record"], stages["record"]["files"]["table.md"]
    for name in ("../../stolen", "/etc/stolen", "a/../../stolen", ".ssh/stolen", "a\\stolen", ""):
        for changed in (
            {**stages, "names": [name]},
            {**stages, "study": name},
            {**stages, "places": {**stages["places"], "table.md": {"file": name, "offset": 0}}},
            {**stages, "record": {**record, "files": {**record["files"], name: table}}},
        ):
            hub.spoil(REPORT, STAGES, json.dumps(changed).encode())
            with pytest.raises(UserError, match="would not stay below its folder: nothing is taken from it"):
                list(fetch_published(tmp_path / "there", REPORT))
    assert not (tmp_path / "there").exists()


def test_links_are_made_where_there_is_nothing(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    publish(Remote(), publication(hub.endpoint), ("report",), lambda _: None, public=False)
    stages = stages_of_the_report()
    hub.spoil(REPORT, STAGES, json.dumps({**stages, "names": ["report", "report/evil", "report-mine"]}).encode())
    there = tmp_path / "there"
    mine = there / "by-name" / "small" / "report-mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("kept")
    list(fetch_published(there, REPORT))
    assert mine.read_text() == "kept"
    assert (there / "by-name/small/report/table.md").is_file()
    assert not list(there.rglob("evil"))


def test_a_record_that_contradicts_itself_is_not_taken(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    publish(Remote(), publication(hub.endpoint), ("report",), lambda _: None, public=False)
    stages = stages_of_the_report()
    record = stages["record"]
    for changed in (
        {**stages, "record": {**record, "key": "0" * 16}},
        {**stages, "record": {**record, "stage": "elsewhere"}},
        {**stages, "record": {**record, "content_digest": "0" * 16}},
        {**stages, "places": {}},
        {**stages, "names": ["train/E2-seed0"]},
    ):
        hub.spoil(REPORT, STAGES, json.dumps(changed).encode())
        with pytest.raises(UserError, match="contradicts itself"):
            list(fetch_published(tmp_path / "there", REPORT))
    for text in (b"{", b"[]", b'{"study": "small"}'):
        hub.spoil(REPORT, STAGES, text)
        with pytest.raises(UserError, match=r"stages\.jsonl is damaged, or of another version"):
            list(fetch_published(tmp_path / "there", REPORT))
    assert not (tmp_path / "there").exists()


def test_another_result_under_the_same_key_stays(study: Path, hub: RunningHub) -> None:
    published(hub)
    folder = StageFolder((ROOT / "by-name/small/report").resolve().parent)
    record = json.loads(folder.done.read_text())
    folder.done.write_text(json.dumps({**record, "content_digest": "0" * 16}))
    with pytest.raises(UserError, match=r"another result under the same key, .* fetch it into another results tree"):
        list(fetch_published(ROOT, REPORT))
    assert json.loads(folder.done.read_text())["content_digest"] == "0" * 16


def test_repositories_that_are_none_of_ours_are_told(study: Path, hub: RunningHub, tmp_path: Path) -> None:
    for name, said in {
        "someone/nothing": "gave no model someone/nothing",
        "no repository": "is no repository of the hub: give",
        "datasets/../x": "is no repository of the hub: give",
    }.items():
        with pytest.raises(UserError, match=said):
            list(fetch_published(tmp_path / "there", name))
    Remote().create("someone/other", "model", private=True)
    with pytest.raises(UserError, match="holds no results of this package"):
        list(fetch_published(tmp_path / "there", "someone/other"))


def test_what_is_public_is_not_filled_unasked(study: Path, hub: RunningHub) -> None:
    Remote().create("someone/small-records", "dataset", private=False)
    refused = wm("publish", "someone", "--study", "study.yaml", "--what", "records")
    assert "someone/small-records is public already" in refused.said
    assert not refused.accepted
    assert hub.log()["commits"] == []
    assert wm("publish", "someone", "--study", "study.yaml", "--what", "records", "--public").accepted
    assert not hub.files(RECORDS)["private"]


def test_who_may_not_write_is_told_in_a_sentence(study: Path, hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody_at_all")
    refused = wm("publish", "someone", "--study", "study.yaml", "--what", "report")
    assert isinstance(refused.error, UserError)
    assert str(refused.error).startswith("someone/small-report could not be published on the Hugging Face hub (")
    assert "`hf auth login`" in str(refused.error)
    assert "hf_of_nobody_at_all" not in refused.said
    assert "\n" not in str(refused.error)
    assert not (ROOT / "published").exists()


def test_damaged_results_are_not_published(study: Path, hub: RunningHub) -> None:
    weights = ROOT / "by-name/small/train/E0-seed0/pretrained_model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"model\.safetensors is not as it was sealed, so train E0/0 is not published"):
        published(hub)
    assert hub.log()["commits"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a/b/c",), "a/b/c is no NAMESPACE or NAMESPACE/PREFIX"),
        (("-x",), "-x"),
        (("someone", "--what", "weights"), "--what: 'weights' cannot be published; choose of latents, checkpoints"),
        (("someone", "--benchmark", "libero=x/y"), "--benchmark libero=x/y: give SUITE=NAMESPACE/NAME"),
        (("someone/" + "x" * 90,), "is no name that the Hugging Face hub takes"),
    ],
)
def test_what_cannot_be_is_one_sentence(study: Path, hub: RunningHub, arguments: tuple[str, ...], said: str) -> None:
    refused = wm("publish", *arguments, "--study", "study.yaml", "--dry-run")
    assert not refused.accepted
    assert said in refused.said
    assert hub.log()["commits"] == []
