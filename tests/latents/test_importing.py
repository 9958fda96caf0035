"""A file of latents beside the dataset and encoder it is said to be from: the right one, and each way to be wrong."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import drawn_episode, encode_clips, encode_episode, encoder_spec, stage_context

from world_modality.cli.latents import Asked, Check, Clips, encode_latents, import_latents, verify_latents
from world_modality.data.frames import FrameReader
from world_modality.data.writer import EpisodeWriter
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.resolve import resolve_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.latents.exporting import export_cache
from world_modality.latents.importing import PROVENANCE, Import, Source
from world_modality.latents.reader import open_latents
from world_modality.latents.stage import run
from world_modality.store.files import folder_digest
from world_modality.store.progress import Progress
from world_modality.study.specs import LatentsSpec

CLIP, PIXELS, EPISODES, LENGTH = 4, 32, 8, 14
CHECK = Check(sample=64, seed=0, minimum_cosine=0.98, repair_starts=False)
QUIET = Progress("check", stream=io.StringIO())


@dataclass(frozen=True)
class Made:
    """A dataset, an encoder's folder, and the artifact that the latents stage made of them."""

    dataset: Path
    encoder: Path
    artifact: Path

    @property
    def rows(self) -> np.ndarray:
        """A copy of the stage's latents, as published files have them: pooled, without an axis for the one token."""
        return np.array(np.load(self.artifact / "latents.npy")[:, 0])

    @property
    def clips(self) -> Clips:
        """How they were made, as a command line says it."""
        return Clips(str(self.encoder), "image", CLIP, PIXELS, "float32")

    @property
    def asked(self) -> Asked:
        """The same, for a file that says nothing of it."""
        return Asked(str(self.encoder), "image", CLIP, PIXELS, "float32")


def cache(folder: Path, made: Made, **metadata: object) -> Path:
    """The earlier system's folder of the dataset."""
    place = folder / "cache" / "HuggingFaceVLA" / "libero"
    place.mkdir(parents=True)
    np.save(place / f"train_world_latents_vjepa_m{CLIP}.fp16", made.rows)
    said = {"temporal_window": CLIP, "model": "vjepa2", "pooling": "mean", "dim": 128, "frames": len(made.rows)}
    note = place / f"train_world_latents_vjepa_m{CLIP}.fp16_metadata.json"
    note.write_text(json.dumps({**said, **metadata}))
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    with EpisodeWriter(root / "dataset", "local/set", fps=10) as writer:
        for number in range(EPISODES):
            writer.add(drawn_episode(LENGTH + number % 3, number=number, size=48))
    build_embedded_encoder(encoder_spec(frames=CLIP, image_size=PIXELS), root / "encoder")
    given = resolve_encoder(str(root / "encoder"), frames=CLIP, image_size=PIXELS, dtype="float32")
    context = stage_context(root / "stage", dataset=root / "dataset", encoder=root / "encoder")
    run(LatentsSpec(encoder=given.spec, camera="image", dtype="float16"), context)
    return Made(root / "dataset", root / "encoder", context.artifact)


def publish(folder: Path, rows: np.ndarray) -> Path:
    np.save(folder / "published.npy", rows)
    return folder / "published.npy"


def refused(made: Made, folder: Path, rows: np.ndarray, check: Check = CHECK) -> str:
    """The sentence that refuses these rows; nothing may be left behind."""
    with pytest.raises(UserError) as error:
        import_latents(publish(folder, rows), made.dataset, folder / "taken", made.asked, check)
    assert sorted(path.name for path in folder.iterdir()) == ["published.npy"]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_earlier_caches_folder_is_taken_over_and_says_itself_how_long_its_clips_are(
    made: Made, tmp_path: Path
) -> None:
    asked = replace(made.asked, frames=None)
    import_latents(cache(tmp_path, made), made.dataset, tmp_path / "taken", asked, CHECK)
    for name in ("latents.npy", "latents.json"):
        assert (tmp_path / "taken" / name).read_bytes() == (made.artifact / name).read_bytes()


