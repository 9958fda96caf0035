"""The study that faults are done to: its folder, its processes, and how far it is."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from support.counted_rollouts import JOURNAL_VARIABLE

from world_modality.cli.run_stage import RUNNERS_VARIABLE
from world_modality.facts.stages import STAGES
from world_modality.rollout.records import read_unfinished

TESTS = Path(__file__).parents[1]
WM = ("-m", "world_modality.cli.main")


@dataclass
class Patient:
    """A working folder with ``study.yaml`` and ``results``."""

    folder: Path
    random: random.Random
    process: subprocess.Popen[bytes] | None = None
    destroyed: int = 0
    """Recorded episodes that faults took away."""
    _destroyed_artifacts: set[tuple[Path, int]] = field(default_factory=set)
    """Stage and inode of each: what is damaged twice is made anew once."""

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def remote(self) -> Path:
        """Where copies of the results are pushed."""
        return self.folder / "remote"

    @property
    def journal(self) -> Path:
        """A line per episode that was recorded, also of those that were recorded again."""
        return self.folder / "recorded.txt"

    @property
    def said(self) -> Path:
        return self.folder / "said.txt"

    @property
    def said_beside(self) -> Path:
        """What other commands said beside the run."""
        return self.folder / "said-beside.txt"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            RUNNERS_VARIABLE: "support.counted_rollouts:RUNNERS",
            JOURNAL_VARIABLE: str(self.journal),
        }

    def call(self, *command: str, seconds: float = 900) -> subprocess.CompletedProcess[str]:
        """A command of `wm` to its end."""
        return subprocess.run(
            [sys.executable, *WM, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def begin(self, *command: str, said: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A command of `wm` in a process group of its own; what it says is added to a file."""
        with said.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, *WM, *command],
                cwd=self.folder,
                env=self.environment | dict(environment or {}),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def start(self, *targets: str) -> None:
        """Go on with the study, as a person does after whatever happened."""
        command = "resume" if (self.results / "snapshots").is_dir() else "run"
        words = ("--study", "study.yaml", "--cores", "2", "--", *targets)
        self.process = self.begin(command, *words, said=self.said)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Whether the run ended in time."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all of the run, and kill what is left of it."""
        assert self.process is not None
        family = self.family()
        os.killpg(self.process.pid, number)
        self.wait(0 if number == signal.SIGKILL else 30)
        for each in family:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, 30)
        self.process.wait(30)

    def family(self) -> list[psutil.Process]:
        """Every process of the run, the first included."""
        assert self.process is not None
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def snakemakes(self) -> list[psutil.Process]:
        return [each for each in self.family() if "snakemake" in _command(each)[2:3]]

    def stages(self, kind: str = "") -> list[psutil.Process]:
        """Processes that run a stage, of one kind or any."""
        found = []
        for each in self.family():
            command = _command(each)
            if tuple(command[1:4]) == (*WM, "stage") and kind in ("", command[4]):
                found.append(each)
        return found

    def helpers(self) -> list[psutil.Process]:
        """Processes that stages started: simulators, decoders, trainers of several."""
        return [child for stage in self.stages() for child in stage.children(recursive=True)]

    def wait_for_work(self, seconds: float) -> None:
        """Until a stage is being run, or the run ends."""
        end = time.monotonic() + seconds
        while self.is_running() and not self.stages() and time.monotonic() < end:
            time.sleep(0.1)

    def done_files(self) -> list[str]:
        """DONE.json of every sealed stage, relative to the working folder."""
        return [str((stage / "DONE.json").relative_to(self.folder)) for stage in self.sealed()]

    def episodes(self) -> set[tuple[str, tuple[int, int, int]]]:
        """Key and episode of every record of sealed rollouts."""
        files = self.results.glob("rollout/*/artifact/records.jsonl")
        return {(file.parts[-3], episode) for file in files for episode in _episodes(file)}

    def sealed(self) -> list[Path]:
        """Folders of sealed stages."""
        return sorted(done.parent for done in self.results.glob("*/*/DONE.json") if done.parts[-3] in STAGES.names)

    def unsealed(self) -> list[Path]:
        """Work folders of stages that are not."""
        return sorted(path for path in self.results.glob("*/*/work") if not (path.parent / "DONE.json").exists())

    def destroy(self, stage: Path) -> None:
        """Count the episodes of a sealed stage that a fault took away."""
        artifact = stage, (stage / "artifact").stat().st_ino
        if artifact not in self._destroyed_artifacts:
            self._destroyed_artifacts.add(artifact)
            self.destroyed += self.recorded(stage)

    def recorded(self, stage: Path) -> int:
        """Episodes of a rollout's folder that are on the disk and whole, as whoever goes on with it finds them."""
        sealed = {each for file in stage.glob("artifact/records.jsonl") for each in _episodes(file)}
        begun = {(each.task, each.init_state, each.repeat) for each in read_unfinished(stage / "work" / "records")}
        return len(sealed | begun)


def _episodes(file: Path) -> Iterator[tuple[int, int, int]]:
    for line in file.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            yield record["task"], record["init_state"], record["repeat"]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
