"""GPUs handed out to processes that run at once. No GPU is needed: a list in the environment is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from world_modality.store import devices
from world_modality.store.devices import (
    CUDA,
    HIP,
    RENDERING_VARIABLE,
    ROCM,
    Visible,
    drawing_on_the_first_given,
    holding,
    visible_gpus,
)

TAKES = """
import os, sys, time
from pathlib import Path
from world_modality.store.devices import holding
with holding(int(sys.argv[1]), lambda: print("waits", flush=True), Path(sys.argv[2])) as held:
    print(",".join(held), os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (CUDA, HIP, ROCM, RENDERING_VARIABLE, devices.TOLD_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def unexpected() -> None:
    raise AssertionError("it waits")


def started(folder: Path, count: int, gpus: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TAKES, str(count), str(folder)]
    environment = os.environ | {CUDA: gpus}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("variable", "listed", "gpus"),
    [
        (CUDA, "0,1, 5", ("0", "1", "5")),
        (CUDA, "", ()),
        (CUDA, "-1", ()),
        (CUDA, "GPU-8f2a,MIG-77", ("GPU-8f2a", "MIG-77")),
        (HIP, "2", ("2",)),
        (ROCM, "0,GPU-1", ("0", "GPU-1")),
    ],
)
def test_a_list_in_the_environment_is_believed(
    monkeypatch: pytest.MonkeyPatch, variable: str, listed: str, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, listed)
    assert visible_gpus() == Visible(gpus, variable)


def test_without_a_list_the_drivers_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "NVIDIA_GPUS", tmp_path / "nvidia")
    monkeypatch.setattr(devices, "AMD_NODES", tmp_path / "amd")
    assert visible_gpus().gpus == ()
    for number, units in enumerate((0, 304, 304)):  # a processor and two cards
        (tmp_path / "amd" / str(number)).mkdir(parents=True)
        (tmp_path / "amd" / str(number) / "properties").write_text(f"cpu_cores_count 1\nsimd_count {units}\nmem 4\n")
    assert visible_gpus() == Visible(("0", "1"), HIP)
    for address in ("0000:01:00.0", "0000:41:00.0", "0000:81:00.0"):
        (tmp_path / "nvidia" / address).mkdir(parents=True)
        (tmp_path / "nvidia" / address / "information").write_text("Model: H100\n")
    assert visible_gpus() == Visible(("0", "1", "2"), CUDA)


def test_who_runs_at_once_sees_other_gpus_and_who_dies_lets_go(tmp_path: Path) -> None:
    first, second = (started(tmp_path, 1, "0,1,2") for _ in range(2))
    assert sorted((line(first), line(second))) == ["0 0", "1 1"]
    third = started(tmp_path, 2, "0,1,2")
    assert line(third) == "waits"
    first.kill()
    first.wait()
    held = set(line(third).split(" ")[0].split(","))
    assert len(held) == 2
    assert "2" in held
    for process in (second, third):
        process.communicate("")
        assert process.returncode == 0
    fourth = started(tmp_path, 3, "0,1,2")
    assert line(fourth) == "0,1,2 0,1,2"
    fourth.communicate("")


def test_two_who_want_several_do_not_wait_for_each_other(tmp_path: Path) -> None:
    processes = [started(tmp_path, 2, "0,1,2") for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()  # each ends as soon as it has had its turn
    assert [process.wait(60) for process in processes] == [0] * 4


def test_the_environment_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CUDA, "3,7")
    with holding(1, unexpected, tmp_path) as held:
        assert held == ("3",)
        assert (os.environ[CUDA], os.environ[RENDERING_VARIABLE]) == ("3", "3")
        with holding(1, unexpected, tmp_path / "others"):  # a child of it sees no more than it does
            assert os.environ[CUDA] == "3"
    assert os.environ[CUDA] == "3,7"
    assert RENDERING_VARIABLE not in os.environ


def test_who_asks_for_none_sees_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CUDA, "0,1")
    with holding(0, unexpected, tmp_path) as held:
        assert held == ()
        assert visible_gpus().gpus == ()
        assert not tmp_path.exists() or not any(tmp_path.iterdir())


def test_on_a_machine_without_gpus_nothing_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "NVIDIA_GPUS", tmp_path)
    monkeypatch.setattr(devices, "AMD_NODES", tmp_path)
    with holding(2, unexpected, tmp_path / "locks") as held:
        assert held == ()
        assert CUDA not in os.environ
    assert not (tmp_path / "locks").exists()


def test_more_than_there_are_is_all_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CUDA, "GPU-8f2a,GPU-9")
    with holding(5, unexpected, tmp_path) as held:
        assert held == ("GPU-8f2a", "GPU-9")
        assert RENDERING_VARIABLE not in os.environ  # EGL counts devices, and knows no such names


def test_what_is_shared_out_takes_what_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a machine where others come and go, all GPUs may never be free at once."""
    other = started(tmp_path, 1, "0,1,2")
    assert line(other) == "0 0"
    monkeypatch.setenv(CUDA, "0,1,2")
    with holding(3, unexpected, tmp_path, least=1) as held:
        assert held == ("1", "2")
        third = started(tmp_path, 1, "0,1,2")
        assert line(third) == "waits"
        other.communicate("")
        assert line(third) == "0 0"
        third.communicate("")
    with holding(3, unexpected, tmp_path, least=1) as held:
        assert held == ("0", "1", "2")


@pytest.mark.parametrize(
    ("listed", "said", "drawn_on"),
    [("3,5", "", "3"), ("3,5", "1", "1"), ("GPU-8f2a", "", ""), ("", "", "")],
)
def test_a_queue_s_list_says_where_pictures_are_drawn(
    monkeypatch: pytest.MonkeyPatch, listed: str, said: str, drawn_on: str
) -> None:
    monkeypatch.setenv(CUDA, listed)
    if said:
        monkeypatch.setenv(RENDERING_VARIABLE, said)
    with drawing_on_the_first_given():
        assert os.environ.get(RENDERING_VARIABLE, "") == drawn_on
    assert os.environ.get(RENDERING_VARIABLE, "") == said
