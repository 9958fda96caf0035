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

SHARE_VARIABLE = "WORLD_MODALITY_SHARE"
"""And the remote that several results trees make the study through; empty or not set where there is none."""

ASKED_VARIABLE = "WORLD_MODALITY_ASKED"
"""Environment variable with the words that name the part of the study which is asked for, if it is a part, for jobs of
this machine: they go on with nothing else."""


def results_folder(own: str | None = None) -> Path:
    """The results tree: the environment's, or else ``own``, which is a study's, or else ``RESULTS``."""
    named = os.environ.get(RESULTS_VARIABLE)
    return Path(named).expanduser() if named else unnamed_results_folder(own)


def unnamed_results_folder(own: str | None = None) -> Path:
    """The same where no environment and no option names one."""
    return Path(own or RESULTS).expanduser()


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
    def machines(self) -> Path:
        """What kinds of machines worked on it, a file each: see ``store.machines``; gone once the stage is sealed."""
        return self.volatile / "machines"

    @property
    def work(self) -> Path:
        """Checkpoints, shards and partial records; gone once the stage is sealed."""
        return self.path / "work"

    @property
    def finished(self) -> Path:
        """What ``work`` is called while it is removed."""
        return self.path / "work.finished"

    @property
    def workers(self) -> Path:
        """The leases of those who work on a stage that several may share."""
        return self.work / "workers"

    @property
    def lock(self) -> Path:
        """Held while a process works in this folder."""
        return self.path / "lock"

    @property
    def progress(self) -> Path:
        """The last line of progress."""
        return self.path / "progress.txt"

    @property
    def failed(self) -> Path:
        """When and why the last attempt failed: a ``store.failure.Failure``; gone once another one begins."""
        return self.path / "failed.txt"

    @property
    def attempts(self) -> Path:
        """One line per start of the stage, but for those who joined others at work: a ``store.attempts.Attempt``."""
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


SEALED_PLANS = "sealed-plans"
"""Folder of a results tree, and of a remote, with the plans that studies registered."""


def sealed_plans_folder(root: Path, study: str) -> Path:
    """The plans that a study registered, one file per plan and sealing."""
    return root / SEALED_PLANS / study


def names_folder(root: Path, study: str) -> Path:
    """Links for people."""
    return root / "by-name" / study


def so_far_folder(root: Path, study: str) -> Path:
    """The report of an unfinished study; gone once the study's own report is sealed."""
    return names_folder(root, study) / "so-far"


def seen_sealed_file(root: Path, study: str) -> Path:
    """What helpers of a study have found sealed, for each other; a hint, which `wm join` alone reads."""
    return root / "seen-sealed" / f"{study}.json"


def last_study_file(root: Path) -> Path:
    """The path of the study that was run last."""
    return root / "last-study.txt"


def last_results_file() -> Path:
    """In the results tree of the working folder, which may hold nothing else: where the study that was run last has its
    results, if `--results` or the environment named the place."""
    return RESULTS / "last-results.txt"


def last_plans_folder(root: Path) -> Path:
    """Which snapshot each study was run with last, a file for each file of a study."""
    return root / "last-plans"


def removed_folder(root: Path) -> Path:
    """Where stages lie while they are being removed: what a removal that was killed left is no result any more."""
    return root / ".removed"


def run_lock_file(root: Path) -> Path:
    """Held while a run works in the results tree."""
    return root / "run.lock"


def last_place_file(root: Path) -> Path:
    """Where a study was run last: profile, executor and remote."""
    return root / "last-place.json"


def damaged_folder(root: Path) -> Path:
    """Results that were found damaged, moved out of the way."""
    return root / "damaged"


def damage_found_file(root: Path) -> Path:
    """Which sealed results the last look at all their contents found damaged."""
    return root / "damage-found.json"


def published_folder(root: Path) -> Path:
    """What was published where: a file per repository of the hub."""
    return root / "published"


def checks_folder(root: Path) -> Path:
    """What `wm check` found, by digest of what it looked at."""
    return root / "checks"


def digests_file(root: Path) -> Path:
    """Remembered digests of local data sets and models."""
    return root / "digests.json"


def tree_file(root: Path) -> Path:
    """What tells this results tree from every other."""
    return root / "tree.json"


def incoming_folder(root: Path, tree: str) -> Path:
    """Where what the results tree ``tree`` copies into this one lies until it is whole: a tree in small."""
    return root / "incoming" / tree


def outgoing_folder(root: Path, stage: str, key: str) -> Path:
    """Where a stage's files lie while a copy of them, which a process still writes, leaves for another tree."""
    return root / "outgoing" / stage / key
