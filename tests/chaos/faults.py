"""What goes wrong on machines, one row each. A fault says what it did, or None if there was nothing to do it to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from chaos.patient import Patient
from support.depots import BUCKET, s3_server

DAY_S = 86_400
REFUSED_S = 120.0


@dataclass(frozen=True)
class Fault:
    """One way to go wrong."""

    name: str
    strike: Callable[[Patient], str | None]
    running: bool
    """Whether it meets a study that is run, or one that nobody runs."""


def _kill(patient: Patient, processes: list[psutil.Process], what: str) -> str | None:
    if not processes:
        return None
    process = patient.random.choice(processes)
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return None
    return what


def kill_all(patient: Patient) -> str | None:
    """As a machine that loses power."""
    patient.end(signal.SIGKILL)
    return "every process of the run"


def kill_snakemake(patient: Patient) -> str | None:
    done = _kill(patient, patient.snakemakes(), "Snakemake alone")
    if done and not patient.wait(60):
        raise AssertionError("`wm resume` outlived its Snakemake")
    return done


def kill_trainer(patient: Patient) -> str | None:
    return _kill(patient, patient.stages("train"), "a training")


def kill_stage(patient: Patient) -> str | None:
    return _kill(patient, patient.stages(), "a stage")


def kill_helper(patient: Patient) -> str | None:
    return _kill(patient, patient.helpers(), "a simulator or another helper of a stage")


def terminate(patient: Patient) -> str | None:
    """As a machine that is given back: notice, half a minute, the end."""
    patient.end(signal.SIGTERM)
    return "SIGTERM, and the end after at most 30 s"


def interrupt(patient: Patient) -> str | None:
    patient.end(signal.SIGINT)
    return "Ctrl-C"


def second_run(patient: Patient) -> str | None:
    """Another Snakemake on the same tree."""
    said = patient.folder / "said-of-a-second-run.txt"
    said.unlink(missing_ok=True)
    second = patient.begin("run", "--study", "study.yaml", "--cores", "1", said=said)
    end = time.monotonic() + REFUSED_S
    while second.poll() is None and patient.is_running() and time.monotonic() < end:
        time.sleep(0.2)
    if not patient.is_running():  # whose place the second one may have taken
        _kill_group(second)
        return None
    text = said.read_text()
    assert second.poll() not in (None, 0), f"two runs worked on one tree: {text}"
    assert "a run already works on results" in text, text
    return "a second run, which was refused"


def helping_hand(patient: Patient) -> str | None:
    """`wm join` beside the run, killed in the middle."""
    beside = patient.begin("join", "--study", "study.yaml", "--cores", "1", said=patient.said_beside)
    time.sleep(patient.random.uniform(2, 15))
    _kill_group(beside)
    return "a `wm join` beside it"


def push_killed(patient: Patient) -> str | None:
    """`wm sync push` beside the run, killed in the middle: the remote has a part, and a later push the rest."""
    beside = patient.begin("sync", "push", str(patient.remote), said=patient.said_beside)
    time.sleep(patient.random.uniform(0.5, 6))
    _kill_group(beside)
    return "a `wm sync push` beside it"


def remote_fails(patient: Patient) -> str | None:
    """The server of an S3 remote dies while `wm sync push` writes to it."""
    if not patient.sealed():
        return None
    said = patient.folder / "said-of-a-push.txt"
    said.unlink(missing_ok=True)
    with s3_server(patient.folder) as environment:
        beside = patient.begin("sync", "push", f"s3://{BUCKET}/tree", said=said, environment=environment)
        time.sleep(patient.random.uniform(0.5, 8))
    status, text = beside.wait(REFUSED_S), said.read_text()
    assert status == 0 or (status == 1 and "Traceback" not in text), text
    return f"the S3 server died; `wm sync push` ended with status {status}"


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(children, 30)


def disk_full(patient: Patient) -> str | None:
    """The results' file system has no byte left for a while. It is a small one of its own."""
    if not os.path.ismount(patient.results):
        return None
    ballast = patient.results / "ballast"
    try:
        with ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
    except OSError:
        pass
    time.sleep(patient.random.uniform(2, 20))
    ballast.unlink()
    return "a full disk for some seconds"


def read_only(patient: Patient) -> str | None:
    """The results' file system can only be read for a while, as one that found itself damaged."""
    if not os.path.ismount(patient.results):
        return None
    patient.end(signal.SIGKILL)  # what is open for writing keeps it writable
    subprocess.run(["mount", "-o", "remount,ro", str(patient.results)], check=True)
    try:
        patient.start()
        assert patient.wait(REFUSED_S), "a run on a file system that can only be read did not end"
        assert patient.process is not None
        assert patient.process.returncode != 0, "a run on a file system that can only be read said that all is well"
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(patient.results)], check=True)
    return "a file system that can only be read"


def _files(folders: list[Path]) -> list[Path]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in found if path.stat().st_size and path.suffix != ".lease"]