def test_the_stage_takes_over_a_studys_file_and_refuses_one_that_is_wrong_or_has_changed(
    made: Made, tmp_path: Path
) -> None:
    clips = made.clips.given()
    place = cache(tmp_path, made)

    def spec_of(file: Path) -> LatentsSpec:
        digest = folder_digest(file.parent, patterns=(file.name,))
        return LatentsSpec(encoder=clips.spec, camera="image", dtype="float16", file=str(file), digest=digest)

    spec = spec_of(place / f"train_world_latents_vjepa_m{CLIP}.fp16.npy")
    context = stage_context(tmp_path / "stage", dataset=made.dataset, encoder=made.encoder)
    facts = run(spec, context)
    assert (facts["frames_encoded_again"], facts["of_which_matched"]) == (64, 64)
    assert {file.name: file.read_bytes() for file in context.artifact.iterdir()} == {
        file.name: file.read_bytes() for file in made.artifact.iterdir()
    }
    with pytest.raises(UserError, match="is not there, or not as it was when the study was planned"):
        run(spec.model_copy(update={"digest": "0" * 16}), context)
    shifted = stage_context(tmp_path / "shifted", dataset=made.dataset, encoder=made.encoder)
    with pytest.raises(UserError, match=r"encoder\.latents\.image: .*published\.npy is not taken over: "):
        run(spec_of(publish(tmp_path, np.roll(made.rows, 1, axis=0))), shifted)
    assert list(shifted.artifact.iterdir()) == []


def test_an_earlier_cache_of_another_dataset_or_clip_is_refused_before_anything_is_encoded(
    made: Made, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="a dataset of this many frames: 273465, where the given one has"):
        import_latents(cache(tmp_path, made, frames=273465), made.dataset, tmp_path / "taken", made.asked, CHECK)
    file = tmp_path / "cache" / "HuggingFaceVLA" / "libero" / f"train_world_latents_vjepa_m{CLIP}.fp16.npy"
    with pytest.raises(UserError, match="of this many frames: 4, where the given clips have 2: give"):
        import_latents(file, made.dataset, tmp_path / "taken", replace(made.asked, frames=2), CHECK)
    assert not (tmp_path / "taken").exists()


