"""Names of repositories, and names that a repository gives back."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from world_modality.errors import UserError
from world_modality.publishing.fetch import Published, find
from world_modality.publishing.names import destination, plain, safe_name


def test_repositories_are_called_by_study_or_prefix() -> None:
    assert destination("someone", "demo").repository("E2", "seed0") == "someone/demo-E2-seed0"
    assert destination("someone/mine", "demo").repository("records") == "someone/mine-records"
    assert destination("some.one", "a b").repository("é--x") == "some.one/a-b-x"


@pytest.mark.parametrize("text", ["", "/x", "a/b/c", "a/", "a/---", "-a", "a b", "é"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no NAMESPACE"):
        destination(text, "demo")


def test_what_was_fetched_is_named_as_it_is_fetched_again() -> None:
    model, records = Published("someone/x", "model", "0b" * 20), Published("someone/y", "dataset", "1c" * 20)
    assert [find(each.named) for each in (model, records)] == [model, records]


@given(st.text(max_size=120), st.text(max_size=40))
def test_a_name_is_one_for_the_hub_or_refused(prefix: str, part: str) -> None:
    try:
        name = destination("someone", prefix or "x").repository(part)
    except UserError:
        return
    validate_repo_id(name)
    assert plain(name.partition("/")[2]) == name.partition("/")[2]


@given(st.text(st.sampled_from("ab./\\:~\x00\n"), max_size=12))
def test_a_safe_name_stays_below_its_folder(name: str) -> None:
    try:
        safe = safe_name(name, "somewhere")
    except UserError:
        return
    path = PurePosixPath("/folder") / safe
    assert path.is_relative_to("/folder")
    assert path != PurePosixPath("/folder")
    assert not any(part.startswith(".") for part in path.parts)


def test_what_stages_hold_is_safe() -> None:
    for name in ("pretrained_model/model.safetensors", "records.jsonl", "figures/rates.all-tasks.svg", "a b/ü.json"):
        assert safe_name(name, "here") == name
