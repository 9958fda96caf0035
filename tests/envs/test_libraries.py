"""The check of system libraries, as an ordinary user on Debian runs it: with no sbin on the path."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

ENVS = Path(__file__).parents[2] / "envs"
PATH = "/usr/local/bin:/usr/bin:/bin"
PLUGIN = "plugins/lerobot_env_world_modality/pyproject.toml"


def bash(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that has sourced the check, as strictly as bootstrap.sh runs it."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f". {ENVS / 'libraries.sh'}; {script}", "bash", *arguments],
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_missing_where_these_tests_run() -> None:
    result = bash("missing_packages")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_missing_library_is_named_by_its_packages() -> None:
    result = bash('missing_packages "$@"', "libEGL.so.1 libegl1", "libmadeup.so.7 libmadeup7 libmadeup-data")
    assert (result.returncode, result.stdout.split(), result.stderr) == (0, ["libmadeup7", "libmadeup-data"], "")


@pytest.mark.parametrize("listed", ["linker_list() { :; }", "linker_list() { echo; }"])
def test_without_the_linkers_list_the_folders_tell(listed: str) -> None:
    result = bash(f"{listed}; missing_packages")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = bash(f"{listed}; missing_packages 'libmadeup.so.7 libmadeup7'")
    assert (result.returncode, result.stdout) == (0, "libmadeup7\n")


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """A copy of the repository's bootstrap."""
    shutil.copytree(ENVS, tmp_path / "envs")
    shutil.copy(ENVS.parent / "pyproject.toml", tmp_path)
    (tmp_path / PLUGIN).parent.mkdir(parents=True)
    shutil.copy(ENVS.parent / PLUGIN, tmp_path / PLUGIN)
    return tmp_path


def call(setup: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(setup / "envs" / "bootstrap.sh")]
    return subprocess.run(command, env={"PATH": PATH} | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("torch", ["", "rocm7.2"])
def test_the_setup_finds_them_too(setup: Path, torch: str) -> None:
    """Where the environment bears the stamp of being ready."""
    made_from = [setup / name for name in ("envs/requirements.txt", "envs/uv.txt", "pyproject.toml", PLUGIN)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_from)).hexdigest()
    (setup / ".venv").mkdir()
    (setup / ".venv" / ".ready").write_text(f"{digest} {setup}{torch and ' '}{torch}\n")
    result = call(setup, WM_TORCH=torch, WORLD_MODALITY_FETCHED="fetched")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["environment", "ready"]


def test_another_build_of_torch_is_in_no_fetched_folder(setup: Path) -> None:
    (setup / "fetched" / "wheels").mkdir(parents=True)
    result = call(setup, WM_TORCH="rocm7.2", WORLD_MODALITY_FETCHED=str(setup / "fetched"))
    assert result.returncode == 1
    assert result.stderr == (
        "error: WM_TORCH=rocm7.2 takes torch from PyTorch's own index, and with WORLD_MODALITY_FETCHED "
        "no network is asked: leave one of the two out\n"
    )
    assert not (setup / ".venv").exists()
