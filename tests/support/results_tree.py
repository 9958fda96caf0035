"""A working folder with a study, and Snakemake on it with stand-ins for the stages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.small_study import edited

REPOSITORY = Path(__file__).parents[2]
SHORT_STUDY = edited(
    ("tasks: [0, 1]", "tasks: [0]"),
    ("seeds: [0, 1]", "seeds: [0]"),
    ("  relabel: {per_task: 1, init_states: 0-9}\n", ""),
    ("  E1: {memory: zero}\n", ""),
    (", ablations: [zero, random]", ""),
)
SNAKEMAKE = ["-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "study.yaml"]
SHORT_STAGES = 10  # policy, encoder, demos, dataset, latents, 2 trainings, 2 rollouts, report


class Tree:
    """A working folder with a study."""

    first_run: subprocess.CompletedProcess[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)]),
            "WORLD_MODALITY_RUNNERS": "support.fake_stages:RUNNERS",
        }
        self.write(SHORT_STUDY)

    def write(self, text: str) -> None:
        """Replace the study."""
        (self.folder / "study.yaml").write_text(text)

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Plain Snakemake, as someone types it who never heard of `wm`."""
        return self._run([*SNAKEMAKE, *arguments], check)

    def wm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`wm`, with the study named."""
        return self._run(self.wm_command(*arguments), check)

    def wm_without_study(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`wm`, as someone types it who does not name the study."""
        return self._run(["-m", "world_modality.cli.main", *arguments], check)

    def copy(self, folder: Path) -> Tree:
        """The same study and results elsewhere, without Snakemake's memory of them and with files' ages reversed."""
        other = Tree(folder)
        files = sorted(path for path in self.results.rglob("*") if path.is_file() and "by-name" not in path.parts)
        for age, path in enumerate(files):
            target = other.results / path.relative_to(self.results)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            os.utime(target, (1e9 - age, 1e9 - age))
        return other

    def verify(self) -> str:
        """What `wm verify` says."""
        return self._run(["-m", "world_modality.cli.main", "verify"], check=True).stdout

    def wm_command(self, *arguments: str) -> list[str]:
        return ["-m", "world_modality.cli.main", *arguments, "--study", "study.yaml"]

    def start(self, *arguments: str, seconds: float, plain: bool = False) -> subprocess.Popen[bytes]:
        """`wm`, or plain Snakemake, in a process group of its own, with slow stages."""
        return subprocess.Popen(
            [sys.executable, *([*SNAKEMAKE, *arguments] if plain else self.wm_command(*arguments))],
            cwd=self.folder,
            env=self.environment | {"FAKE_STAGE_SECONDS": str(seconds)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _run(self, arguments: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def done(self) -> set[str]:
        """Sealed stages, as ``stage/key``."""
        return {"/".join(path.parent.parts[-2:]) for path in self.results.glob("*/*/DONE.json")}

    def attempts(self) -> int:
        """How often any stage was started."""
        return sum(len(path.read_text().splitlines()) for path in self.results.glob("*/*/attempts.txt"))

    def report(self) -> str:
        """What the last stage computed, from everything before it."""
        return (self.results / "by-name" / "small" / "result.json").read_text()