def test_the_stages_own_latents_are_taken_over_bit_for_bit(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = import_latents(publish(tmp_path, made.rows), made.dataset, tmp_path / "taken", made.asked, CHECK)
    assert lines[0] == f"latents      {tmp_path / 'taken'}: {len(made.rows)} frames, 128 numbers each"
    for file in made.artifact.iterdir():
        assert (tmp_path / "taken" / file.name).read_bytes() == file.read_bytes(), file.name
    known = {file.name for file in made.artifact.iterdir()}
    assert {file.name for file in (tmp_path / "taken").iterdir()} == known | {PROVENANCE}
    note = json.loads((tmp_path / "taken" / PROVENANCE).read_text())
    assert (note["file"], note["matched"], note["median_cosine"]) == ("published.npy", 64, 1.0)
    assert str(tmp_path) not in json.dumps(note)
    assert open_latents(tmp_path / "taken", frames=len(made.rows)).dim == 128
    assert capsys.readouterr().out.splitlines() == note["table"]


def test_every_sampled_frame_is_encoded_as_the_stage_did(made: Made) -> None:
    given = made.clips.given()
    work = Import(Source(made.artifact / "latents.npy", made.dataset, "image", given))
    alignment = work.check(count=1000, seed=0, minimum_cosine=0.98, progress=QUIET)
    assert len(alignment.own) == len(made.rows)  # fewer frames than wanted: all of them
    np.testing.assert_allclose(alignment.own, 1, atol=1e-5)
    assert (alignment.located == alignment.sample.frames).all()


def sliced(made: Made) -> np.ndarray:
    """Latents of an encoder that attends both ways in time, taken from encodings of whole episodes: row t is what it
    made of the two frames around t, after it had seen all of them."""
    reader = FrameReader(made.dataset, "image")
    encoder = load_encoder(encoder_spec(frames=CLIP, image_size=PIXELS), made.encoder)
    rows = []
    for episode in range(EPISODES):
        video = reader.episode(episode)
        whole = encoder.prepare(video[np.minimum(np.arange(len(video) + len(video) % 2), len(video) - 1)])
        with torch.inference_mode():
            tokens = encoder.network.model(pixel_values_videos=whole[None], skip_predictor=True).last_hidden_state[0]
        tubelets = tokens.reshape(len(whole) // 2, -1, encoder.dim).mean(1).numpy()
        rows.append(np.repeat(tubelets, 2, axis=0)[: len(video)])
    return np.concatenate(rows).astype(np.float16)


def test_latents_that_were_cut_in_time_from_longer_clips_are_refused(made: Made, tmp_path: Path) -> None:
    told = refused(made, tmp_path, sliced(made))
    assert "another encoder, camera, clip length or preprocessing made it, or they were cut in time from" in told


def crossing(made: Made) -> np.ndarray:
    """The stage's latents, but with clips that reach into the episode before."""
    reader = FrameReader(made.dataset, "image")
    encoder = load_encoder(encoder_spec(frames=CLIP, image_size=PIXELS), made.encoder)
    rows = made.rows
    before = reader.episode(0)
    for episode in range(1, EPISODES):
        video = reader.episode(episode)
        video = np.concatenate([before[1 - CLIP :], video[: CLIP - 1]])
        clips = np.stack([video[t : t + CLIP] for t in range(CLIP - 1)])
        rows[reader.table.starts[episode] + np.arange(CLIP - 1)] = encode_clips(encoder, clips)[:, 0]
        before = video
    return rows


def test_a_shift_from_some_row_on_is_refused(made: Made, tmp_path: Path) -> None:
    rows = made.rows
    done = 50
    shifted = np.concatenate([rows[:done], rows[: len(rows) - done]])
    told = refused(made, tmp_path, shifted)
    assert f"its rows belong to the frames {done} before them" in told
    assert abs(int(told.split("row ")[1].split()[0]) - done) <= 4


def test_rows_of_exchanged_episodes_are_refused(made: Made, tmp_path: Path) -> None:
    table = FrameReader(made.dataset, "image").table
    rows = made.rows
    length = int(table.lengths.min())
    for one, other in ((1, 6), (2, 5), (3, 7)):
        a, b = table.starts[one] + np.arange(length), table.starts[other] + np.arange(length)
        rows[a], rows[b] = rows[b].copy(), rows[a].copy()
    assert "have their latents in rows of other frames" in refused(made, tmp_path, rows)


def test_clips_across_episodes_are_refused_or_encoded_anew(made: Made, tmp_path: Path) -> None:
    rows = crossing(made)
    assert not np.array_equal(rows, made.rows)
    told = refused(made, tmp_path, rows)
    assert "its rows at episodes' starts are wrong and all others right" in told
    assert told.endswith("; --repair-starts encodes those anew")
    repairing = Check(sample=64, seed=0, minimum_cosine=0.98, repair_starts=True)
    lines = import_latents(publish(tmp_path, rows), made.dataset, tmp_path / "taken", made.asked, repairing)
    assert lines[0].endswith(", the starts of episodes encoded anew")
    for file in made.artifact.iterdir():
        assert (tmp_path / "taken" / file.name).read_bytes() == file.read_bytes(), file.name
    assert json.loads((tmp_path / "taken" / PROVENANCE).read_text())["starts_encoded_anew"] is True


def test_repairing_starts_excuses_nothing_else(made: Made, tmp_path: Path) -> None:
    repairing = Check(sample=64, seed=0, minimum_cosine=0.98, repair_starts=True)
    told = refused(made, tmp_path, np.roll(made.rows, 5, axis=0), repairing)
    assert "its rows belong to the frames 5 before them" in told


def other_latents(made: Made, folder: Path, *, seed: int = 0, frames: int = CLIP, camera: str = "image") -> np.ndarray:
    spec = encoder_spec(frames=frames, image_size=PIXELS, seed=seed)
    build_embedded_encoder(spec, folder / "encoder")
    encoder = load_encoder(spec, folder / "encoder")
    reader = FrameReader(made.dataset, camera)
    return np.concatenate([encode_episode(encoder, reader.episode(number))[:, 0] for number in range(EPISODES)])


@pytest.mark.parametrize("change", [{"seed": 1}, {"camera": "image2"}])
def test_latents_of_something_else_are_refused(
    made: Made, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, change: dict[str, object]
) -> None:
    rows = other_latents(made, tmp_path_factory.mktemp("other"), **change)
    assert "its rows resemble no latents of this encoder" in refused(made, tmp_path, rows)


def test_latents_of_other_clips_are_refused(
    made: Made, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = other_latents(made, tmp_path_factory.mktemp("other"), frames=2)
    assert refused(made, tmp_path, rows).startswith(f"{tmp_path / 'published.npy'} is not taken over: ")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: np.concatenate([rows[:-20], np.zeros_like(rows[:20])]), "its making was cut short"),
        (lambda rows: np.where(np.arange(len(rows))[:, None] == 9, np.float16(np.nan), rows), "row 9 is not finite"),
        (lambda rows: rows.astype(np.float32), "holds float32, not float16"),
        (lambda rows: rows[:-1], "but the dataset has"),
        (lambda rows: rows[:, :64], "latents 128 numbers"),
    ],
)
def test_what_cannot_be_its_latents_is_refused_before_anything_is_encoded(
    made: Made, tmp_path: Path, spoil: object, told: str
) -> None:
    assert told in refused(made, tmp_path, spoil(made.rows))  # type: ignore[operator]


