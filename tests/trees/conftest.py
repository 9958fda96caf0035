"""Remotes: every test that asks for ``depot`` meets a folder and an S3 server."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.depots import BUCKET, s3_server

from world_modality.trees.remote import Remote, open_remote


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


def reached_by(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a folder of this machine as another program reaches it."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "rclone":
        monkeypatch.setenv("RCLONE_CONFIG_DEPOT_TYPE", "local")
        return f"depot:{folder}"
    script = folder.parent / "no-ssh"  # what ssh would run there, run here
    script.write_text('#!/bin/sh\nwhile [ "$1" != rsync ]; do shift; done\nexec "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("RSYNC_RSH", str(script))
    return f"someone@somewhere:{folder}"


def depot_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if kind == "s3":
        for name, value in request.getfixturevalue("s3").items():
            monkeypatch.setenv(name, value)
        return f"s3://{BUCKET}/{tmp_path.name}"
    folder = tmp_path / "depot"
    folder.mkdir()
    return str(folder) if kind == "folder" else reached_by(kind, folder, monkeypatch)


@pytest.fixture(params=["folder", "s3"])
def depot(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return depot_of(request.param, tmp_path, request, monkeypatch)


@pytest.fixture(params=["folder", "s3", "rsync", "rclone"])
def any_depot(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return depot_of(request.param, tmp_path, request, monkeypatch)


@pytest.fixture
def remote(depot: str) -> Remote:
    return open_remote(depot)
