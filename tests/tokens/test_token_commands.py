"""The earlier system's three commands, with its flags and its files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.data_stages import encoder_spec
from support.tiny_dataset import build_tiny_dataset

from world_modality.cli import world_tokens
from world_modality.cli.world_tokens import analyze_main, inspect_main, precompute_main
from world_modality.data.episodes import read_episode_table
from world_modality.encoders.source import build_embedded_encoder
from world_modality.merge_world_latent_shards import main as merge_main


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset "set", an encoder, and the cache that the first command made of them."""
    folder = tmp_path_factory.mktemp("place")
    build_tiny_dataset(folder / "set", episodes=4, frames=6)
    build_embedded_encoder(encoder_spec("dinov2"), folder / "encoder")
    precompute_main(flags(folder, "--vision_model_name", folder / "encoder", "--vq_num_tokens", 5, "--batch_size", 64))
    return folder


def flags(place: Path, *more: object) -> list[str]:
    return ["--dataset_name", str(place / "set"), "--cache_dir", str(place / "cache"), *map(str, more)]


def test_the_files_are_the_earlier_ones(place: Path) -> None:
    cache, frames = place / "cache" / "set", read_episode_table(place / "set").frames
    embeddings = np.load(cache / "train_embeddings.fp16.npy")
    tokens = np.load(cache / "train_world_tokens.int.npy")
    centroids = np.load(cache / "train_codebook_centroids.f32.npy")
    assert (embeddings.dtype, embeddings.shape[0]) == (np.float16, frames)
    assert (tokens.dtype, tokens.shape) == (np.int32, (frames,))
    assert (centroids.dtype, centroids.shape) == (np.float32, (5, embeddings.shape[1]))
    distances = np.square(embeddings[:, None].astype(np.float64) - centroids).sum(axis=2)
    assert np.array_equal(distances.argmin(axis=1), tokens)
    about = json.loads((cache / "train_tokens_image" / "tokens.json").read_text())
    assert about["camera"] == "image"
    assert not [path.name for path in cache.iterdir() if path.name.endswith((".work", ".part"))]


def test_what_is_there_is_taken_for_the_same_flags_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--vision_model_name", place / "encoder", "--vq_num_tokens", 5]
    there = {file: file.read_bytes() for file in (place / "cache" / "set").glob("*.npy")}
    for more in (["--vq_num_tokens", 4], ["--l2_normalize"], ["--vq_random_state", 1], ["--temporal_window", 2]):
        with pytest.raises(SystemExit, match=r"train_tokens_image was made with other flags .* name another --split"):
            precompute_main(flags(place, *same, *more))
    assert capsys.readouterr().out == ""
    tokens = place / "cache" / "set" / "train_tokens_image"
    kept = tokens.rename(place / "kept")
    with pytest.raises(SystemExit, match=r"train_embeddings.fp16.npy exists already and is never overwritten"):
        precompute_main(flags(place, *same))
    kept.rename(tokens)
    assert {file: file.read_bytes() for file in (place / "cache" / "set").glob("*.npy")} == there


def test_a_run_that_was_killed_before_it_wrote_its_files_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = Path(shutil.copytree(place / "cache", tmp_path / "cache")) / "set"
    there = {file.name: file.read_bytes() for file in cache.glob("*.npy")}
    for name in ("train_world_tokens.int.npy", "train_codebook_centroids.f32.npy"):
        (cache / name).unlink()
    monkeypatch.setattr(world_tokens, "encode_latents", None)  # nothing is made again
    monkeypatch.setattr(world_tokens, "_make", None)
    same = ["--vision_model_name", place / "encoder", "--vq_num_tokens", 5]
    precompute_main([*flags(place, *same), "--cache_dir", str(tmp_path / "cache")])
    assert f"{cache / 'train_tokens_image'} are there already" in capsys.readouterr().out
    assert {file.name: file.read_bytes() for file in cache.glob("*.npy")} == there


def test_latents_of_another_encoder_are_refused(place: Path, tmp_path: Path) -> None:
    cache = Path(shutil.copytree(place / "cache", tmp_path / "cache")) / "set"
    shutil.rmtree(cache / "train_tokens_image")
    for file in cache.glob("*.npy"):
        file.unlink()
    same = ["--vision_model_name", place / "encoder", "--vq_num_tokens", 5, "--temporal_window", 2]
    with pytest.raises(SystemExit, match=r"its encoder\.frames differ: remove it, or name another --split"):
        precompute_main([*flags(place, *same), "--cache_dir", str(tmp_path / "cache")])


