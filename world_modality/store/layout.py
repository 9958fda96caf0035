"""Where things are in a results tree. The one place that knows its paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")
"""The results tree in the working folder, where nobody names another one: see :func:`results_folder`."""

RESULTS_VARIABLE = "WORLD_MODALITY_RESULTS"
"""Environment variable that names the results tree; `--results` sets it, and a run sets it for its jobs."""

SNAPSHOT_VARIABLE = "WORLD_MODALITY_SNAPSHOT"
"""Environment variable that names the snapshot of the study, for the jobs of a run."""


def results_folder(own: str | None = None) -> Path:
    """The results tree: the environment's, or else ``own``, which is a study's, or else ``RESULTS``."""
    return Path(os.environ.get(RESULTS_VARIABLE) or own or RESULTS).expanduser()


@dataclass(frozen=True)
class StageFolder:
    """``results/<stage>/<key>``: one stage's result, and what it needs while it is made."""

    path: Path

    @property
    def done(self) -> Path:
        """The record that the stage is sealed; the only output that Snakemake knows, which may therefore delete it."""
        return self.path / "DONE.json"

    @property
    def seal(self) -> Path:
        """A second copy of the record. Snakemake does not know it, so it restores ``done`` without a rerun."""
        return self.path / "seal.json"

    @property
    def artifact(self) -> Path:
        """The result itself."""
        return self.path / "artifact"

    @property
    def volatile(self) -> Path:
        """What is true of this making of the result alone: times, machine, attempts. No digest of content covers it,
        and no later stage computes anything from it."""
        return self.path / "volatile"

    @property
    def run(self) -> Path:
        """When, where and how long the result was made: a ``store.record.Run``."""
        return self.volatile / "run.json"

    @property
    def work(self) -> Path:
        """Checkpoints, shards and partial records; gone once the stage is sealed."""
        return self.path / "work"

    @property
    def lock(self) -> Path:
        """Held while a process works in this folder."""
        return self.path / "lock"

    @property
    def progress(self) -> Path:
        """The last line of progress."""
        return self.path / "progress.txt"

    @property
    def attempts(self) -> Path:
        """One line per start of the stage, but for those who joined others at work."""
        return self.path / "attempts.txt"

    @property
    def seconds(self) -> Path:
        """Wall time so far, a file per process that worked here; gone once the stage is sealed."""
        return self.path / "seconds"

    @property
    def log(self) -> Path:
        """Everything the stage and its libraries print."""
        return self.path / "log.txt"


def stage_folder(root: Path, stage: str, key: str) -> StageFolder:
    """The folder of a stage's result below the results tree ``root``."""
    return StageFolder(root / stage / key)


def snapshots_folder(root: Path) -> Path:
    """Resolved studies, by digest: what running jobs read."""
    return root / "snapshots"


def sealed_plans_folder(root: Path, study: str) -> Path:
    """The plans that a study registered, one file per plan and sealing."""
    return root / "sealed-plans" / study


def names_folder(root: Path, study: str) -> Path:
    """Links for people."""
    return root / "by-name" / study


def so_far_folder(root: Path, study: str) -> Path:
    """The report of an unfinished study; gone once the study's own report is sealed."""
    return names_folder(root, study) / "so-far"


def last_study_file(root: Path) -> Path:
    """The path of the study that was run last."""
    return root / "last-study.txt"


def run_lock_file(root: Path) -> Path:
    """Held while a run works in the results tree."""
    return root / "run.lock"


def checks_folder(root: Path) -> Path:
    """What `wm check` found, by digest of what it looked at."""
    return root / "checks"


def digests_file(root: Path) -> Path:
    """Remembered digests of local data sets and models."""
    return root / "digests.json"
