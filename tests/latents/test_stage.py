import io
import multiprocessing
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.data_stages import drawn_episode, encode_clips, encoder_spec, moving_dots, stage_context
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.episodes import read_episode_table
from world_modality.data.frames import FrameReader
from world_modality.data.writer import EpisodeWriter
from world_modality.encoders import source
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.latents.alike import BEGUN
from world_modality.latents.joint import open_joint
from world_modality.latents.reader import open_latents
from world_modality.latents.shards import Shards, Stretch
from world_modality.latents.stage import run
from world_modality.store.execute import execute
from world_modality.store.layout import stage_folder
from world_modality.store.notes import note_text
from world_modality.store.stage import Facts, StageContext, StageRequest
from world_modality.study.specs import LatentsSpec

EPISODES = 30


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("data") / "set", episodes=3, frames=5, size=48)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    context = stage_context(tmp_path_factory.mktemp("encoder"))
    source.run(encoder_spec(), context)
    return context.artifact


def spec(frames: int = 4, camera: str = "image") -> LatentsSpec:
    return LatentsSpec(encoder=encoder_spec(frames=frames), camera=camera, dtype="float16")


@pytest.mark.defect("B1")
def test_every_row_equals_its_clip_encoded_alone(tmp_path: Path, dataset: Path, encoder_folder: Path) -> None:
    context = stage_context(tmp_path, dataset=dataset, encoder=encoder_folder)
    facts = run(spec(), context)
    table = read_episode_table(dataset)
    cache = open_latents(context.artifact, frames=table.frames)
    assert (facts["frames"], facts["dim"]) == (18, 128) == (table.frames, cache.dim)
    # An independent route to the same clips: LeRobot's own reader, and a loop that stops at the episode's start.
    items = LeRobotDataset("local/set", root=dataset, video_backend="pyav")
    encoder = load_encoder(encoder_spec(), encoder_folder)
    for row in range(table.frames):
        episode = items[row]["episode_index"]
        clip: list[np.ndarray] = []
        for frame in range(row, row - 4, -1):
            inside = frame >= 0 and items[frame]["episode_index"] == episode
            picture = items[frame]["observation.images.image"] if inside else None
            pixels = clip[0] if picture is None else (picture * 255).round().byte().permute(1, 2, 0).numpy()
            clip.insert(0, pixels)
        expected = encode_clips(encoder, np.stack(clip)[None])[0].astype(np.float16)
        assert np.array_equal(cache.latents[row], expected), row


def test_a_rollout_over_recorded_frames_sees_the_cache_bit_for_bit(
    tmp_path: Path, dataset: Path, encoder_folder: Path
) -> None:
    context = stage_context(tmp_path, dataset=dataset, encoder=encoder_folder)
    run(spec(), context)
    reader = FrameReader(dataset, "image")
    cache = open_latents(context.artifact, frames=reader.table.frames)
    history = HistoryEncoder(load_encoder(encoder_spec(), encoder_folder), context=3)
    for episode, start in enumerate(reader.table.starts):
        video = reader.episode(episode)
        assert np.array_equal(reader.at(episode, (0, len(video) - 1)), video[[0, -1]])
        for now in range(len(video)):
            seen = video[max(0, now + 1 - history.required_frames) : now + 1]
            rows = start + np.maximum(np.arange(now - 2, now + 1), 0)
            assert np.array_equal(history.encode(seen), cache.rows(rows))


def test_a_rollout_with_two_cameras_sees_both_caches_bit_for_bit(
    tmp_path: Path, dataset: Path, encoder_folder: Path
) -> None:
    cameras: tuple[str, ...] = ("image2", "image")
    folders = []
    for camera in cameras:
        context = stage_context(tmp_path / camera, dataset=dataset, encoder=encoder_folder)
        run(spec(camera=camera), context)
        folders.append(context.artifact)
    readers = [FrameReader(dataset, camera) for camera in cameras]
    both = open_joint(folders, frames=readers[0].table.frames)
    assert both.cameras == cameras
    history = HistoryEncoder(load_encoder(encoder_spec(), encoder_folder), context=3)
    for episode, start in enumerate(readers[0].table.starts):
        videos = [reader.episode(episode) for reader in readers]
        for now in range(len(videos[0])):
            seen = [video[max(0, now + 1 - history.required_frames) : now + 1] for video in videos]
            rows = start + np.maximum(np.arange(now - 2, now + 1), 0)
            assert np.array_equal(history.encode(*seen), both.rows(rows))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 6))
@settings(max_examples=12, deadline=None)
def test_a_clip_never_leaves_its_episode(lengths: list[int], frames: int) -> None:
    """Encoding with numbers that tell each frame's episode and place: a clip that crossed would show it."""
    from world_modality.encoders.encoder import clip_rows

    start = 0
    for length in lengths:
        rows = start + clip_rows(np.arange(length), frames)
        assert rows.min() >= start
        assert rows.max() < start + length
        assert (rows[:, -1] == start + np.arange(length)).all()
        start += length