def test_encoding_without_a_study_gives_the_stages_artifact(made: Made, tmp_path: Path) -> None:
    encode_latents(made.dataset, tmp_path / "latents", made.clips, cores=2)
    for file in made.artifact.iterdir():
        assert (tmp_path / "latents" / file.name).read_bytes() == file.read_bytes(), file.name
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]
    with pytest.raises(UserError, match="exists already"):
        encode_latents(made.dataset, tmp_path / "latents", made.clips, cores=2)


def test_an_interrupted_encoding_goes_on_and_is_not_mixed_with_another(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from world_modality.latents import stage

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_cache", crash)
        with pytest.raises(KeyboardInterrupt):
            encode_latents(made.dataset, tmp_path / "latents", made.clips, cores=1)
    shards = sorted((tmp_path / "latents.work" / "shards").iterdir())
    assert len(shards) == EPISODES
    other = Clips(str(made.encoder), "image2", CLIP, PIXELS, "float32")
    with pytest.raises(UserError, match="unfinished work of another encoding"):
        encode_latents(made.dataset, tmp_path / "latents", other, cores=1)

    monkeypatch.setattr(stage.StretchEncoder, "here", crash)  # nothing is left to encode
    encode_latents(made.dataset, tmp_path / "latents", made.clips, cores=1)
    assert (tmp_path / "latents" / "latents.npy").read_bytes() == (made.artifact / "latents.npy").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]


