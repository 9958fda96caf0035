"""A cache to a hub and back, by the hub's own client and a hub that runs here; and to the earlier layout and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.data_stages import encoder_spec
from support.hub_server import running_hub

from world_modality.errors import UserError
from world_modality.latents import publishing
from world_modality.latents.cache import write_cache
from world_modality.latents.earlier_cache import Claimed, claimed, find_published
from world_modality.latents.exporting import export_cache
from world_modality.latents.publishing import card, pull_cache, push_cache

FRAMES, DIM = 40, 6


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return made(tmp_path / "cache")


def made(folder: Path, tokens: int = 1, **encoder: object) -> Path:
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(FRAMES, tokens, DIM)).astype(np.float16)
    spec = encoder_spec(**encoder)
    write_cache(folder, [rows], rows.shape, camera="image2", encoder=spec, dataset_fingerprint="abc")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running_hub(tmp_path_factory.mktemp("hub")) as environment:
        yield environment


def wm(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "world_modality.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)


def test_a_cache_goes_to_the_hub_and_comes_back(tmp_path: Path, cache: Path, hub: dict[str, str]) -> None:
    pushed = wm(tmp_path, hub, "latents", "push", str(cache), "someone/latents")
    assert pushed.returncode == 0, pushed.stderr
    assert "/datasets/someone/latents/commit/" in pushed.stdout
    pulled = wm(tmp_path, hub, "latents", "pull", "someone/latents", "--output", "pulled")
    assert pulled.returncode == 0, pulled.stderr
    assert "40 frames, 6 numbers each, camera image2, vjepa2-small, clips of 4" in pulled.stdout
    for file in cache.iterdir():
        assert (tmp_path / "pulled" / file.name).read_bytes() == file.read_bytes()
    assert (tmp_path / "pulled" / "README.md").read_text() == card(cache)


def test_only_a_caches_files_are_copied(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may have fetched more of the data set into the folder that all share."""
    monkeypatch.setattr(publishing, "find_folder", lambda *_, **__: (cache, "0" * 40))
    (cache / "videos").mkdir()
    (cache / "other.bin").write_bytes(b"other")
    pull_cache("someone/latents", tmp_path / "pulled")
    assert sorted(file.name for file in (tmp_path / "pulled").iterdir()) == sorted(publishing.FILES)
    (cache / "statistics.npz").unlink()
    told = r"^the data set someone/latents of the hub is no cache of latents, since it has no statistics\.npz: name"
    with pytest.raises(UserError, match=told):
        pull_cache("someone/latents", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_nothing_is_fetched_into_a_folder_that_is_there(cache: Path) -> None:
    with pytest.raises(UserError, match="exists already and is never overwritten"):
        pull_cache("someone/latents", cache)


def test_what_the_hub_refuses_is_told_in_a_sentence(tmp_path: Path, cache: Path, hub: dict[str, str]) -> None:
    refused = wm(tmp_path, {**hub, "HF_TOKEN": "hf_of_nobody"}, "latents", "push", str(cache), "someone/other")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "someone/other could not be written on the Hugging Face hub" in refused.stderr
    none = wm(tmp_path, hub, "latents", "pull", "someone/nothing", "--output", "pulled")
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert "gave no dataset someone/nothing" in none.stderr
    assert not (tmp_path / "pulled").exists()


def test_a_study_reads_latents_of_the_hub_by_their_content(tmp_path: Path, cache: Path, hub: dict[str, str]) -> None:
    assert wm(tmp_path, hub, "latents", "push", str(cache), "someone/study").returncode == 0
    program = (
        "from pathlib import Path\n"
        "from world_modality.cli.given_latents import _place, find_published\n"
        "from world_modality.store.files import folder_digest\n"
        "for name in ('someone/study', 'cache'):\n"
        "    file = find_published(_place(name))\n"
        "    print(file.name, folder_digest(file.parent, patterns=(file.name,)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **hub}, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    one, other = found.stdout.splitlines()
    assert one == other
    assert one.startswith("latents.npy ")


def test_a_damaged_cache_is_not_published(cache: Path) -> None:
    (cache / "latents.npy").write_bytes((cache / "latents.npy").read_bytes()[:-2])
    with pytest.raises(UserError, match=r"latents\.npy cannot be read"):
        push_cache(cache, "someone/latents", private=False)
    (cache / "latents.npy").unlink()
    with pytest.raises(UserError, match=r"lacks latents\.npy"):
        push_cache(cache, "someone/latents", private=False)


def test_the_card_says_what_made_the_latents(cache: Path) -> None:
    (cache / "provenance.json").write_text("{}")
    text = card(cache)
    assert text.startswith("---\ntags:\n")
    said = ("[40, 1, 6]", "image2", "vjepa2, embedded vjepa2-small", "`abc`", "sha256 of latents.npy", "provenance")
    assert all(each in text for each in said)


def test_a_cache_in_the_earlier_layout_says_what_it_is(tmp_path: Path, cache: Path) -> None:
    file = export_cache(cache, tmp_path / "caches", dataset="HuggingFaceVLA/libero", split="train")
    assert file == tmp_path / "caches" / "HuggingFaceVLA" / "libero" / "train_world_latents_vjepa_m4.fp16.npy"
    rows = np.load(file)
    assert (rows.shape, rows.dtype) == ((FRAMES, DIM), np.float16)
    assert np.array_equal(rows, np.load(cache / "latents.npy")[:, 0])
    assert find_published(file.parent) == file
    assert claimed(file) == Claimed(file, "vjepa2", 4, FRAMES, DIM, "mean")
    metadata = json.loads(file.with_name("train_world_latents_vjepa_m4.fp16_metadata.json").read_text())
    assert (metadata["temporal_window"], metadata["frames"], metadata["resume_row"]) == (4, FRAMES, FRAMES)
    assert len(list(file.parent.iterdir())) == 2
    with pytest.raises(UserError, match="exists already and is never overwritten"):
        export_cache(cache, tmp_path / "caches", dataset="HuggingFaceVLA/libero", split="train")
    single = made(tmp_path / "single", kind="dinov2", frames=1)
    name = export_cache(single, tmp_path / "caches", dataset="a/b", split="val").name
    assert name == "val_world_latents_dino.fp16.npy"


def test_what_the_earlier_layout_has_no_words_for_is_not_exported(tmp_path: Path) -> None:
    grid = made(tmp_path / "grid", tokens=4, pooling="grid2")
    with pytest.raises(UserError, match="holds 4 tokens per frame of vjepa2: that layout has one"):
        export_cache(grid, tmp_path / "caches", dataset="a/b", split="train")
    assert not (tmp_path / "caches").exists()


def test_a_cache_of_ours_is_refused_by_what_it_says_of_itself(tmp_path: Path, cache: Path) -> None:
    file = find_published(cache)
    said = claimed(file)
    assert said == Claimed(file, "vjepa2", 4, FRAMES, DIM, "mean", encoder_spec(), "image2", "abc")
    with pytest.raises(UserError, match="clips of this many frames: 4, where the given clips have 2"):
        said.require(kind="vjepa2", frames=2, pooling="mean", rows=FRAMES, dim=DIM)
    said.require_encoder(encoder_spec())
    said.require_encoder(encoder_spec(source="folder", name="copy", revision="1"))  # it may hold the same weights
    others = {"name": "vjepa2-other", "revision": "1", "seed": 3, "image_size": 64, "dtype": "bfloat16", "batch": 32}
    for setting, value in others.items():
        with pytest.raises(UserError, match=f"by an encoder of {setting} .*, where the given one has {value}: give"):
            said.require_encoder(encoder_spec(**{setting: value}))
    said.require_dataset(camera="image2", dataset="abc")
    with pytest.raises(UserError, match="of frames of camera image2, where the given one is image: give"):
        said.require_dataset(camera="image", dataset="abc")
    with pytest.raises(UserError, match="of a dataset of the fingerprint abc, where the given one is def: give"):
        said.require_dataset(camera="image2", dataset="def")
    bare = shutil.copytree(cache, tmp_path / "bare", ignore=lambda *_: ["latents.json"])
    assert claimed(bare / "latents.npy") == Claimed(bare / "latents.npy")
    (bare / "latents.json").write_text("{}")
    with pytest.raises(UserError, match="does not describe latents"):
        claimed(bare / "latents.npy")
