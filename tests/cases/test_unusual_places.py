"""Places that are no ordinary local folders: everything works there, or one sentence says why not."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from support.begun_rollout import BegunRollout
from support.command_line import (
    ENCODE,
    STATUS,
    VERIFY,
    Outcome,
    assert_done_or_refused,
    assert_refused,
    before_the_first_job,
    wm,
)
from support.given_inputs import checkpoint_copy, study_of
from support.tiny_dataset import build_tiny_dataset

Encoders = Callable[[str], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("data") / "data", episodes=1, frames=6)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no locks, such as some network or FUSE mounts."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def encode(data: Path, encoder: Path, output: Path) -> Outcome:
    return wm(*ENCODE, "--dataset", data, "--encoder", encoder, "--output", output, "--cores", 1)


def test_a_run_without_locks(place: Path, whole: Path, no_locks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, place / "data")
    assert_done_or_refused(before_the_first_job(study_of(place / "data"), monkeypatch))


def test_encoding_without_locks(place: Path, data: Path, encoders: Encoders, no_locks: None) -> None:
    shutil.copytree(data, place / "data")  # one that nothing has read before
    assert_done_or_refused(encode(place / "data", encoders("dinov2"), place / "latents"))


def test_looking_around_without_locks(place: Path, whole: Path, no_locks: None) -> None:
    shutil.copytree(whole, place / "data")
    assert wm(STATUS, "--study", study_of(place / "data")).accepted
    assert wm(VERIFY).accepted


def test_a_rollout_without_locks(place: Path, rollout: BegunRollout, no_locks: None) -> None:
    rollout(checkpoint_copy(place / "checkpoint"))
    assert rollout.began


def test_encoding_below_a_folder_with_brackets(place: Path, data: Path, encoders: Encoders) -> None:
    here = place / "a [x] b"
    shutil.copytree(data, here / "data")
    shutil.copytree(encoders("dinov2"), here / "encoder")
    outcome = encode(here / "data", here / "encoder", here / "latents")
    assert outcome.accepted, repr(outcome.error)


def test_a_rollout_into_a_folder_with_brackets(place: Path, rollout: BegunRollout) -> None:
    rollout(checkpoint_copy(place / "a [x] b" / "checkpoint"), "--output", place / "a [x] b" / "out")
    assert rollout.began


def test_a_home_that_cannot_be_written(
    place: Path, data: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = place / "file" / "huggingface" / "datasets"
    (place / "file").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", nowhere)
    shutil.copytree(data, place / "data")
    outcome = encode(place / "data", encoders("dinov2"), place / "latents")
    if not outcome.accepted:
        assert_refused(outcome, str(nowhere))