@pytest.mark.defect("B2")
def test_a_killed_stage_goes_on_behind_its_last_episode(tmp_path: Path, encoder_folder: Path) -> None:
    with EpisodeWriter(tmp_path / "set", "local/set", fps=10) as writer:
        for number in range(EPISODES):
            writer.add(drawn_episode(6, number=number, size=32))
    dataset = tmp_path / "set"
    whole = stage_context(tmp_path / "whole", dataset=dataset, encoder=encoder_folder)
    run(spec(), whole)
    killed = stage_context(tmp_path / "killed", dataset=dataset, encoder=encoder_folder)
    shards = killed.work / "shards"
    process = multiprocessing.get_context("fork").Process(target=run, args=(spec(), killed))
    process.start()
    while process.is_alive() and len(list(shards.glob("*.npy"))) < 5:
        time.sleep(0.001)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == killed.cores == 2
    process.kill()
    process.join()
    assert not psutil.wait_procs(workers, timeout=10)[1]
    finished = {path: path.stat().st_mtime_ns for path in shards.glob("*.npy")}
    assert 5 <= len(finished) < EPISODES
    run(spec(), killed)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    for path in whole.artifact.iterdir():
        assert (killed.artifact / path.name).read_bytes() == path.read_bytes()


def test_the_number_of_workers_changes_no_bit(tmp_path: Path, encoder_folder: Path) -> None:
    with EpisodeWriter(tmp_path / "set", "local/set", fps=10) as writer:
        for number in range(7):
            writer.add(drawn_episode(3 + number, number=number, size=40))
    results = []
    for cores in (1, 2, 5, 16):
        context = stage_context(tmp_path / str(cores), dataset=tmp_path / "set", encoder=encoder_folder)
        run(spec(), replace(context, cores=cores))
        results.append({path.name: path.read_bytes() for path in context.artifact.iterdir()})
    assert all(result == results[0] for result in results)


