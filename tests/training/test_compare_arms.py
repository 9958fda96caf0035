from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.errors import UserError
from world_modality.training.compare_arms import (
    ABSENT,
    Difference,
    describe_arm,
    memory_keys,
    require_equal_arms,
    undeclared_differences,
)

KEYS = st.sampled_from(["a", "b", "steps"])
ARMS = st.recursive(
    st.integers(0, 2) | st.booleans() | st.none(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(KEYS, ARMS, max_size=3), st.dictionaries(KEYS, ARMS, max_size=3))
def test_differences_are_symmetric_and_none_for_equals(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert undeclared_differences(one, one, ()) == []
    forth, back = undeclared_differences(one, other, ()), undeclared_differences(other, one, ())
    assert forth == [Difference(each.key, each.b, each.a) for each in back]
    assert undeclared_differences(one, other, {each.key for each in forth}) == []


def test_a_declared_key_covers_what_is_below_it_and_nothing_beside_it() -> None:
    one = {"policy": {"world": {"heads": 8}, "world_lr": 1}, "steps": 5}
    other = {"policy": {"world": {"heads": 4}, "world_lr": 2}}
    assert undeclared_differences(one, other, {"policy.world"}) == [
        Difference("policy.world_lr", 1, 2),
        Difference("steps", 5, ABSENT),
    ]


def test_error_names_keys_and_both_values() -> None:
    message = "arm E0 and arm E2 differ in more than was declared: lr is 0.1 against 0.2; steps is 5 against 6"
    with pytest.raises(UserError, match=message):
        require_equal_arms("arm E0", {"lr": 0.1, "steps": 5}, "arm E2", {"lr": 0.2, "steps": 6}, {"policy"})
    require_equal_arms("arm E0", {"lr": 0.1}, "arm E2", {"lr": 0.1}, ())


def test_memory_may_differ_but_not_its_learning_rate_or_the_seed_of_the_draws() -> None:
    declared = memory_keys()
    assert {"policy.world_memory_mode_train", "policy.world_latents", "inputs.latents"} <= declared
    assert not {"policy.world_lr", "policy.world_seed", "policy.optimizer_lr"} & declared


def test_description_has_roles_for_paths_and_digests_for_inputs(tmp_path: Path) -> None:
    for name, content in (("one", b"a"), ("two", b"a"), ("three", b"b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    config = {"dataset": {"root": str(tmp_path / "one" / "x")}, "paths": [str(tmp_path / "one")], "num_workers": 7}
    arms = [
        describe_arm(config, {"policy": tmp_path / name}, {tmp_path / "one": "dataset"})
        for name in ("one", "two", "three")
    ]
    assert arms[0]["dataset"] == {"root": "<dataset>/x"}
    assert arms[0]["paths"] == ["<dataset>"]
    assert "num_workers" not in arms[0]
    assert arms[0] == arms[1]
    assert [each.key for each in undeclared_differences(arms[0], arms[2], ())] == ["inputs.policy"]
