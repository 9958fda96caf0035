from pathlib import Path

import pytest

from world_modality.data.hub import DATASET, POLICY, Content, copy_folder, fetch_snapshot
from world_modality.errors import UserError

POLICY_PATH = "policy.path"


def test_only_matching_files_are_copied_and_leftovers_go(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("config.json", "sub/weights.safetensors", "notes.md", ".git/config.json"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    target.mkdir()
    (target / "half").write_text("an interrupted copy")
    copy_folder(source, target, setting=POLICY_PATH, content=POLICY, digest=POLICY.digest(source))
    copied = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert copied == {"config.json": "config.json", "sub/weights.safetensors": "sub/weights.safetensors"}
    (target / "config.json").write_text("changed")
    assert (source / "config.json").read_text() == "config.json"


def test_a_missing_or_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"policy\.path: there is no folder"):
        copy_folder(tmp_path / "none", tmp_path / "target", setting=POLICY_PATH, content=POLICY, digest="")
    with pytest.raises(UserError, match=r"holds no file that matches \*\.json"):
        copy_folder(tmp_path, tmp_path / "target", setting=POLICY_PATH, content=Content(("*.json",)), digest="")


def test_a_folder_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    planned = POLICY.digest(source)
    (source / "config.json").write_text('{"chunk_size": 50}')
    message = (
        f"policy.path: the content of .* is {POLICY.digest(source)}, but it was {planned} when the study was planned"
    )
    with pytest.raises(UserError, match=message):
        copy_folder(source, tmp_path / "target", setting=POLICY_PATH, content=POLICY, digest=planned)


def test_linked_folders_are_copied_as_they_are_addressed(tmp_path: Path) -> None:
    """A dataset's videos may lie on another disk, linked into its folder."""
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    for folder, name in ((source, "meta/info.json"), (elsewhere, "episode.mp4")):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name)
    (source / "videos").symlink_to(elsewhere)
    copy_folder(source, tmp_path / "target", setting="data.path", content=DATASET, digest=DATASET.digest(source))
    assert (tmp_path / "target" / "videos" / "episode.mp4").read_text() == "episode.mp4"


def test_the_hub_cache_is_used_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    commit = "0" * 40
    cache = tmp_path / "cache"
    blob = cache / "models--some--model" / "blobs" / "abc"
    snapshot = cache / "models--some--model" / "snapshots" / commit
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    blob.write_text("weights")
    (snapshot / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    fetch_snapshot("some/model", commit, tmp_path / "target", section="policy", content=POLICY)
    fetched = tmp_path / "target" / "model.safetensors"
    assert fetched.read_text() == "weights"
    assert not fetched.is_symlink()
