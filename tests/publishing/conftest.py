import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.published_study import RunningHub, hub_at, write_study


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_study(folder)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with all its results, in the working folder."""
    folder = shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    with hub_at(tmp_path / "hub-cache") as running:
        running.use(monkeypatch)
        yield running
