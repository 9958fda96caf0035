"""Content addresses of what lies outside the study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_study import edited

from world_modality.cli import sources as sources_module
from world_modality.cli.sources import resolve_sources
from world_modality.errors import UserError
from world_modality.study.load import StudyFile, load_study
from world_modality.study.sources import Sources

SCRATCH = "policy: {source: scratch}"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"chunk_size": 10}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def study(tmp_path: Path, *edits: tuple[str, str]) -> StudyFile:
    path = tmp_path / "study.yaml"
    path.write_text(edited(*edits))
    return load_study(path)


def resolve(tmp_path: Path, *edits: tuple[str, str]) -> Sources:
    return resolve_sources(study(tmp_path, *edits), tmp_path / "results")


def test_embedded_parts(tmp_path: Path) -> None:
    found = resolve(tmp_path)
    assert (found.assets, len(found.assets_digest)) == ("embedded", 16)
    assert (found.policy_name, found.policy_revision) == ("smolvla-tiny", "")
    assert (found.encoder_name, found.dataset_name) == ("vjepa2-small", "local/libero_spatial")


def test_a_policy_folder_is_its_content_but_for_what_is_about_it(tmp_path: Path, policy: Path) -> None:
    edit = (SCRATCH, f"policy: {{source: folder, path: {policy}}}")
    before = resolve(tmp_path, edit).policy_revision
    (policy / "README.md").write_text("about")
    (policy / "provenance.json").write_text("{}")
    assert resolve(tmp_path, edit).policy_revision == before
    (policy / "model.safetensors").write_bytes(b"other weights")
    assert resolve(tmp_path, edit).policy_revision != before


def test_the_embedded_base_policy(tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = (SCRATCH, "policy: {source: embedded}")
    monkeypatch.setattr(sources_module, "BASE_POLICY", policy)
    assert len(resolve(tmp_path, edit).policy_revision) == 16
    too_many = ("num_steps: 5", "num_steps: 5\n  n_action_steps: 11")
    with pytest.raises(UserError, match=r"study.yaml:24: rollouts.n_action_steps: 11 exceeds .* chunk of 10 actions"):
        resolve(tmp_path, edit, too_many)
    monkeypatch.setattr(sources_module, "BASE_POLICY", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"study.yaml:11: policy.source: the embedded base policy is missing; make it"):
        resolve(tmp_path, edit)


def test_hub_parts_are_named_by_their_revision(tmp_path: Path) -> None:
    found = resolve(
        tmp_path,
        (SCRATCH, "policy: {source: hub, repo_id: lerobot/smolvla_base, revision: abc}"),
        ("source: embedded, frames", "source: hub, repo_id: facebook/vjepa2, revision: def, frames"),
    )
    assert (found.policy_name, found.policy_revision) == ("lerobot/smolvla_base", "abc")
    assert (found.encoder_name, found.encoder_revision) == ("facebook/vjepa2", "def")


def test_missing_folders_are_errors_at_their_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study.yaml:11: policy.path: nowhere is not a folder"):
        resolve(tmp_path, (SCRATCH, "policy: {source: folder, path: nowhere}"))
    with pytest.raises(UserError, match=r"study.yaml:4: simulator.assets: nowhere is not a folder"):
        resolve(tmp_path, ("assets: embedded", "assets: nowhere"))


def test_what_is_no_policy(tmp_path: Path, policy: Path) -> None:
    (policy / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is not a LeRobot pretrained_model folder"):
        resolve(tmp_path, (SCRATCH, f"policy: {{source: folder, path: {policy}}}"))


def test_an_unreachable_hub_only_stops_a_real_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(source: str) -> str:
        raise UserError("cannot fetch")

    monkeypatch.setattr(sources_module, "assets_digest", unreachable)
    file = study(tmp_path, ("assets: embedded", "assets: hub"))
    with pytest.raises(UserError, match="cannot fetch"):
        resolve_sources(file, tmp_path)
    assert resolve_sources(file, tmp_path, lenient=True).assets_digest == "unresolved"
