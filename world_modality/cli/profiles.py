"""Snakemake's profiles, for `wm`: on which machines a study is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import world_modality
from world_modality.cli.last_place import Place
from world_modality.errors import UserError, in_one_line
from world_modality.store.layout import SHARE_VARIABLE
from world_modality.trees.remote import absolute_name

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
    """A remote; each stage is made once on all machines that name it. None or "" for none."""

    @property
    def executor(self) -> str:
        """Snakemake's name for what runs the jobs."""
        return str(_settings_of(self.profile).get("executor", LOCAL))

    @property
    def place(self) -> Place:
        """What is noted of it."""
        return Place(_name_of(self.profile), self.executor, absolute_name(self.share or ""))

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


def place_of_command(arguments: Sequence[str], environment: Mapping[str, str], executor: str) -> Place:
    """Where Snakemake itself was called to run a study, which says what its ``executor`` really is."""
    folder = profile_of_command(arguments, environment)
    if folder is not None and Where(folder).executor == executor:
        name = _name_of(folder)
    else:
        name = LOCAL if executor == LOCAL else ""
    return Place(name, executor, absolute_name(environment.get(SHARE_VARIABLE, "")))


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


def _name_of(profile: Path) -> str:
    """By which ``find_profile`` finds it again from any working folder."""
    return profile.name if profile.parent == PROFILES else str(profile.resolve())


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
