from pathlib import Path

import pytest

from world_modality.data.hub import copy_folder
from world_modality.errors import UserError


def test_only_matching_files_are_copied_and_leftovers_go(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("config.json", "sub/weights.safetensors", "notes.md", ".git/config.json"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    target.mkdir()
    (target / "half").write_text("an interrupted copy")
    copy_folder(source, target, setting="policy.path", patterns=("*.json", "*.safetensors"))
    copied = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert copied == {"config.json": "config.json", "sub/weights.safetensors": "sub/weights.safetensors"}
    (target / "config.json").write_text("changed")
    assert (source / "config.json").read_text() == "config.json"


def test_a_missing_or_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"policy\.path: there is no folder"):
        copy_folder(tmp_path / "none", tmp_path / "target", setting="policy.path")
    with pytest.raises(UserError, match=r"holds no file that matches \*\.json"):
        copy_folder(tmp_path, tmp_path / "target", setting="policy.path", patterns=("*.json",))


def test_the_hub_cache_is_used_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from world_modality.data.hub import fetch_snapshot

    commit = "0" * 40
    cache = tmp_path / "cache"
    blob = cache / "models--some--model" / "blobs" / "abc"
    snapshot = cache / "models--some--model" / "snapshots" / commit
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    blob.write_text("weights")
    (snapshot / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    fetch_snapshot("some/model", commit, tmp_path / "target", patterns=("*.safetensors",))
    fetched = tmp_path / "target" / "model.safetensors"
    assert fetched.read_text() == "weights"
    assert not fetched.is_symlink()