def test_frames_of_a_video_dataset_are_read_in_their_places(tmp_path: Path, encoder_folder: Path) -> None:
    videos = [moving_dots(length, size=64, seed=length) for length in (5, 6)]
    picture = {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channel"]}
    dataset = LeRobotDataset.create(
        "local/video", 10, {"observation.images.image": picture}, root=tmp_path / "set", video_backend="pyav"
    )
    for video in videos:
        for frame in video:
            dataset.add_frame({"observation.images.image": frame, "task": "watch"})
        dataset.save_episode(parallel_encoding=False)
    dataset.finalize()
    reader = FrameReader(tmp_path / "set", "image")
    for episode, video in enumerate(videos):
        decoded = reader.episode(episode)
        assert decoded.shape == video.shape
        assert np.array_equal(reader.at(episode, (0, 3)), decoded[[0, 3]])
        difference = np.abs(decoded[:, None].astype(int) - video).mean((2, 3, 4))  # the codec is not lossless
        assert difference.argmin(axis=1).tolist() == list(range(len(video)))
    context = stage_context(tmp_path / "stage", dataset=tmp_path / "set", encoder=encoder_folder)
    assert run(spec(), context)["frames"] == 11


def test_a_camera_that_is_not_there_is_told(tmp_path: Path, dataset: Path, encoder_folder: Path) -> None:
    context = stage_context(tmp_path, dataset=tmp_path / "none", encoder=encoder_folder)
    with pytest.raises(UserError, match=r"meta/info\.json is missing"):
        run(spec(), context)


def dataset_of(folder: Path, lengths: list[int], size: int = 32) -> Path:
    with EpisodeWriter(folder, "local/set", fps=10) as writer:
        for number, length in enumerate(lengths):
            writer.add(drawn_episode(length, number=number, size=size))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.defect("B2")
def test_killed_again_and_again_at_any_moment_it_ends_with_the_same_files(tmp_path: Path, encoder_folder: Path) -> None:
    inputs = {"dataset": dataset_of(tmp_path / "set", [6] * EPISODES), "encoder": encoder_folder}
    whole = stage_context(tmp_path / "whole", **inputs)
    begun = time.monotonic()
    run(spec(), whole)
    seconds = time.monotonic() - begun
    moments = np.random.default_rng(0).uniform(0, seconds, 6)
    killed = stage_context(tmp_path / "killed", **inputs)
    for moment in moments:
        process = multiprocessing.get_context("fork").Process(target=run, args=(spec(), killed))
        process.start()
        process.join(float(moment))
        workers = psutil.Process(process.pid).children() if process.is_alive() else []
        process.kill()
        process.join()
        psutil.wait_procs(workers, timeout=10)
    run(spec(), killed)
    assert contents(killed.artifact) == contents(whole.artifact)


def test_shards_that_a_full_disk_cut_short_are_made_anew(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from world_modality.latents import stage

    inputs = {"dataset": dataset_of(tmp_path / "set", [6, 5, 4]), "encoder": encoder_folder}
    whole, spoilt = (stage_context(tmp_path / name, **inputs) for name in ("whole", "spoilt"))
    run(spec(), whole)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_cache", crash)
        with pytest.raises(KeyboardInterrupt):
            run(spec(), spoilt)
    for lease in spoilt.work.rglob("*.lease"):  # of a process that is no more, whereas this one lives
        lease.unlink()
    _, second, third = sorted((spoilt.work / "shards").iterdir())
    second.write_bytes(second.read_bytes()[:-1])
    third.write_bytes(bytes(third.stat().st_size))
    encoded: list[str] = []
    save = stage.Shards.save

    def noted(shards: stage.Shards, stretch: stage.Stretch, latents: np.ndarray) -> None:
        encoded.append(stretch.name)
        save(shards, stretch, latents)

    monkeypatch.setattr(stage.Shards, "save", noted)
    run(spec(), replace(spoilt, cores=1))
    assert [f"{name}.npy" for name in encoded] == [second.name, third.name]
    assert contents(spoilt.artifact) == contents(whole.artifact)


@pytest.mark.parametrize("longest", [4, 7])
def test_a_long_episode_in_pieces_has_the_same_cache(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    from world_modality.latents import stage

    inputs = {"dataset": dataset_of(tmp_path / "set", [19, 2]), "encoder": encoder_folder}
    whole, parts = (stage_context(tmp_path / name, **inputs) for name in ("whole", "parts"))
    run(spec(), whole)
    monkeypatch.setattr(stage, "longest_stretch", lambda _: longest)
    run(spec(), parts)
    assert len(list((parts.work / "shards").iterdir())) == -(-19 // longest) + 1
    assert contents(parts.artifact) == contents(whole.artifact)


def test_several_processes_share_a_stage_out_and_one_seals_it(tmp_path: Path, encoder_folder: Path) -> None:
    inputs = {"dataset": dataset_of(tmp_path / "set", [6] * 12), "encoder": encoder_folder}
    whole = stage_context(tmp_path / "whole", **inputs)
    run(spec(), whole)
    request = StageRequest("latents", "0" * 16, 1, "latents image", spec(), spec().address(), {}, ())
    told = tmp_path / "told"
    told.mkdir()

    def help_out(name: str) -> None:
        def runner(what: LatentsSpec, context: StageContext) -> Facts:
            save = Shards.save

            def slowly(shards: Shards, stretch: Stretch, latents: np.ndarray) -> None:
                time.sleep(0.05)
                with (told / name).open("a") as file:
                    file.write(f"{stretch.name}\n")
                save(shards, stretch, latents)

            Shards.save = slowly  # type: ignore[method-assign]  # of this process
            return run(what, replace(context, inputs={role: (path,) for role, path in inputs.items()}))

        execute(tmp_path, request, runner, cores=1, stream=io.StringIO(), shared=True)

    helpers = [multiprocessing.get_context("fork").Process(target=help_out, args=(name,)) for name in ("a", "b")]
    for process in helpers:
        process.start()
    for process in helpers:
        process.join(60)
    assert [process.exitcode for process in helpers] == [0, 0]
    shares = [(told / name).read_text().split() for name in ("a", "b")]
    assert all(len(share) >= 2 for share in shares)
    assert len(set(shares[0] + shares[1])) == len(shares[0] + shares[1]) == 12
    assert contents(stage_folder(tmp_path, "latents", request.key).artifact) == contents(whole.artifact)


def test_every_gpu_has_a_process_of_its_own(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processors stand in for them."""
    from world_modality.latents import stage

    inputs = {"dataset": dataset_of(tmp_path / "set", [5] * 4), "encoder": encoder_folder}
    whole, shared = (stage_context(tmp_path / name, **inputs) for name in ("whole", "shared"))
    run(spec(), whole)
    monkeypatch.setattr(stage, "devices", lambda: ("cpu", "cpu"))

    def nothing(job: object, stretches: Iterable[Stretch], **_: object) -> Generator[Stretch]:  # the first is idle
        yield from ()

    monkeypatch.setattr(stage.StretchEncoder, "in_processes", nothing)
    run(spec(), shared)
    assert contents(shared.artifact) == contents(whole.artifact)
    assert not multiprocessing.active_children()


def test_work_that_was_begun_on_another_device_is_left_alone(
    tmp_path: Path, dataset: Path, encoder_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from world_modality.latents import stage

    context = stage_context(tmp_path, dataset=dataset, encoder=encoder_folder)
    (context.work / BEGUN).write_text(note_text({"device": "NVIDIA H200"}))
    told = rf"^the latents in {context.work} were begun on NVIDIA H200, and here it is cpu, .* or remove that folder"
    with pytest.raises(UserError, match=told):
        run(spec(), context)
    stage._help(spec(), dataset, encoder_folder, context.work, "cpu", 1, 0)
    assert "cpu lends no hand: the latents in" in capfd.readouterr().err
    assert not (context.work / "shards").exists()
    (context.work / BEGUN).unlink()
    assert run(spec(), context)["frames"] == 18
    assert run(spec(), context)["frames"] == 18
