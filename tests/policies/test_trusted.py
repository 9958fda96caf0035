"""No file of a checkpoint, dataset or model decides which code runs, or leads out of its folder."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.policies import factory
from support.given_inputs import edit_json
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.libero.quiet import libero_folder
from world_modality.benchmarks.libero.tasks import init_file_digests, own_states, read_states
from world_modality.checks.processors import processor_findings
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.policies import trusted
from world_modality.policies.checkpoint import load_config, load_processors
from world_modality.policies.trusted import checked_processors, refuse_foreign_code, require_known_steps
from world_modality.store.files import file_digest

PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
PROCESSORS = "make_pre_post_processors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_checkpoint(tmp_path_factory.mktemp("trusted") / "checkpoint")


def steps(folder: Path, *added: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / PREPROCESSOR).write_text(json.dumps({"name": "policy_preprocessor", "steps": list(added)}))
    return folder


def test_a_processor_of_another_class_is_never_called(checkpoint: Path, tmp_path: Path) -> None:
    """LeRobot imports whatever class the file names, and calls it with the settings beside it."""
    trace = tmp_path / "trace"
    evil = {"class": "subprocess.Popen", "config": {"args": ["touch", str(trace)]}}
    original = (checkpoint / PREPROCESSOR).read_text()
    try:
        edit_json(checkpoint / PREPROCESSOR, lambda found: found["steps"].insert(0, evil))
        config = load_config(checkpoint, "cpu", None, None, None)
        with pytest.raises(UserError, match=r"a step is of subprocess\.Popen, which is no processor step of LeRobot"):
            load_processors(checkpoint, config)
    finally:
        (checkpoint / PREPROCESSOR).write_text(original)
    assert not trace.exists()
    assert load_processors(checkpoint, config)


def test_lerobots_own_scripts_build_none_of_such_either_from_a_repository(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked is built: LeRobot is told the commit of the files that were looked at."""
    good, bad = checkpoint, steps(tmp_path / "bad", {"class": "subprocess.Popen", "config": {"args": ["true"]}})
    folders, asked, built = {"one/good@v1": good, "one/bad": bad}, [], []
    monkeypatch.setattr(
        trusted, "find_folder", lambda name, patterns: (folders[name], "c" * 40) if not asked.append(patterns) else None
    )
    monkeypatch.setattr(factory, PROCESSORS, lambda config, **told: built.append(told) or ("before", "after"))
    assert checked_processors(None, Path("one/good"), "v1", dataset_stats={}) == ("before", "after")
    with pytest.raises(UserError, match="no processor step of LeRobot"):
        checked_processors(None, "one/bad")
    assert built == [{"pretrained_path": "one/good", "pretrained_revision": "c" * 40, "dataset_stats": {}}]
    assert asked == [(PREPROCESSOR, POSTPROCESSOR)] * 2


def test_a_check_finds_it_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = steps(tmp_path / "checkpoint", {"class": "subprocess.Popen", "config": {"args": ["true"]}})
    (found,) = processor_findings(folder, {"type": "act"}, {}, "arms.E0")
    assert (found.level, found.part, found.where) == ("error", "arms.E0", str(folder / PREPROCESSOR))
    assert found.message.startswith("has a step of subprocess.Popen, no class of LeRobot")


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"class": "lerobot.processor.NormalizerProcessorStep"}, ""),
        ({"registry_name": "normalizer_processor", "state_file": "step_5.safetensors"}, ""),
        ({"class": "lerobot.utils.constants.HF_LEROBOT_HOME"}, "no processor step"),
        ({"class": "lerobot_no_such_plugin.Step"}, "no processor step"),
        ({"class": "os.system"}, "no processor step"),
        ({}, "no processor step"),
        ({"registry_name": "normalizer_processor", "state_file": "../other/step.safetensors"}, "outside of the check"),
        ({"registry_name": "normalizer_processor", "state_file": "/etc/step.safetensors"}, "outside of the checkpoint"),
    ],
)
def test_steps_are_known_and_their_state_is_beside_them(tmp_path: Path, step: dict[str, Any], told: str) -> None:
    folder = steps(tmp_path / "checkpoint", step)
    if not told:
        require_known_steps(folder)
        return
    with pytest.raises(UserError, match=told):
        require_known_steps(folder)


def test_a_repositorys_own_code_is_not_run_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of LeRobot's policies say trust_remote_code=True of a model that the checkpoint names."""
    from transformers import AutoModel, dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "get_cached_module_file", dynamic_module_utils.get_cached_module_file)
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    told = {"auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}, "model_type": "theirs"}
    (tmp_path / "config.json").write_text(json.dumps(told))
    refuse_foreign_code()
    with pytest.raises(UserError, match=r"brings code of its own \(theirs\.py\), and no code of a model's repository"):
        AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert not (tmp_path / "trace").exists()


def test_an_encoder_with_code_of_its_own_is_loaded_without_it(tmp_path: Path) -> None:
    from support.data_stages import encoder_spec

    spec = encoder_spec("dinov2")
    build_embedded_encoder(spec, tmp_path)
    before = load_encoder(spec, tmp_path).parameter_count
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    edit_json(tmp_path / "config.json", lambda config: config.update(auto_map={"AutoModel": "theirs.Model"}))
    assert load_encoder(spec, tmp_path).parameter_count == before
    assert not (tmp_path / "trace").exists()


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_recorded_states_are_read_as_numbers_alone(tmp_path: Path) -> None:
    files = sorted((libero_folder() / "init_files").rglob("*.pruned_init"))
    assert len(files) == len(init_file_digests()) == 130
    for file in (files[0], files[len(files) // 2], files[-1]):
        states = read_states(file)
        np.testing.assert_array_equal(states, torch.load(file, weights_only=False))
        assert states.dtype == np.float64
    torch.save(Evil(tmp_path / "trace"), tmp_path / "evil")
    (tmp_path / "plain").write_bytes(pickle.dumps(Evil(tmp_path / "trace")))
    for name in ("evil", "plain", "absent"):
        with pytest.raises(UserError, match=rf"{name} holds no recorded states of LIBERO .*: install hf-libero anew"):
            read_states(tmp_path / name)
    assert not (tmp_path / "trace").exists()


def test_liberos_own_recorded_states_are_those_of_the_locked_package(tmp_path: Path) -> None:
    folder, names = libero_folder() / "init_files", list(init_file_digests())
    assert all(file_digest(folder / name) == digest for name, digest in init_file_digests().items())
    np.testing.assert_array_equal(own_states(folder, names[0]), read_states(folder / names[0]))
    changed = read_states(folder / names[0])
    changed[0, 1] += 1e-3
    (tmp_path / names[0]).parent.mkdir()
    torch.save(changed, tmp_path / names[0])  # numbers alone, and others
    for name in (names[0], names[1], "libero_spatial/theirs.pruned_init"):
        with pytest.raises(
            UserError, match=r"is not the file of recorded states .*: install anew the hf-libero"
        ) as error:
            own_states(tmp_path, name)
        assert str(tmp_path / name) in str(error.value)
