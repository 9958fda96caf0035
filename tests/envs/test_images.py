"""The recipes of images and of the conda environment say what `make` says; nothing here can build them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
ENVS = REPOSITORY / "envs"
DOCKERFILE, DEFINITION = (ENVS / "Dockerfile").read_text(), (ENVS / "world_modality.def").read_text()
BASE = "python:3.12-slim-bookworm"


def test_images_start_from_the_python_that_the_project_is_pinned_to_and_call_the_one_bootstrap() -> None:
    assert (REPOSITORY / ".python-version").read_text().strip() == "3.12"
    assert re.search(rf"^FROM {BASE}$", DOCKERFILE, re.M)
    assert re.search(rf"^From: {BASE}$", DEFINITION, re.M)
    for recipe in (DOCKERFILE, DEFINITION):
        assert "envs/bootstrap.sh" in recipe
        assert "pip install" not in recipe  # the lock is installed by the bootstrap alone
        assert "/opt/world-modality/.venv/bin:$PATH" in recipe


def test_what_an_image_needs_is_copied_into_it() -> None:
    """The bootstrap's files are tracked, and none of them is ignored when the image is built."""
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    bootstrap = (ENVS / "bootstrap.sh").read_text()
    named = set(re.findall(r"envs/[\w.]+", bootstrap)) | {"pyproject.toml", "Snakefile", "rules", "workflow"}
    assert {"envs/requirements.txt", "envs/uv.txt", "envs/libraries.sh"} <= named
    for name in named:
        assert (REPOSITORY / name).exists(), name
        assert name.partition("/")[0] not in ignored
    assert {"results", ".venv", ".git"} <= set(ignored)


def test_an_apptainer_image_holds_what_runs_and_nothing_else_of_a_checkout() -> None:
    """There, no list of what to ignore keeps the checkout's own environment and results out."""
    copied = dict(line.split() for line in DEFINITION.partition("%files\n")[2].partition("\n\n")[0].splitlines())
    assert all(target == f"/opt/world-modality/{name}" for name, target in copied.items())
    assert all((REPOSITORY / name).exists() for name in copied)
    built = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = {name.removesuffix("*") for name in built["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = packages | {built["project"]["readme"], *built["project"]["license-files"]}
    needed |= {"Snakefile", "config.yaml", "envs", "plugins", "pyproject.toml", "rules", "workflow"}
    assert copied.keys() == needed


def test_a_container_has_shared_memory_and_a_cache_that_stays() -> None:
    (command,) = re.findall(r"^#   (docker run .*)$", DOCKERFILE, re.M)
    assert f"`{command}`" in (REPOSITORY / "docs" / "cluster.md").read_text()
    assert {"--gpus all", "--ipc=host"} <= set(re.findall(r"--gpus all|--ipc=\S+", command))
    assert re.findall(r'--volume "(\S+)"', command) == ["$PWD:/work", "$HOME/.cache:/root/.cache"]


def test_the_bootstrap_does_without_git_history() -> None:
    assert not re.search(r"\bgit (describe|rev-parse|log|ls-files)\b", (ENVS / "bootstrap.sh").read_text())


def test_the_conda_environment_is_filled_from_the_lock() -> None:
    environment = yaml.safe_load((ENVS / "world_modality.yaml").read_text())
    assert "python=3.12" in environment["dependencies"]
    assert any(str(each).startswith("uv>=") for each in environment["dependencies"])
    script = ENVS / "world_modality.post-deploy.sh"  # Snakemake finds it by this name
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert script.stat().st_mode & stat.S_IXUSR
    installs = [line.split("$python")[1] for line in text.splitlines() if line.startswith("uv pip")]
    bootstrap = [
        re.sub(r'(--python|-q|--compile-bytecode)( ("\$python"|\.venv/bin/python))?', "", line)
        for line in (ENVS / "bootstrap.sh").read_text().splitlines()
        if line.startswith(".venv/bin/uv pip")
    ]
    for line in installs:
        options = line.strip('" ').split()
        assert any(all(option in known.split() for option in options) for known in bootstrap), line


def test_the_conda_environment_gets_the_build_of_torch_that_is_asked_for(tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    (tmp_path / "uv").write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    (tmp_path / "uv").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CONDA_PREFIX": "/conda"}
    environment["WORLD_MODALITY_REPOSITORY"] = str(REPOSITORY)
    script = [str(ENVS / "world_modality.post-deploy.sh")]
    subprocess.run(script, env=environment, check=True)
    assert len(told.read_text().splitlines()) == 2
    subprocess.run(script, env=environment | {"WM_TORCH": "rocm7.2"}, check=True)
    last = told.read_text().splitlines()[-1]
    assert "--python /conda/bin/python --no-config --torch-backend rocm7.2 --reinstall-package torch" in last
    assert re.search(r" torch==2\S+ torchvision==0\S+$", last)


def test_the_conda_script_says_what_is_not_set(tmp_path: Path) -> None:
    script = [str(ENVS / "world_modality.post-deploy.sh")]
    without = {name: value for name, value in os.environ.items() if name not in ("CONDA_PREFIX",)}
    told = subprocess.run(script, env=without, capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert "CONDA_PREFIX: is not set: Snakemake calls this in a conda environment" in told.stderr
    told = subprocess.run(
        script, env=without | {"CONDA_PREFIX": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert "WORLD_MODALITY_REPOSITORY: is not set: the Snakefile says where the clone is" in told.stderr
