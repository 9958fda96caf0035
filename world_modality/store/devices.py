"""GPUs of this machine, handed out to jobs that run beside each other, without importing torch.

Snakemake counts how many GPUs jobs take, and does not say which. So a job takes hold of free ones, by a kernel lock
that falls when its process ends, and from then on sees those alone: its first is ``cuda:0``, whichever it is of the
machine.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from world_modality.store.lock import exclusive, take

CUDA, HIP, ROCM = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"
"""Lists of GPUs that a process may see: CUDA's, and two of ROCm's."""
RENDERING_VARIABLE = "MUJOCO_EGL_DEVICE_ID"
TOLD_VARIABLE = "WORLD_MODALITY_GPUS"
"""How many GPUs there are by a run's profile or command line, believed where neither drivers nor a list tell of any."""
POLL_SECONDS = 1.0
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
AMD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")


@dataclass(frozen=True)
class Visible:
    """What a process may see."""

    gpus: tuple[str, ...]
    """As the driver takes them: numbers of this machine, or what the list in the environment names."""
    variable: str
    """By which a process is told of them."""


def visible_gpus() -> Visible:
    """The GPUs that this process may see.

    A list in the environment is believed; without one the drivers tell. A container need not see those: then it has as
    many as its user said, numbered from 0.
    """
    for variable in (CUDA, HIP, ROCM):
        listed = os.environ.get(variable)
        if listed is not None:
            names = (name.strip() for name in listed.split(","))
            return Visible(tuple(name for name in names if name and name not in ("-1", "NoDevFiles")), variable)
    nvidia = sum(1 for _ in NVIDIA_GPUS.glob("*/information"))
    amd = 0 if nvidia else _amd_gpus()
    told = os.environ.get(TOLD_VARIABLE, "")
    count = nvidia or amd or (int(told) if told.isdecimal() else 0)
    return Visible(tuple(map(str, range(count))), HIP if amd else CUDA)  # ROCm's libraries read CUDA's list, too


def _amd_gpus() -> int:
    """Nodes of ROCm's topology that compute and are not processors."""
    nodes = (file.read_text() for file in AMD_NODES.glob("*/properties"))
    units = (re.search(r"^simd_count (\d+)$", text, re.MULTILINE) for text in nodes)
    return sum(found is not None and int(found[1]) > 0 for found in units)


@contextmanager
def holding(
    count: int, on_wait: Callable[[], None], folder: Path | None = None, least: int | None = None
) -> Iterator[tuple[str, ...]]:
    """See ``count`` GPUs that nobody else of this user's jobs holds, and no other, while the context lasts.

    Call it before CUDA is used: it changes the environment, which CUDA reads once. With fewer on the machine all of
    them are held; on one without, nothing changes. ``on_wait`` is called once if others hold too many now.

    Args:
        count: 0 hides all GPUs.
        on_wait: tells somebody.
        folder: where the locks are, on this machine alone; below the temporary folder by default.
        least: so many will do, if no more are free now. Who waits for all waits long where others come and go.
    """
    there = visible_gpus()
    if not there.gpus:
        yield ()
        return
    count = min(count, len(there.gpus))
    folder = folder or Path(tempfile.gettempdir()) / f"world-modality-gpus-{os.getuid()}"
    with ExitStack() as stack:
        least = count if least is None else min(least, count)
        held = _hold(there.gpus, range(least, count + 1), folder, on_wait, stack) if count else ()
        seen = {there.variable: ",".join(held)} if held else dict.fromkeys((CUDA, HIP), "-1")
        if held and held[0].isdecimal() and RENDERING_VARIABLE not in os.environ:
            seen[RENDERING_VARIABLE] = held[0]
        stack.enter_context(_environment(seen))
        yield held


@contextmanager
def drawing_on_the_first_given() -> Iterator[None]:
    """Draw pictures on the first GPU of CUDA's list in the environment, while the context lasts, if that is a number.

    A queue may tell a job of its GPUs by that list alone: EGL, which does not read it, then sees every GPU of the node.
    """
    first = os.environ.get(CUDA, "").partition(",")[0].strip()
    given = first.isdecimal() and RENDERING_VARIABLE not in os.environ
    with _environment({RENDERING_VARIABLE: first} if given else {}):
        yield


def _hold(
    gpus: tuple[str, ...], counts: range, folder: Path, on_wait: Callable[[], None], stack: ExitStack
) -> tuple[str, ...]:
    """As many as are free, once that is one of ``counts``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = False
    while True:
        with exclusive(folder / "choice.lock", lambda: None), ExitStack() as attempt:
            held: list[str] = []
            for gpu in gpus:
                if len(held) < counts[-1] and _lock(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', gpu)}.lock", attempt):
                    held.append(gpu)
            if len(held) in counts:
                stack.enter_context(attempt.pop_all())
                return tuple(held)
        if not told:
            on_wait()
            told = True
        time.sleep(POLL_SECONDS)


def _lock(path: Path, stack: ExitStack) -> bool:
    """Whether the lock is held from now on, until ``stack`` is closed."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        take(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
    except BlockingIOError:
        os.close(handle)
        return False
    stack.callback(os.close, handle)
    return True


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
