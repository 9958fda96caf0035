from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.common.vla_utils import resize_with_pad
from support.tiny_dataset import build_tiny_dataset
from torch.utils.data import DataLoader

from world_modality.training.frames import DecodedFrames, Shrink, available_memory, keep_frames_in_memory

PICTURES = ("observation.images.image", "observation.images.image2")
WINDOWS = {name: [0.0] for name in (*PICTURES, "observation.state")} | {"action": [0.1 * step for step in range(5)]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("frames") / "dataset", episodes=2, frames=6)


def opened(root: Path, **arguments: Any) -> LeRobotDataset:
    return LeRobotDataset("local/tiny", root=root, delta_timestamps=WINDOWS, return_uint8=True, **arguments)


def as_episode(value: Any) -> Any:
    """LeRobot's training loop does this to a uint8 picture."""
    is_picture = isinstance(value, torch.Tensor) and value.dtype == torch.uint8
    return value.to(dtype=torch.float32) / 255.0 if is_picture else value


def assert_equal_items(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        mine = as_episode(ours[name])
        if isinstance(value, torch.Tensor):
            assert mine.dtype == value.dtype, name
            assert torch.equal(mine, value), name
        else:
            assert mine == value, name


@pytest.mark.parametrize("budget", [0, 3 * 32 * 32 * 5, 10**9])
@pytest.mark.parametrize("episodes", [None, [1]])
def test_items_are_lerobots_bit_for_bit(root: Path, budget: int, episodes: list[int] | None) -> None:
    theirs, ours = opened(root, episodes=episodes), opened(root, episodes=episodes)
    assert keep_frames_in_memory(ours, None, threads=2, budget=budget)
    assert len(ours) == len(theirs)
    rows = [3, 0, len(ours) - 1, 3]
    for _ in range(2):  # decoded, then from memory
        for mine, row in zip(ours.__getitems__(rows), rows, strict=True):
            assert_equal_items(mine, theirs[row])
    assert_equal_items(ours[1], theirs[1])  # outside a batch


def test_batches_are_fetched_whole(root: Path) -> None:
    theirs, ours = opened(root), opened(root)
    keep_frames_in_memory(ours, None, threads=2)
    calls: list[int] = []
    fetch = ours.__getitems__
    ours.__getitems__ = lambda rows: calls.append(len(rows)) or fetch(rows)  # type: ignore[func-returns-value]
    for mine, other in zip(DataLoader(ours, batch_size=4), DataLoader(theirs, batch_size=4), strict=True):
        assert_equal_items(mine, other)
    assert calls == [4, 4, 4, 1]


def test_resizing_early_gives_what_smolvla_would(root: Path) -> None:
    ours, theirs = opened(root), opened(root)
    keep_frames_in_memory(ours, Shrink(16, 16), threads=2)
    small = next(iter(DataLoader(ours, batch_size=13)))[PICTURES[0]][:, -1]
    whole = as_episode(next(iter(DataLoader(theirs, batch_size=13)))[PICTURES[0]])[:, -1]
    assert small.dtype == torch.float32
    assert torch.equal(small, resize_with_pad(whole, 16, 16, pad_value=0))
    assert resize_with_pad(small, 16, 16, pad_value=0) is small


def test_picture_that_would_grow_is_kept() -> None:
    picture = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert Shrink(17, 16)(picture) is picture


def test_each_picture_is_decoded_once_while_the_budget_lasts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[str, int]] = []
    decode = DecodedFrames.decode
    monkeypatch.setattr(DecodedFrames, "decode", lambda self, *place: decoded.append(place) or decode(self, *place))
    dataset = opened(root)
    keep_frames_in_memory(dataset, None, threads=1, budget=4 * 3 * 32 * 32)
    for _ in range(2):
        dataset.__getitems__([0, 1, 2, 1])
    assert len(decoded) == 6 + 2  # the third frame's two pictures did not fit


def test_a_copy_in_another_process_reads_the_same(root: Path) -> None:
    dataset = opened(root)
    keep_frames_in_memory(dataset, Shrink(16, 16), threads=1, budget=0)
    copy = pickle.loads(pickle.dumps(dataset))
    for mine, other in zip(copy.__getitems__([0, 7]), dataset.__getitems__([0, 7]), strict=True):
        assert_equal_items(mine, other)


def test_other_formats_stay_with_lerobots_table(root: Path) -> None:
    dataset = opened(root)
    dataset.meta.features["subtask"] = {"dtype": "string", "shape": (1,), "names": None}
    table = dataset.hf_dataset
    assert not keep_frames_in_memory(dataset, None, threads=1)
    assert dataset.hf_dataset is table


def test_decoding_threads_do_not_lose_order(root: Path) -> None:
    dataset = opened(root)
    table = dataset.hf_dataset
    frames = DecodedFrames(table, PICTURES, (), None, 10**9)
    with ThreadPoolExecutor(4) as pool:
        frames.prepare(list(range(len(table))), pool)
    for row in range(len(table)):
        assert torch.equal(frames.value(PICTURES[1], row), frames.decode(PICTURES[1], row))


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    meminfo, membership, cgroups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "groups"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert available_memory(meminfo, membership, cgroups) == 8000 * 1024
    membership.write_text("0::/job/step\n")
    step = cgroups / "job" / "step"
    step.mkdir(parents=True)
    for folder, limit, used in ((step, "max", "700"), (cgroups / "job", "5000", "1000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
    (cgroups / "job" / "memory.stat").write_text("anon 700\ninactive_file 300\n")
    assert available_memory(meminfo, membership, cgroups) == 4300


def test_this_machine_has_some() -> None:
    assert available_memory() > 0
