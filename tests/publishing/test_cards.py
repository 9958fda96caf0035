"""Cards say what is known, in the hub's own form, and nothing secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard, parse_eval_result_entries
from support.published_study import ROOT, STUDY, publication
from support.small_study import edited, graph_of

from world_modality.errors import UserError
from world_modality.evidence.rates import wilson
from world_modality.publishing.bundle import Bundle, file_of
from world_modality.publishing.model_card import model_card
from world_modality.publishing.names import destination
from world_modality.publishing.privacy import HIDDEN, private_places, require_no_secret, secrets, told
from world_modality.publishing.publication import Publication
from world_modality.publishing.publish import gathered
from world_modality.publishing.words import finished
from world_modality.store.done import read_done
from world_modality.store.layout import stage_folder

HUB = "https://hub.example"
SECRET = "planted-" + "secret-of-a-test"


def bundles(**more: Any) -> dict[str, Bundle]:
    made = gathered(publication(HUB, **more), ("latents", "checkpoints", "records", "report"))
    return {bundle.repo_id.partition("/")[2]: bundle for bundle in made}


def texts(bundle: Bundle) -> dict[str, str]:
    return {
        file.name: b"".join(file.chunks()).decode()
        for file in bundle.files
        if file.name.endswith((".md", ".yaml", ".json", ".jsonl"))
    }


def test_a_checkpoints_card_is_read_by_the_hubs_own_class(study: Path) -> None:
    made = bundles()
    card = ModelCard(texts(made["small-E2-seed0"])["README.md"])
    data = card.data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == ("lerobot", "robotics")
    assert "base_model" not in data, "an embedded start policy is no repository of the hub"
    assert not {"datasets", "license"} & data.keys()
    assert {"robotics", "smolvla", "memory-pred"} <= set(data["tags"])
    results = {(each.dataset_config, each.dataset_name): each for each in card.data.eval_results}
    assert set(results) == {("E2", "libero_spatial"), ("E2-zero", "libero_spatial")}
    records = [json.loads(line) for line in texts(made["small-records"])["records/E2/seed0/records.jsonl"].splitlines()]
    successes, interval = sum(each["success"] for each in records), wilson(sum(e["success"] for e in records), 4)
    own = results["E2", "libero_spatial"]
    assert own.metric_value == 100 * successes / 4
    assert own.metric_args["episodes"] == len(records) == 4
    assert (own.metric_args["low"], own.metric_args["high"]) == (
        round(100 * interval.low, 1),
        round(100 * interval.high, 1),
    )
    assert own.dataset_type == "someone/small-records"
    for said in (
        "trained with World Modality as `E2-seed0`. Its memory held, while it was trained: the Prophet's prediction",
        "type `smolvla_world`",
        "LeRobot knows this type once `lerobot_policy_world_modality` is installed",
        "| encoder | vjepa2, embedded vjepa2-small; clips of 4 frames, 64 pixels, mean pooling, float32 |",
        "a score of a whole suite: 1 of 10 tasks were rolled out",
        "a score of whole tasks: 4 of 50 recorded initial states were rolled out",
        "how another training seed would do",
        "official length of an episode, which is 280 control steps",
        "parts are small ones made for this package",
        f"[records of every episode of the study]({HUB}/datasets/someone/small-records)",
    ):
        assert said in card.text, said
    headline = json.loads((ROOT / "by-name/small/report/table.json").read_text())["headline"]
    assert headline in card.text
    assert "| encoder | none: no latents are read |" in texts(made["small-E0-seed0"])["README.md"]


def test_data_set_cards_are_read_by_the_hubs_own_class(study: Path) -> None:
    made = bundles(license="apache-2.0")
    for name in ("small-latents-image", "small-records", "small-report"):
        data = DatasetCard(texts(made[name])["README.md"]).data.to_dict()
        assert data["license"] == "apache-2.0"
        assert "robotics" in data["tags"]
    records = DatasetCard(texts(made["small-records"])["README.md"])
    assert records.data.to_dict()["configs"] == [{"config_name": "default", "data_files": "records.parquet"}]
    assert "| E2-zero | 0 | libero_spatial | " in records.text
    assert "wm compare results/by-name/small/rollouts/CONDITION" in records.text
    assert "| task | E0 | E2 pred | E2-zero |" in texts(made["small-report"])["README.md"]


def test_what_comes_from_the_hub_is_named(study: Path) -> None:
    data = "  source: scripted\n  demonstrations: {per_task: 2, init_states: 0-9}\n"
    policy = f"policy: {{source: hub, repo_id: lerobot/smolvla_base, revision: {'a' * 40}}}\n"
    hub_data = f"  source: hub\n  repo_id: HuggingFaceVLA/libero\n  revision: {'b' * 40}\n"
    text = edited(("policy: {source: scratch}\n", policy), (data, hub_data), text=STUDY)
    own = publication(HUB)
    graph = graph_of(study, text)
    known = replace(own, graph=graph)
    request = next(each for each in graph.of("train"))
    sealed = next(each for each in own.graph.of("train"))
    record = read_done(stage_folder(ROOT, "train", sealed.key).done)
    assert record is not None
    data = ModelCard(model_card(known, request, record, {"type": "smolvla"}, ())).data.to_dict()
    assert data["base_model"] == "lerobot/smolvla_base"
    dataset = next(graph.of("dataset")).spec
    assert dataset.source == "hub"
    assert data["datasets"] == dataset.repo_id
    assert "model-index" not in data


def test_results_are_in_the_form_in_which_the_hub_gathers_them(study: Path) -> None:
    made = texts(bundles()["small-E2-seed0"])
    names = [name for name in made if name.startswith(".eval_results/")]
    assert sorted(names) == [".eval_results/E2-zero.yaml", ".eval_results/E2.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(made[".eval_results/E2-zero.yaml"]))
    assert (entry.dataset_id, entry.task_id) == ("someone/small-records", "libero_spatial")
    assert entry.source_url == f"{HUB}/datasets/someone/small-records"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", str(entry.date))
    assert re.search(r"zero memory while acting; \d of 4 episodes succeeded, .*95% interval", str(entry.notes))
    named = texts(bundles(benchmarks={"libero_spatial": "who/libero"})["small-E2-seed0"])
    (entry,) = parse_eval_result_entries(yaml.safe_load(named[".eval_results/E2.yaml"]))
    assert entry.dataset_id == "who/libero"
    alone = gathered(publication(HUB, target="nobody"), ("checkpoints",))
    assert not any(file.name.startswith(".eval_results") for bundle in alone for file in bundle.files)


def test_a_card_that_would_be_read_otherwise_is_not_made() -> None:
    class Odd(ModelCard):
        def __init__(self, content: str) -> None:
            super().__init__(content.replace("robotics", "other"))

    front = ModelCard("---\npipeline_tag: robotics\n---\n").data
    with pytest.raises(ValueError, match="front matter is read as"):
        finished(Odd, front, ["text"])
    assert finished(ModelCard, front, ["one\n---\ntwo"]).count("---") == 2


def test_no_card_and_no_file_holds_a_secret(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(name, f"{SECRET}-{name}")
    for bundle in bundles().values():
        content = b"".join(b"".join(file.chunks()) for file in bundle.files)
        assert SECRET.encode() not in content
        assert str(study).encode() not in content
        assert str(Path.home()).encode() not in content or len(Path.home().parts) <= 2
    for file in (ROOT / "published").rglob("*.json"):
        assert SECRET not in file.read_text()


@pytest.mark.parametrize("name", ["notes.json", "README.md", "metrics.jsonl"])
def test_a_planted_secret_stops_the_publishing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    bundle = Bundle("report", "report", "someone/x", "dataset", (), (file_of(name, f'{{"a": "{SECRET}"}}'),))
    with pytest.raises(UserError, match="holds the value of WANDB_API_KEY, so report is not published") as refused:
        require_no_secret(bundle)
    assert SECRET not in str(refused.value)
    login = "someone:pass" + "-phrase"
    monkeypatch.setenv("WORLD_MODALITY_SERVERS", f"ws://{login}@host.example:1")
    for part in (login, login.partition(":")[2]):
        with pytest.raises(UserError, match="holds the value of WORLD_MODALITY_SERVERS") as refused:
            require_no_secret(replace(bundle, content=(file_of(name, f'{{"a": "{part}"}}'),)))
        assert part not in str(refused.value)
    token = "hf_" + "a1B2" * 9
    with pytest.raises(UserError, match="a token or key") as refused:
        require_no_secret(replace(bundle, content=(file_of(name, token),)))
    assert token not in str(refused.value)


def test_errors_are_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("LONG_SECRET", "x" * 5000)
    monkeypatch.setenv("HF_TOKEN_PATH", str(Path(__file__)))
    assert str(Path(__file__)) not in secrets()
    login = "me:pass" + "@"
    said = told(RuntimeError(f"401 for https://{login}hub.example with {SECRET}"))
    assert said == f"401 for https://hub.example with {HIDDEN}"


def test_folders_of_this_machine_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = (file_of("a.json", f'"{tmp_path}/weights"'), file_of("b.json", "{}"), file_of("c.bin", str(tmp_path)))
    bundle = Bundle("report", "report", "someone/x", "dataset", (), found)
    assert list(private_places(bundle)) == ["a.json"]


def test_an_unfinished_study_says_what_it_lacks(study: Path) -> None:
    folder = (ROOT / "by-name/small/report").resolve().parent
    (folder / "DONE.json").unlink()
    (folder / "seal.json").unlink()
    made = bundles()
    assert set(made) == {"small-latents-image", "small-E0-seed0", "small-E2-seed0", "small-records"}
    assert "The study has no sealed report yet, so it has no verdict." in texts(made["small-E2-seed0"])["README.md"]


def test_two_arms_of_one_name_on_the_hub_are_refused(study: Path) -> None:
    own = publication(HUB)
    names = {("train/E2-seed0.." if name == "train/E0-seed0" else name): key for name, key in own.graph.names.items()}
    graph = replace(own.graph, names=names)
    clash = Publication(ROOT, graph, destination("someone", "small"), HUB)
    with pytest.raises(UserError, match=r"would both be called someone/small-E2-seed0 on the hub: rename one"):
        gathered(clash, ("checkpoints",))