def test_another_cameras_files_say_whose_they_are(place: Path, tmp_path: Path) -> None:
    cache = place / "cache" / "set"
    with pytest.raises(SystemExit, match=r"there is no .*train_world_tokens_image2\.int\.npy: make it with .*image2"):
        inspect_main(flags(place, "--image_key", "image2", "--out_dir", tmp_path / "out"))
    there = {file: file.read_bytes() for file in cache.glob("*.npy")}
    wrist = ["--image_key", "observation.images.image2", "--vision_model_name", place / "encoder"]
    precompute_main(flags(place, *wrist, "--vq_num_tokens", 3))
    assert {file: file.read_bytes() for file in there} == there
    own = np.load(cache / "train_world_tokens_image2.int.npy")
    assert len(np.load(cache / "train_codebook_centroids_image2.f32.npy")) == 3
    assert not np.array_equal(
        np.load(cache / "train_embeddings_image2.fp16.npy"), np.load(cache / "train_embeddings.fp16.npy")
    )
    inspect_main(flags(place, "--image_key", "image2", "--out_dir", tmp_path / "out"))
    counts = np.bincount(own)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        f"token_{token:04d}_n{counts[token]}.jpg" for token in np.flatnonzero(counts)
    }


def test_a_dataset_folder_has_its_own_name_in_the_cache(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    given = ["--dataset_name", f"{place.name}/set", "--cache_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match=rf"there is no {tmp_path}/set/train_world_tokens"):
        analyze_main(given)
    with pytest.raises(SystemExit, match=rf"nothing to merge for {tmp_path}/set/train_world_latents"):
        merge_main(given)


def test_what_a_flag_does_not_do_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--vision_model_name", place / "encoder", "--vq_num_tokens", 4]
    with pytest.raises(SystemExit):
        precompute_main(flags(place, *other, "--vq_batch_size", 4096))
    assert "--vq_batch_size has no effect: k-means is fitted on all sampled frames" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--vq_num_tokens must be at least 2, and at most --vq_sample_frames"):
        precompute_main(flags(place, "--vq_num_tokens", 10, "--vq_sample_frames", 9))
    for flag, value, told in (
        ("--held_out", 1, "1 is no share: give a number from 0 on and below 1"),
        ("--batch_size", 0, "0 is less than 1"),
    ):
        with pytest.raises(SystemExit):
            precompute_main(flags(place, flag, value))
        assert f"argument {flag}: {told}" in capsys.readouterr().err


def test_tokens_are_counted_within_episodes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze_main(flags(place, "--max_k", 7, "--topn", 3, "--held_out", 0.5))
    said = capsys.readouterr().out
    table = read_episode_table(place / "set")
    assert f"frames       {table.frames} in 4 episodes" in said
    assert "of 5 tokens" in said
    assert "of 2 held-out episodes; pairs stay within episodes" in said
    tokens = np.load(place / "cache" / "set" / "train_world_tokens.int.npy")
    counts = np.bincount(tokens, minlength=5)
    assert f"token {counts.argmax():<6} {counts.max()} frames" in said
    assert said.count("copy") == 7


def test_a_grid_is_written_for_every_token(place: Path, tmp_path: Path) -> None:
    tokens = np.load(place / "cache" / "set" / "train_world_tokens.int.npy")
    counts = np.bincount(tokens, minlength=5)
    wanted = int(counts.argmax())
    more = ["--out_dir", tmp_path / "out", "--samples_per_token", 4, "--resize", 40]
    inspect_main(flags(place, *more, "--token_ids", wanted))
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == f"token_{wanted:04d}_n{counts[wanted]}.jpg"
    assert Image.open(file).size == (80, 80)
    inspect_main(flags(place, *more))
    assert len(list((tmp_path / "out").iterdir())) == np.count_nonzero(counts)
    with pytest.raises(SystemExit, match="--token_ids: no frame has token 77"):
        inspect_main(flags(place, *more, "--token_ids", "0,77"))
    with pytest.raises(SystemExit, match="is no list of numbers such as 3,17"):
        inspect_main(flags(place, *more, "--token_ids", "all"))


def test_the_modules_are_run_by_their_names(place: Path) -> None:
    command = [sys.executable, "-m", "world_modality.analyze_world_tokens", *flags(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "perplexity" in done.stdout
    missing = subprocess.run([*command, "--split", "val"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "make it with python -m world_modality.precompute_world_tokens" in missing.stderr