def test_a_cache_is_verified_by_what_it_says_of_itself(made: Made, tmp_path: Path) -> None:
    asked = Asked(str(made.encoder), None, None, None, None)
    (line,) = verify_latents(made.artifact, made.dataset, asked, CHECK)
    assert line.startswith(f"latents      {made.artifact / 'latents.npy'}: every row is a latent")
    spoilt = Path(shutil.copytree(made.artifact, tmp_path / "spoilt"))
    np.save(spoilt / "latents.npy", np.roll(np.load(spoilt / "latents.npy"), 3, axis=0))
    with pytest.raises(UserError, match="its rows belong to the frames 3 before them"):
        verify_latents(spoilt, made.dataset, asked, CHECK)
    with pytest.raises(UserError, match="clips of this many frames: 4, where the given clips have 2"):
        verify_latents(made.artifact, made.dataset, replace(asked, frames=2), CHECK)
    with pytest.raises(UserError, match="of frames of camera image, where the given one is image2: give"):
        verify_latents(made.artifact, made.dataset, replace(asked, camera="image2"), CHECK)
    with pytest.raises(UserError, match="an encoder of dtype float32, where the given one has bfloat16: give"):
        verify_latents(made.artifact, made.dataset, replace(asked, dtype="bfloat16"), CHECK)
    copy = Path(shutil.copytree(made.dataset, tmp_path / "copy"))
    (copy / "meta" / "info.json").write_text((copy / "meta" / "info.json").read_text() + "\n")
    with pytest.raises(UserError, match="of a dataset of the fingerprint"):
        verify_latents(made.artifact, copy, asked, CHECK)
    with pytest.raises(UserError, match="was no model of the hub: give its folder as --encoder"):
        verify_latents(made.artifact, made.dataset, replace(asked, encoder=None), CHECK)


def test_the_stage_takes_over_a_cache_of_ours_unless_another_encoder_made_it(made: Made, tmp_path: Path) -> None:
    """The dataset may be a copy whose features a study renamed, so it is judged by its frames."""
    file = made.artifact / "latents.npy"
    copy = Path(shutil.copytree(made.dataset, tmp_path / "copy"))
    (copy / "meta" / "info.json").write_text((copy / "meta" / "info.json").read_text() + "\n")
    context = stage_context(tmp_path / "stage", dataset=copy, encoder=made.encoder)
    digest = folder_digest(file.parent, patterns=(file.name,))
    spec = LatentsSpec(encoder=made.clips.given().spec, camera="image", dtype="float16", file=str(file), digest=digest)
    other = spec.model_copy(update={"encoder": spec.encoder.model_copy(update={"batch": 8})})
    with pytest.raises(UserError, match="an encoder of batch 4, where the given one has 8: give"):
        run(other, context)
    assert run(spec, context)["of_which_matched"] == 64


def test_an_exported_cache_is_verified_and_taken_over_again(made: Made, tmp_path: Path) -> None:
    file = export_cache(made.artifact, tmp_path / "cache", dataset="HuggingFaceVLA/libero", split="train")
    asked = Asked(str(made.encoder), None, None, PIXELS, None)
    assert verify_latents(file.parent, made.dataset, asked, CHECK)
    import_latents(file.parent, made.dataset, tmp_path / "taken", replace(made.asked, frames=None), CHECK)
    for written in made.artifact.iterdir():
        assert (tmp_path / "taken" / written.name).read_bytes() == written.read_bytes()
    with pytest.raises(UserError, match="does not say which encoder made it: give --encoder"):
        verify_latents(file, made.dataset, replace(asked, encoder=None), CHECK)


def test_a_cache_of_ours_says_itself_what_made_it_when_it_is_taken_over(made: Made, tmp_path: Path) -> None:
    """Here of four tokens per frame, computed 5 at a time, which no default is."""
    grid = replace(made.clips, camera="image2", frames=2, batch=5, pooling="grid2")
    encode_latents(made.dataset, tmp_path / "ours", grid, cores=1)
    asked = Asked(str(made.encoder), None, None, None, None)
    import_latents(tmp_path / "ours", made.dataset, tmp_path / "taken", asked, CHECK)
    for name in ("latents.npy", "latents.json"):
        assert (tmp_path / "taken" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
    bare = publish(tmp_path, np.load(tmp_path / "ours" / "latents.npy"))
    flags = replace(asked, camera="image2", frames=2, image_size=PIXELS, batch=5, pooling="grid2")
    import_latents(bare, made.dataset, tmp_path / "given", flags, CHECK)
    for name in ("latents.npy", "latents.json"):
        assert (tmp_path / "given" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
