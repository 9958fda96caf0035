"""hf-libero's configuration for people who run LeRobot's own scripts."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stand_ins import STAND_INS

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.libero_config import (
    ASSETS_VARIABLE,
    CONFIG_VARIABLE,
    SKIP_VARIABLE,
    asset_folder,
    config_file,
    replace_wrong_config,
    used_assets,
    write_missing_config,
)
from world_modality.benchmarks.libero.quiet import config_paths, libero_folder
from world_modality.errors import UserError

TELL = """\
import libero.libero as libero
print(libero.get_libero_path("bddl_files"))
print(sorted(libero.get_default_path_dict().items()))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in (ASSETS_VARIABLE, SKIP_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "libero"))
    return tmp_path


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    """What hf-libero says when it is imported with that configuration folder and nobody at the keyboard."""
    environment = os.environ | {CONFIG_VARIABLE: str(folder)}
    command = [sys.executable, "-c", TELL]
    return subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=False)


def test_with_the_file_libero_asks_nothing_and_without_it_does(tmp_path: Path) -> None:
    assert "EOFError" in imported(tmp_path / "elsewhere").stderr
    written = write_missing_config()
    assert written == tmp_path / "libero" / "config.yaml" == config_file()
    result = imported(tmp_path / "libero")
    assert result.returncode == 0, result.stderr
    folder, own = result.stdout.splitlines()
    ours = yaml.safe_load(written.read_text())
    assert folder == ours["bddl_files"]
    assert len(list(Path(folder).glob("libero_spatial/*.bddl"))) == 10
    # The file is the one that hf-libero would have written itself.
    theirs = {key: os.path.normpath(path) for key, path in ast.literal_eval(own)}
    assert {key: os.path.normpath(path) for key, path in ours.items()} == theirs


def test_a_users_file_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "libero").mkdir()
    config_file().write_text("mine")
    assert write_missing_config() is None
    assert config_file().read_text() == "mine"
    assert [path.name for path in (tmp_path / "libero").iterdir()] == ["config.yaml"]


def test_it_lies_at_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write_missing_config() == tmp_path / ".libero" / "config.yaml"


@pytest.mark.parametrize(("value", "written"), [("1", False), ("yes", False), ("0", True), ("", True)])
def test_it_can_be_left_alone(monkeypatch: pytest.MonkeyPatch, value: str, written: bool) -> None:
    monkeypatch.setenv(SKIP_VARIABLE, value)
    assert (write_missing_config() is not None) == written == config_file().exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=f"set {CONFIG_VARIABLE} to a folder that can be written, or {SKIP_VARIABLE}=1"):
        write_missing_config()


def test_the_entry_assets_counts_if_it_is_an_asset_folder(tmp_path: Path) -> None:
    packages = ASSETS.folder("package")
    assert asset_folder() == packages
    write_missing_config()
    assert asset_folder() == packages  # the folder that hf-libero names by default is not there
    text = yaml.safe_load(config_file().read_text())
    for entry, found in ((str(STAND_INS), STAND_INS), (str(tmp_path), packages), (5, packages)):
        config_file().write_text(yaml.safe_dump({**text, "assets": entry}))
        assert asset_folder() == found
    config_file().write_text("[not: a: mapping")
    assert asset_folder() == packages


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASSETS_VARIABLE, str(STAND_INS))
    assert asset_folder() == STAND_INS
    monkeypatch.setenv(ASSETS_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="is no LIBERO asset folder"):
        asset_folder()


def settle(**changes: object) -> str:
    """A user's configuration with some entries changed or (None) left out; its text."""
    entries = {**{name: str(path) for name, path in config_paths(libero_folder()).items()}, **changes}
    text = yaml.safe_dump({name: entry for name, entry in entries.items() if entry is not None})
    config_file().parent.mkdir(exist_ok=True)
    config_file().write_text(text)
    return text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"bddl_files": "/gone/bddl_files"}, "names bddl_files /gone/bddl_files, which does not exist"),
        ({"init_states": "/tmp"}, "names init_states /tmp, which is not the installed hf-libero's"),
        ({"benchmark_root": None}, "names no benchmark_root"),
        ({"assets": "/gone/assets"}, "names assets /gone/assets, which is no LIBERO asset folder"),
    ],
)
def test_a_file_of_another_installation_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], fault: str
) -> None:
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "cache"))
    users = config_file()
    text = settle(**changes, datasets="/my/datasets")
    told = replace_wrong_config()
    own = config_file()
    assert told == f"{users} {fault}: LIBERO reads {own} instead ({SKIP_VARIABLE}=1 keeps it to your file)"
    assert users.read_text() == text
    assert own.is_relative_to(tmp_path / "cache")
    right = {name: str(path) for name, path in config_paths(libero_folder()).items()}
    assert yaml.safe_load(own.read_text()) == {**right, "datasets": "/my/datasets"}
    assert imported(own.parent).stdout.splitlines()[0] == right["bddl_files"]
    assert replace_wrong_config() is None  # in the processes that this one starts


def test_a_wrong_files_asset_folder_counts_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "cache"))
    settle(bddl_files="/gone", assets=str(STAND_INS))
    assert replace_wrong_config() is not None
    assert asset_folder() == STAND_INS


def test_a_right_file_and_one_that_must_be_followed_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replace_wrong_config() is None  # none is there
    for changes in ({}, {"datasets": "/mine"}, {"assets": str(STAND_INS)}):
        settle(**changes)
        assert replace_wrong_config() is None
    settle(bddl_files="/gone")
    monkeypatch.setenv(SKIP_VARIABLE, "1")
    before = os.environ[CONFIG_VARIABLE]
    assert replace_wrong_config() is None
    assert os.environ[CONFIG_VARIABLE] == before


def test_the_assets_that_were_simulated_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert used_assets() == {"source": "package", "digest": ASSETS.package_digest}
    copy = shutil.copytree(STAND_INS, tmp_path / "assets")
    settle(assets=str(copy))
    assert used_assets() == {"source": str(copy), "digest": ASSETS.digest(str(STAND_INS))}
    monkeypatch.setenv(ASSETS_VARIABLE, str(STAND_INS))
    assert used_assets() == {"source": str(STAND_INS), "digest": ASSETS.digest(str(STAND_INS))}


WORKER = """\
import multiprocessing
from world_modality.benchmarks.libero.libero_config import configure_workers

def tell(queue):
    import sys
    import libero.libero as libero
    queue.put((libero._assets_path_cache, "robosuite.macros_private" in sys.modules))

if __name__ == "__main__":
    configure_workers()
    context = multiprocessing.get_context("forkserver")
    queue = context.Queue()
    process = context.Process(target=tell, args=(queue,))
    process.start()
    print(*queue.get(timeout=60))
    process.join()
"""


def test_processes_of_the_fork_server_begin_with_the_users_assets(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    write_missing_config()
    environment = os.environ | {ASSETS_VARIABLE: str(STAND_INS), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "worker.py")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout == f"{STAND_INS} True\n", result.stderr


def test_lerobot_makes_its_simulators_in_such_processes() -> None:
    from lerobot.envs.utils import _LazyAsyncVectorEnv

    assert 'context="forkserver"' in inspect.getsource(_LazyAsyncVectorEnv._ensure)
