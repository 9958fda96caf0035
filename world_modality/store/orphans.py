"""A stage must not outlive the Snakemake that started it on this machine, nor a stage's helpers the stage.

Killed with ``kill -9``, Snakemake leaves its jobs running: they would go on taking the cores that the user wanted
back, and a restart would train and simulate at the same time. Stages resume where they were, so the safe thing is to
stop. Cluster jobs are different: there, surviving the head node's death is the point, so they are not watched.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import psutil

from world_modality.store.processes import place, started

PARENT_VARIABLE = "WORLD_MODALITY_SNAKEMAKE"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Identity(NamedTuple):
    """A process of this machine. Its number alone may by and by be another's."""

    pid: int
    started: str  # see ``processes.started``; not a time of day, which a clock that is set would move

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return started(self.pid) == self.started


def this_process() -> Identity:
    """The process that asks."""
    return Identity(os.getpid(), started(os.getpid()) or "")


def announce() -> None:
    """Called by the process that starts stages: leaves its identity in the environment for them."""
    me = this_process()
    os.environ[PARENT_VARIABLE] = "/".join((place(), os.environ.get("SLURM_JOB_ID", ""), str(me.pid), me.started))


def is_gone(identity: str) -> bool:
    """Whether the announced process is dead; False for anything that cannot be told from here."""
    try:
        _, _, pid, began = identity.split("/")
        return not Identity(int(pid), began).is_alive()
    except (ValueError, psutil.Error):
        return False


def is_local(identity: str, environment: Mapping[str, str]) -> bool:
    """Whether the announced process started us on its own machine, not through a cluster's queue."""
    return identity.split("/")[:2] == [place(), environment.get("SLURM_JOB_ID", "")]


def watch(every: float = 1.0, end: Callable[[], None] | None = None) -> None:
    """Start a thread that ends this process and its children once the announced process is gone."""
    identity = os.environ.get(PARENT_VARIABLE, "")
    if identity and is_local(identity, os.environ):
        threading.Thread(target=_watch, args=(identity, every, end or _end), daemon=True).start()


def _watch(identity: str, every: float, end: Callable[[], None]) -> None:
    while not is_gone(identity):
        time.sleep(every)
    end()


def _end() -> None:
    """Die as if by ``kill -9``: stages are built for it, and nothing can hang on the way out."""
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(137)


def end_with_parent(parent: int) -> None:
    """Called first of all by a helper process: it is killed as soon as the process ``parent``, which started it, ends.

    By the kernel on Linux, so that nothing is written after the parent's death; elsewhere within half a second.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before
        os._exit(137)


def end_with(other: Identity, every: float = 0.5) -> None:
    """Start a thread that ends this process once ``other`` is gone, be it this one's parent or not."""
    threading.Thread(target=_end_after, args=(other, every), daemon=True).start()


def _end_after(other: Identity, every: float) -> None:
    while other.is_alive():
        time.sleep(every)
    os._exit(1)


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(137)
