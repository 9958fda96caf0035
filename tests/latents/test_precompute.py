"""The earlier program's name and flags lead to the same code and to its layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.data_stages import encoder_spec
from support.tiny_dataset import build_tiny_dataset

from world_modality.cli import latents
from world_modality.cli.earlier_programs import DINO, VJEPA
from world_modality.cli.latents import Clips, encode_latents
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.latents import exporting
from world_modality.latents.earlier_cache import claimed, find_published
from world_modality.merge_world_latent_shards import main as merge
from world_modality.precompute_world_latents import main

NAME = "train_world_latents_vjepa_m3.fp16.npy"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    build_tiny_dataset(folder / "set", episodes=2, frames=5, size=32)
    build_embedded_encoder(encoder_spec(), folder / "my_vjepa2")
    return folder


def flags(place: Path, cache: Path, *more: str) -> list[str]:
    return [
        *("--dataset_name", str(place / "set"), "--cache_dir", str(cache), "--temporal_window", "3"),
        *("--vision_model_name", str(place / "my_vjepa2"), "--image_key", "observation.images.image2"),
        *("--batch_size", "4", "--num_workers", "1", "--image_size", "32", *more),
    ]


def ended(place: Path, cache: Path, *more: str, program: Callable[[Sequence[str] | None], None] = main) -> str:
    """The one sentence that a program with these flags ends with."""
    with pytest.raises(SystemExit) as error:
        program(flags(place, cache, *more))
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def rejected(capsys: pytest.CaptureFixture[str], given: list[str]) -> str:
    """The last line of what is said of flags that cannot be read."""
    with pytest.raises(SystemExit) as error:
        main(given)
    assert error.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def killed_while_writing(place: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that a run left when it had encoded everything and written no file; the cache's hidden folder."""

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(exporting, "export_cache", kill)
        with pytest.raises(KeyboardInterrupt):
            main(flags(place, cache))
    return cache / "set" / f".{NAME.removesuffix('.npy')}"


def test_the_earlier_flags_leave_the_earlier_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(flags(place, tmp_path / "cache"))
    file = tmp_path / "cache" / "set" / NAME
    assert capsys.readouterr().out == f"latents      {file}\n"
    assert find_published(file.parent) == file
    assert (claimed(file).frames, claimed(file).rows) == (3, 11)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        NAME,
        "train_world_latents_vjepa_m3.fp16_metadata.json",
    ]
    encode_latents(place / "set", tmp_path / "ours", Clips(str(place / "my_vjepa2"), "image2", 3, 32, "float32"), 1)
    assert np.array_equal(np.load(file), np.load(tmp_path / "ours" / "latents.npy")[:, 0])
    assert "never overwritten" in ended(place, tmp_path / "cache")
    assert "never overwritten" in ended(place, tmp_path / "cache", program=merge)


def test_a_finished_cache_is_taken_up_by_the_same_flags_alone(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = killed_while_writing(place, tmp_path, monkeypatch)
    begun = (made / "latents.npy").stat().st_ino
    for more, what in (
        (("--image_key", "image"), "its camera differ: give the same flags as then, or --no-resume"),
        (("--batch_size", "5"), "its encoder.batch differ"),
        (("--image_size", "48", "--dtype", "bfloat16"), "its encoder.image_size, encoder.dtype differ"),
    ):
        assert what in ended(place, tmp_path, *more)
    other = Path(shutil.copytree(place / "set", tmp_path / "other" / "set"))
    (other / "meta" / "note.txt").write_text("another dataset")
    assert "its dataset differ" in ended(place, tmp_path, "--dataset_name", str(other))
    assert (made / "latents.npy").stat().st_ino == begun
    expected = np.load(made / "latents.npy")[:, 0]
    monkeypatch.setattr(latents, "encode_latents", None)  # nothing is encoded again
    merge(flags(place, tmp_path))
    assert np.array_equal(np.load(tmp_path / "set" / NAME), expected)
    assert not made.exists()


def test_no_resume_begins_anew(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_writing(place, tmp_path, monkeypatch)
    main(flags(place, tmp_path, "--image_key", "image", "--no-resume"))
    clips = Clips(str(place / "my_vjepa2"), "image", 3, 32, "float32")
    encode_latents(place / "set", tmp_path / "ours", clips, 1)
    assert np.array_equal(np.load(tmp_path / "set" / NAME), np.load(tmp_path / "ours" / "latents.npy")[:, 0])


def test_what_is_not_read_is_refused(place: Path, tmp_path: Path) -> None:
    told = ended(place, tmp_path, "--vjepa_checkpoint", "encoder.pt")
    assert told.startswith("--vjepa_checkpoint: TorchScript files are not read")
    assert "has no observation.images.rgb, but observation.images.image" in ended(place, tmp_path, "--image_key", "rgb")


def test_an_encoder_of_another_family_is_refused_before_anything_is_encoded(place: Path, tmp_path: Path) -> None:
    told = ended(place, tmp_path, "--world_latents_source", "dino")
    assert told.endswith(f"means a dinov2, and {place / 'my_vjepa2'} is a vjepa2: give --world_latents_source vjepa")
    build_embedded_encoder(encoder_spec("dinov3"), tmp_path / "dinov3")
    told = ended(place, tmp_path, "--world_latents_source", "dino", "--vision_model_name", str(tmp_path / "dinov3"))
    assert told.endswith("is a dinov3: `wm latents encode` takes it")
    assert not (tmp_path / "set").exists()


def test_an_encoder_that_is_named_is_the_one_whatever_it_is_called(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "my_vjepa2", tmp_path / "mine")
    main(flags(place, tmp_path / "cache", "--vision_model_name", str(tmp_path / "mine")))
    assert (tmp_path / "cache" / "set" / NAME).is_file()
    build_embedded_encoder(encoder_spec("dinov2"), tmp_path / "other")
    told = ended(place, tmp_path, "--vision_model_name", str(tmp_path / "other"))
    assert told.endswith(f"means a vjepa2, and {tmp_path / 'other'} is a dinov2: give --world_latents_source dino")


@pytest.mark.parametrize(("source", "model"), [("vjepa", VJEPA), ("dino", DINO)])
def test_an_encoder_that_is_not_named_is_the_source_s_own(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, model: str
) -> None:
    def fail(asked: str, **_: object) -> None:
        raise UserError(f"asked for {asked}")

    given = flags(place, tmp_path, "--world_latents_source", source)
    at = given.index("--vision_model_name")
    monkeypatch.setattr("world_modality.store.hub.find_folder", fail)
    with pytest.raises(SystemExit, match=f"asked for {model}$"):
        main([*given[:at], *given[at + 2 :]])


def test_flags_without_a_meaning_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in ("--temporal_window", "--batch_size", "--num_workers", "--image_size"):
        for value in ("0", "-2"):
            told = rejected(capsys, flags(place, tmp_path, flag, value))
            assert told.endswith(f"argument {flag}: {value} is less than 1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert ended(place, tmp_path, "--device", "cuda").startswith("--device cuda: no GPU is seen here")


def test_merging_begins_nothing(place: Path, tmp_path: Path) -> None:
    told = ended(place, tmp_path, program=merge)
    assert told == (
        f"there is nothing to merge for {tmp_path / 'set' / NAME}: begin with "
        "python -m world_modality.precompute_world_latents"
    )
    assert list(tmp_path.iterdir()) == []
