"""Names of hub repositories become commits once, from the cache before the network."""

from __future__ import annotations

from pathlib import Path

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError
from hypothesis import given
from hypothesis import strategies as st
from support.hub_cache import COMMITS, Hub, use_hub

from world_modality.errors import UserError
from world_modality.store.hub import fetch, fetch_file, find_folder, pinned_name, resolve_commit, split_pinned

OLD, NEW = COMMITS[:2]
REPOSITORY = "lerobot/smolvla_base"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return use_hub(tmp_path / "hub", monkeypatch)


def test_a_commit_is_taken_as_it_is(hub: Hub) -> None:
    assert resolve_commit(REPOSITORY, OLD) == OLD
    assert hub.asked == []


def test_the_cache_is_asked_before_the_hub(hub: Hub) -> None:
    hub.add(REPOSITORY, OLD, {"config.json": "{}"}, ref="v3.0")
    hub.commits[REPOSITORY, "v3.0"] = NEW
    assert resolve_commit(REPOSITORY, "v3.0") == OLD
    assert hub.asked == []


def test_the_hub_is_asked_once_and_what_is_uploaded_later_changes_nothing(hub: Hub) -> None:
    hub.commits[REPOSITORY, "main"] = OLD
    assert resolve_commit(REPOSITORY, "main") == OLD
    hub.commits[REPOSITORY, "main"] = NEW
    assert resolve_commit(REPOSITORY, "main") == OLD
    assert hub.asked == [f"{REPOSITORY}@main"]


def test_data_sets_and_models_of_one_name_are_two_things(hub: Hub) -> None:
    hub.add(REPOSITORY, OLD, {"a": ""})
    hub.add(REPOSITORY, NEW, {"a": ""}, repo_type="dataset")
    assert [resolve_commit(REPOSITORY, "main", kind) for kind in ("model", "dataset")] == [OLD, NEW]


def test_out_of_reach_is_one_sentence(hub: Hub) -> None:
    with pytest.raises(
        UserError, match=r"commit of the dataset lerobot/smolvla_base its revision main .* name a commit"
    ):
        resolve_commit(REPOSITORY, "main", "dataset")


def test_what_the_hub_does_not_have_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        response = httpx.Response(404, request=httpx.Request("GET", "https://hub.example"))
        raise RepositoryNotFoundError("404", response=response)

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", refuse)
    with pytest.raises(UserError, match=r"hub gave no model lerobot/nothing at revision main \(RepositoryNotFound"):
        resolve_commit("lerobot/nothing", "main")
    with pytest.raises(UserError, match=r"hub gave no model not//a name"):
        resolve_commit("not//a name", "main")


def test_a_commit_in_the_cache_needs_no_network(hub: Hub) -> None:
    snapshot = hub.add(REPOSITORY, OLD, {"config.json": "{}"}, ref=None)
    hub.add(REPOSITORY, NEW, {"config.json": "{}", "other": ""})
    assert fetch(REPOSITORY, OLD) == snapshot
    assert fetch_file(REPOSITORY, OLD, "config.json") == snapshot / "config.json"
    assert hub.asked == []
    with pytest.raises(UserError, match=rf"has no other .*`hf download {REPOSITORY} other --repo-type model"):
        fetch_file(REPOSITORY, OLD, "other")


def test_what_is_not_in_the_cache_names_the_command_that_fetches_it(hub: Hub) -> None:
    message = rf"run `hf download {REPOSITORY} --repo-type dataset --revision {OLD}` .*, or set data.source to folder$"
    with pytest.raises(UserError, match=message):
        fetch(REPOSITORY, OLD, "dataset", instead="set data.source to folder")


def test_what_someone_names_is_a_folder_or_a_repository(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = hub.add(REPOSITORY, OLD, {"config.json": "{}"}, ref="main")
    hub.add(REPOSITORY, NEW, {"config.json": "{}"}, ref="v2")
    assert find_folder(REPOSITORY) == (snapshot, OLD)
    assert find_folder(f"{REPOSITORY}@v2")[1] == find_folder(f"{REPOSITORY}@{NEW}")[1] == NEW
    (tmp_path / REPOSITORY).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_folder(REPOSITORY) == (Path(REPOSITORY), None)  # what lies here comes first
    for name in ("nowhere", "/no/where", "a/b/c", "./a"):
        with pytest.raises(UserError, match="is no folder, and no repository of the Hugging Face hub"):
            find_folder(name)


@given(st.from_regex(r"[\w.-]+(/[\w.-]+)?", fullmatch=True), st.text("0123456789abcdef", min_size=40, max_size=40))
def test_pinned_names_split_into_what_they_were_made_of(repo_id: str, commit: str) -> None:
    assert split_pinned(pinned_name(repo_id, commit)) == (repo_id, commit)
    assert split_pinned(repo_id) is None
    assert split_pinned(f"{repo_id}@main") is None
