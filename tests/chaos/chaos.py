"""A small whole study under random faults, compared with one that nothing happened to: ``make chaos``.

    FAULTS=200 SEED=0 make chaos

It ends with a table of faults by kind and lines ``BENCH chaos figure=value``; exit status 1 if the studies differ, an
episode is lost, or too much is done again.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from chaos.faults import FAULTS, Fault
from chaos.patient import Patient
from support.sealed_contents import contents, different
from support.whole_study import SMALL_STUDY

EPISODES = 24
STUDY = SMALL_STUDY.replace("steps: 4,", "steps: 60,").replace("episodes: 2,", f"episodes: {EPISODES},")
STUDY = STUDY.replace("init_states: 30-49", "init_states: 20-49")
DISK = "size=2g"
AGAIN_SHARE = 0.02
LAST_TRIES = 6
BETWEEN_S = 0.0, 8.0
AHEAD_S = 120.0  # that the study is left alone at most, where the faults are further than it is
LIMIT_S = 1800.0


def is_small_disk(folder: Path) -> bool:
    """Give the folder a small file system of its own; False where that is not allowed."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(folder)], capture_output=True, check=False
    )
    return mounted.returncode == 0


def undisturbed(folder: Path) -> Patient:
    """The study as it should be."""
    patient = _patient(folder, random.Random(0))
    patient.start()
    assert patient.wait(LIMIT_S), "the undisturbed study takes too long"
    assert patient.process is not None
    assert patient.process.returncode == 0, patient.said.read_text()[-4000:]
    return patient


def _patient(folder: Path, draws: random.Random) -> Patient:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(STUDY)
    patient = Patient(folder, draws)
    patient.remote.mkdir()
    return patient


def suffer(patient: Patient, wanted: int, stages: int) -> Counter[str]:
    """Do so many faults to a study of so many stages while it is run; how many of each kind.

    They are spread over its whole length, however slow the machine: while their share is larger than that of the
    stages that have ever been sealed, it is left alone until one more is, or for ``AHEAD_S``.
    """
    done: Counter[str] = Counter()
    reached = set[str]()
    began = time.monotonic()

    def is_ahead() -> bool:
        reached.update(patient.done_files())
        return done.total() / wanted > (len(reached) + 1) / stages

    while done.total() < wanted:
        kinds = [fault for fault in FAULTS if fault.running == patient.is_running()]
        if not patient.is_running() and patient.random.random() < 0.4:
            patient.start()
            patient.wait_for_work(120)
            continue
        until = time.monotonic() + AHEAD_S
        while patient.is_running() and is_ahead() and time.monotonic() < until:
            time.sleep(1)
        if patient.is_running():
            time.sleep(patient.random.uniform(*BETWEEN_S))
        fault = _rarest(kinds, done, patient.random)
        told = fault.strike(patient) if fault.running == patient.is_running() else None
        if told:
            done[fault.name] += 1
            spent = time.monotonic() - began
            left = spent / done.total() * (wanted - done.total())
            print(f"{done.total():4d}/{wanted}  {fault.name}: {told}  ETA {left / 60:.0f} min", flush=True)
    if patient.is_running():
        patient.end()
    return done


def _rarest(kinds: list[Fault], done: Counter[str], draws: random.Random) -> Fault:
    """One of those that came least often, mostly: so that none is left out."""
    if draws.random() < 0.3:
        return draws.choice(kinds)
    least = min(done[fault.name] for fault in kinds)
    return draws.choice([fault for fault in kinds if done[fault.name] <= least + 1])


def recover(patient: Patient, whole: Patient) -> int:
    """Go on until the study is done, and then with what nothing needs any more; how often `wm resume` was called."""
    targets: list[str] = []
    for number in range(1, LAST_TRIES + 1):
        patient.start(*targets)
        assert patient.wait(LIMIT_S), "the last run takes too long"
        assert patient.process is not None
        if patient.process.returncode == 0:
            sealed = set(patient.done_files())
            targets = [name for name in whole.done_files() if name not in sealed]
            if not targets:
                return number
    raise AssertionError(f"not done after {LAST_TRIES} more runs:\n{patient.said.read_text()[-6000:]}")


def main() -> None:
    """Compare, and say what was found."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--faults", type=int, default=200)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--folder", type=Path, help="by default a temporary one")
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        began = time.monotonic()
        whole = undisturbed(folder / "whole")
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        patient = _patient(folder / "patient", random.Random(given.seed))
        small = is_small_disk(patient.results)
        if not small:
            print("no small file system can be mounted here: it does not run full, nor becomes read-only", flush=True)
        try:
            done = suffer(patient, given.faults, len(whole.done_files()))
            tries = recover(patient, whole)
            sys.exit(_tell(whole, patient, done, tries, minutes=(time.monotonic() - began) / 60))
        finally:
            if patient.is_running():
                patient.end()
            if small:
                subprocess.run(["umount", "--lazy", str(patient.results)], check=False)


def copied(patient: Patient) -> Path:
    """A folder with the results as the remote has them, to which pushes were killed before."""
    pulled = patient.folder / "pulled"
    for command in (("push", str(patient.remote)), ("pull", str(patient.remote), "--results", str(pulled / "results"))):
        told = patient.call("sync", *command)
        assert told.returncode == 0, told.stdout + told.stderr
    return pulled


def _tell(whole: Patient, patient: Patient, done: Counter[str], tries: int, *, minutes: float) -> int:
    right = contents(whole.folder)
    differ = different(right, contents(patient.folder)) + different(right, contents(copied(patient)))
    lines = patient.journal.read_text().splitlines()
    episodes = len(set(lines))
    again = len(lines) - episodes - patient.destroyed
    lost = len(whole.episodes() - patient.episodes())
    print("\n| fault | times |\n|---|---|")
    for fault in FAULTS:
        print(f"| {fault.name} | {done[fault.name]} |")
    never = [fault.name for fault in FAULTS if not done[fault.name]]
    print(f"\nnever came: {', '.join(never) or 'none'}; files that differ: {', '.join(differ[:5]) or 'none'}")
    figures = {
        "faults": done.total(),
        "kinds": len(done),
        "episodes": episodes,
        "made_again_as_faults_destroyed_them": patient.destroyed,
        "made_again_beyond": again,
        "made_again_share": round(again / episodes, 4),
        "lost": lost,
        "files_that_differ": len(differ),
        "last_runs": tries,
        "minutes": round(minutes, 1),
    }
    print("BENCH chaos " + " ".join(f"{name}={value}" for name, value in figures.items()))
    return int(bool(differ) or lost > 0 or not 0 <= again <= AGAIN_SHARE * episodes)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
