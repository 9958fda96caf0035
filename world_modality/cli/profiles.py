"""Snakemake's profiles, for `wm`: on which machines a study is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import world_modality
from world_modality.errors import UserError, in_one_line

PROFILES = Path(world_modality.__file__).parent.parent / "workflow" / "profiles"
PROFILE_FILE = "config.yaml"
LOCAL = "local"


@dataclass(frozen=True)
class Where:
    """On what a study is run."""

    profile: Path
    """Folder of a Snakemake profile."""
    cores: int | None = None
    """All of this machine by default; in a queue no limit."""
    share: str | None = None
    """A remote; each stage is made once on all machines that name it."""

    @property
    def executor(self) -> str:
        """Snakemake's name for what runs the jobs."""
        return str(_settings_of(self.profile).get("executor", LOCAL))

    @property
    def arguments(self) -> list[str]:
        """For Snakemake."""
        cores = self.cores or ("all" if self.executor == LOCAL else None)
        return [*profile_arguments(self.profile), *(["--cores", str(cores)] if cores else [])]


def find_profile(name: str) -> Path:
    """The folder of a profile: one of the repository's by its name, or any by its path. UserError if there is none."""
    folder = PROFILES / name if "/" not in name else Path(name).expanduser()
    if not (folder / PROFILE_FILE).is_file():
        known = ", ".join(sorted(file.parent.name for file in PROFILES.glob(f"*/{PROFILE_FILE}")))
        raise UserError(
            f"--profile {name}: there is no {folder / PROFILE_FILE}; choose from {known}, or name a folder by its path"
        )
    return folder


def executor_of(name: str) -> str:
    """What runs the jobs of a profile; "" if there is no such profile, or none any more."""
    try:
        return Where(find_profile(name)).executor
    except UserError:
        return ""


def profile_of_command(arguments: Sequence[str], environment: Mapping[str, str]) -> Path | None:
    """The folder of the profile that Snakemake itself was called with; None if it was called without.

    With an executor and no profile it is the repository's of that name: `wm resume` must not run a queue's work here.
    """
    named = environment.get("SNAKEMAKE_PROFILE")
    executor = ""
    for number, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        value = value if equals else next(iter(arguments[number + 1 :]), "")
        if option in ("--profile", "--workflow-profile"):
            named = value
        elif option in ("--executor", "-e"):
            executor = value
    folder = Path(named) if named else PROFILES / executor if executor else None
    return folder.resolve() if folder is not None and (folder / PROFILE_FILE).is_file() else None


def profile_arguments(profile: Path) -> list[str]:
    """A Snakemake profile as arguments, but for ``cores``. Given as a profile, Snakemake would announce its path."""
    arguments: list[str] = []
    for name, value in _settings_of(profile).items():
        if name != "cores" and value is not False:
            arguments += [f"--{name}", *([] if value is True else _words(value))]
    return arguments


def _words(value: Any) -> list[str]:
    """A profile's value as words: lists, and mappings as Snakemake reads them."""
    if isinstance(value, list):
        return [str(each) for each in value]
    if not isinstance(value, dict):
        return [str(value)]
    words = []
    for name, part in value.items():
        inner = {f"{name}:{key}": each for key, each in part.items()} if isinstance(part, dict) else {name: part}
        words += [f"{key}={each}" for key, each in inner.items()]
    return words


def _settings_of(profile: Path) -> dict[str, Any]:
    """UserError for a file that is no mapping."""
    file = profile / PROFILE_FILE
    try:
        settings = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {in_one_line(error)}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{file} is no Snakemake profile: write NAME: VALUE lines, as in workflow/profiles/local")
    return settings
