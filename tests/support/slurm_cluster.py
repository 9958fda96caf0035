"""A SLURM of two nodes on this machine, below one folder: Debian's own daemons, on loopback, without systemd.

Its packages: ``apt-get install slurmctld slurmd slurm-client munge``. Limits of memory and time are not enforced.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
NODES = ("n1", "n2")
CONFIGURATION = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=300
JobRequeue=1
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=DEFAULT CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{node_ports}]
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """What of SLURM is not installed here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))


def _free_ports(count: int) -> list[int]:
    """Ports next to each other that nobody listens on."""
    for first in range(17000, 40000, 50):
        with _Listeners() as listeners:
            if all(listeners.listen(first + number) for number in range(count)):
                return [first + number for number in range(count)]
    raise AssertionError("no free ports")


class _Listeners:
    def __enter__(self) -> _Listeners:
        self._sockets: list[socket.socket] = []
        return self

    def listen(self, port: int) -> bool:
        self._sockets.append(socket.socket())
        try:
            self._sockets[-1].bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


class Cluster:
    """Two nodes and a controller, each of which can die and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join((str(folder / "bin"), _path())),
        }
        self._wrap_srun()
        controller_port, *node_ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        text = CONFIGURATION.format(
            folder=folder, host=host, controller_port=controller_port, node_ports=f"{node_ports[0]}-{node_ports[-1]}"
        )
        (folder / "slurm.conf").write_text(text)
        for number in range(2):  # to be asked for: nothing is behind them
            (folder / f"gpu{number}").touch()
        (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={folder}/gpu[0-1]\n")
        (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (folder / "munge.key").chmod(0o400)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir()

    def _wrap_srun(self) -> None:
        """The executor takes all of SLURM's variables from a job before it calls srun, which then looks in /etc."""
        found = shutil.which("srun", path=_path())
        script = self.folder / "bin" / "srun"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {found} "$@"\n')
        script.chmod(0o755)

    def start(self) -> None:
        """AssertionError with what SLURM says if the nodes are not ready in half a minute."""
        places = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        places |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        self.call("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in places.items()))
        self.start_controller("-c")
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes(len(NODES))

    def start_controller(self, *options: str) -> None:
        self.call("slurmctld", *options)

    def start_node(self, node: str) -> None:
        self.call("slurmd", "-N", node)

    def wait_for_nodes(self, count: int) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            states = self.call("sinfo", "-h", "-N", "-o", "%T", check=False).split()
            if sum(state in ("idle", "mixed", "allocated") for state in states) >= count:
                return
            time.sleep(0.25)
        raise AssertionError(self.call("sinfo", "-N", "-l", check=False))

    def call(self, *command: str, check: bool = True) -> str:
        """What a program of SLURM says."""
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def kill_controller(self) -> None:
        """As if its machine lost power."""
        _kill(psutil.Process(self._number("slurmctld")))

    def kill_node(self, node: str) -> int:
        """As if its machine lost power, with all that runs there; how many processes of jobs died."""
        jobs = [
            process
            for process in psutil.process_iter()
            if _environment_of(process).get("SLURMD_NODENAME") == node
            and _environment_of(process).get("SLURM_CONF") == self.environment["SLURM_CONF"]
        ]
        stepd = [
            process
            for process in psutil.process_iter(["cmdline"])
            if "slurmstepd" in " ".join(process.info["cmdline"] or ()) and self._is_of(process, node)
        ]
        _kill(psutil.Process(self._number(f"slurmd-{node}")), *stepd, *jobs)
        return len(jobs)

    def _is_of(self, process: psutil.Process, node: str) -> bool:
        """Whether a slurmstepd serves a job of this node: it keeps its socket in the node's spool folder."""
        try:
            opened = {each.laddr for each in process.net_connections("unix")}
        except psutil.Error:
            return False
        return any(str(name).startswith(str(self.folder / f"spool-{node}")) for name in opened)

    def _number(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def stop(self) -> None:
        """End what was started, and nothing else."""
        self.call("scancel", "--full", "--user", "root", check=False)
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
            try:
                process = psutil.Process(self._number(name))
                process.terminate()
                process.wait(20)
            except (psutil.Error, OSError, ValueError):
                continue


def _environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _kill(*processes: psutil.Process) -> None:
    """All at once: what goes on while others are waited for may come to its end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    end = time.monotonic() + 20
    while any(_runs(process) for process in processes):
        assert time.monotonic() < end, "processes outlive their kill"
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    """Whether it is there, and no mere entry that its parent has not read yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A running cluster, which ends with the context."""
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
