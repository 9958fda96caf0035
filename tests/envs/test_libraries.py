"""The check of system libraries, as an ordinary user on Debian runs it: with no sbin on the path."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

ENVS = Path(__file__).parents[2] / "envs"
PATH = "/usr/local/bin:/usr/bin:/bin"


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


def test_the_setup_finds_them_too(tmp_path: Path) -> None:
    """A copy of the repository's bootstrap whose environment bears the stamp of being ready."""
    shutil.copytree(ENVS, tmp_path / "envs")
    shutil.copy(ENVS.parent / "pyproject.toml", tmp_path)
    plugin = "plugins/lerobot_env_world_modality/pyproject.toml"
    (tmp_path / plugin).parent.mkdir(parents=True)
    shutil.copy(ENVS.parent / plugin, tmp_path / plugin)
    made_from = [tmp_path / name for name in ("envs/requirements.txt", "envs/uv.txt", "pyproject.toml", plugin)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_from)).hexdigest()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").write_text(f"{digest} {tmp_path}\n")
    command = [str(tmp_path / "envs" / "bootstrap.sh")]
    result = subprocess.run(command, env={"PATH": PATH}, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["environment", "ready"]
