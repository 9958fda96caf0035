from __future__ import annotations

from pathlib import Path

from world_modality.study.comparable import undeclared_differences
from world_modality.training.compare_arms import describe_arm, memory_keys


def test_memory_may_differ_but_not_the_seed_of_the_draws_or_the_policys_learning_rate() -> None:
    declared = memory_keys()
    assert {"policy.world_memory_mode_train", "policy.world_lr", "policy.world_latents"} <= declared
    assert not {"policy.world_seed", "policy.optimizer_lr"} & declared


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