def _damage(patient: Patient, path: Path, change: Callable[[bytes], bytes]) -> None:
    """Replace a file's contents, and count what that destroys."""
    stage = patient.results.joinpath(*path.relative_to(patient.results).parts[:2])
    if (stage / "DONE.json").exists():
        patient.destroy(stage)
        path.write_bytes(change(path.read_bytes()))
        return
    before = patient.recorded(stage)
    path.write_bytes(change(path.read_bytes()))
    patient.destroyed += before - patient.recorded(stage)


def _flip(patient: Patient) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        place = patient.random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << patient.random.randrange(8))]) + data[place + 1 :]

    return change


def _cut(patient: Patient) -> Callable[[bytes], bytes]:
    return lambda data: data[: patient.random.randrange(len(data))]


def damage(patient: Patient, folders: list[Path], change: Callable[[bytes], bytes], what: str) -> str | None:
    """One of the files below these folders is not as it was."""
    files = _files(folders)
    if not files:
        return None
    path = patient.random.choice(sorted(files))
    _damage(patient, path, change)
    return f"{what} {path.relative_to(patient.results)}"


def _artifacts(patient: Patient) -> list[Path]:
    return [folder / "artifact" for folder in patient.sealed()]


def damage_record(patient: Patient) -> str | None:
    """DONE.json torn, of which there is a second copy."""
    sealed = patient.sealed()
    if not sealed:
        return None
    path = patient.random.choice(sealed) / "DONE.json"
    path.write_bytes(_cut(patient)(path.read_bytes()))
    return f"cut {path.relative_to(patient.results)}"


def vanish(patient: Patient) -> str | None:
    """A sealed stage's folder is gone."""
    sealed = patient.sealed()
    if not sealed:
        return None
    stage = patient.random.choice(sealed)
    patient.destroy(stage)
    shutil.rmtree(stage)
    return f"{stage.relative_to(patient.results)} is gone"


def damage_plan(patient: Patient) -> str | None:
    """The plan that jobs read, or the sealed one that the report asks for, is not as it was written."""
    plans = [*patient.results.glob("snapshots/*.json"), *patient.results.glob("sealed-plans/*/*.json")]
    if not plans:
        return None
    path = patient.random.choice(sorted(plans))
    change = patient.random.choice((_flip, _cut))(patient)
    path.write_bytes(change(path.read_bytes()))
    return f"damaged {path.relative_to(patient.results)}"


def forget_snakemake(patient: Patient) -> str | None:
    memory = patient.folder / ".snakemake"
    if not memory.is_dir():
        return None
    shutil.rmtree(memory)
    return ".snakemake is gone"


def other_dates(patient: Patient) -> str | None:
    """All files are from another day, as after a copy or where the clock was set."""
    shift = patient.random.choice((-1, 1)) * patient.random.uniform(0.01, 30) * DAY_S
    for folder in (patient.results, patient.folder / ".snakemake"):
        for path in folder.rglob("*"):
            if path.exists() and not path.is_symlink():
                modified = path.stat().st_mtime + shift
                os.utime(path, (modified, modified))
    return f"all files are dated {shift / DAY_S:+.1f} days off"


FAULTS = (
    Fault("kill -9 of the whole run", kill_all, running=True),
    Fault("kill -9 of Snakemake", kill_snakemake, running=True),
    Fault("kill -9 of a training", kill_trainer, running=True),
    Fault("kill -9 of a stage", kill_stage, running=True),
    Fault("kill -9 of a simulator or helper", kill_helper, running=True),
    Fault("SIGTERM with notice", terminate, running=True),
    Fault("Ctrl-C", interrupt, running=True),
    Fault("a second run", second_run, running=True),
    Fault("wm join, killed", helping_hand, running=True),
    Fault("wm sync push, killed", push_killed, running=True),
    Fault("a remote fails in the middle", remote_fails, running=True),
    Fault("disk full", disk_full, running=True),
    Fault("read-only file system", read_only, running=True),
    Fault(
        "bit flip in a sealed result",
        lambda patient: damage(patient, _artifacts(patient), _flip(patient), "flipped"),
        False,
    ),
    Fault("sealed result cut short", lambda patient: damage(patient, _artifacts(patient), _cut(patient), "cut"), False),
    Fault("DONE.json torn", damage_record, running=False),
    Fault(
        "bit flip in unsealed work",
        lambda patient: damage(patient, patient.unsealed(), _flip(patient), "flipped"),
        False,
    ),
    Fault("unsealed work cut short", lambda patient: damage(patient, patient.unsealed(), _cut(patient), "cut"), False),
    Fault("sealed stage vanishes", vanish, running=False),
    Fault(".snakemake is lost", forget_snakemake, running=False),
    Fault("files of another date", other_dates, running=False),
    Fault("plan damaged", damage_plan, running=False),
)
