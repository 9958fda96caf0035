from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import encode_clips, encoder_spec, moving_dots, stage_context
from support.toy_footage import SMALL

from world_modality.data.hub import ENCODER
from world_modality.encoders import source
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import run
from world_modality.errors import UserError
from world_modality.pretraining.networks import build_network, save_encoder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
def test_embedded_encoders_are_equal_for_equal_seeds_and_leave_the_random_generator_alone(
    tmp_path: Path, kind: str
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    contexts = [stage_context(tmp_path / name) for name in ("a", "b", "c")]
    for context, seed in zip(contexts, (0, 0, 1), strict=True):
        assert run(encoder_spec(kind, seed=seed), context)["dim"] == 128
    assert torch.equal(torch.rand(3), expected)
    first, second, other = (contents(context.artifact) for context in contexts)
    assert first == second
    assert first["model.safetensors"] != other["model.safetensors"]


def test_a_folder_is_copied_and_encodes_the_same(tmp_path: Path) -> None:
    built, copied = stage_context(tmp_path / "built"), stage_context(tmp_path / "copied")
    run(encoder_spec(), built)
    (built.artifact / "notes.bin").write_bytes(b"not part of the model")
    spec = encoder_spec(source="folder", name=str(built.artifact), revision=ENCODER.digest(built.artifact))
    run(spec, copied)
    assert "notes.bin" not in contents(copied.artifact)
    clip = moving_dots(4)[None]
    latents = [encode_clips(load_encoder(spec, context.artifact), clip) for context in (built, copied)]
    assert np.array_equal(*latents)


def test_a_folder_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    built = stage_context(tmp_path / "built")
    run(encoder_spec(), built)
    spec = encoder_spec(source="folder", name=str(built.artifact), revision=ENCODER.digest(built.artifact))
    (built.artifact / "config.json").write_text((built.artifact / "config.json").read_text() + "\n")
    with pytest.raises(UserError, match=r"encoder\.path: the content of .* when the study was planned"):
        run(spec, stage_context(tmp_path / "copied"))


def test_the_trained_encoder_is_copied_and_never_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_encoder(build_network(SMALL), tmp_path / "package")
    monkeypatch.setattr(source, "TRAINED_ENCODER", tmp_path / "package")
    spec = encoder_spec(name="vjepa2-libero", revision=ENCODER.digest(tmp_path / "package"))
    context = stage_context(tmp_path)
    assert run(spec, context)["dim"] == SMALL.hidden
    assert contents(context.artifact) == contents(tmp_path / "package")


def test_a_leftover_of_an_interrupted_attempt_is_not_sealed(tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    (context.artifact / "model.safetensors.part").write_bytes(b"half")
    run(encoder_spec(), context)
    assert "model.safetensors.part" not in contents(context.artifact)


def test_offline_hub_tells_what_to_do(tmp_path: Path) -> None:
    spec = encoder_spec(source="hub", name="facebook/vjepa2-vitg-fpc64-256", revision="a" * 40)
    message = "hf download facebook/vjepa2-vitg-fpc64-256 --revision a{40}.*set encoder.source to folder"
    with pytest.raises(UserError, match=message):
        run(spec, stage_context(tmp_path))


def test_unknown_names_and_missing_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"choose one of vjepa2-small \(vjepa2\)"):
        run(encoder_spec(name="vjepa2-huge"), stage_context(tmp_path))
    with pytest.raises(UserError, match=r"encoder\.path: there is no folder"):
        run(encoder_spec(source="folder", name=str(tmp_path / "nowhere")), stage_context(tmp_path))
