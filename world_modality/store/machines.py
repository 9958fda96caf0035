"""What machines a stage was worked on by, whoever began it, went on with it or lent a hand.

Of each kind of machine one small file beside the result, which goes along where the unfinished stage is copied to. When
the stage is sealed they become a part of its ``store.done.Run``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from world_modality.store.arithmetic import rounding
from world_modality.store.files import read_object, write_atomically
from world_modality.store.machine import machine

Machine = Mapping[str, Any]
"""As ``store.machine.machine`` tells it."""
PER_PROCESS = "blas"
"""What is told of a machine and depends on what a process has loaded by then, and decides no rounding by itself."""


class Witness:
    """Leaves word of this process's machine in a folder.

    What a machine rounds by is known once the libraries that compute are loaded, and most of a process's time they are.
    So it is called whenever the stage tells of progress, looks anew if one has been loaded since, and then costs
    milliseconds.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        """``tell`` is called once if another machine that rounds otherwise worked on the stage."""
        self._folder, self._tell = folder, tell
        self._seen: tuple[bool, ...] | None = None
        self._told = False

    def __call__(self) -> None:
        """Look at this machine if there is something new to see. A disk that is full stops no stage."""
        now = _loaded()
        if now == self._seen:
            return
        self._seen = now
        mine = here(now)
        with suppress(OSError):
            if not self._told and (odd := apart([mine, *read_machines(self._folder)])):
                self._told = True
                self._tell(odd)
            note(self._folder, mine)


def note(folder: Path, found: Machine) -> None:
    """Keep what is told of a machine in ``folder``, once however many of its kind there are."""
    data = json.dumps(found, sort_keys=True).encode()
    file = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, data)


def read_machines(folder: Path) -> tuple[Machine, ...]:
    """All that was noted there; what is not legible is left out."""
    return tuple(found for path in sorted(folder.glob("*.json")) if (found := read_object(path)))


def others(folder: Path, own: Machine) -> tuple[dict[str, Any], ...]:
    """Of those noted there the ones of which ``own`` does not say all that decides their rounding already."""
    mine = rounding(own).items()
    return tuple(dict(found) for found in read_machines(folder) if not rounding(found).items() <= mine)


def apart(machines: Iterable[Machine]) -> str:
    """The first thing by which machines round otherwise than each other; "" if they round alike."""
    found: dict[str, str] = {}
    for each in machines:
        for name, value in rounding(each).items():
            if found.setdefault(name, value) != value:
                return name
    return ""


@cache
def here(_loaded: tuple[bool, ...]) -> Machine:
    """What decides how this process rounds, as far as it is known with these libraries loaded."""
    found = machine()
    told = {name: value for name, value in found["capability"].items() if name != PER_PROCESS}
    return {"processor": found["processor"], "capability": told}


def _loaded() -> tuple[bool, ...]:
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return "numpy" in sys.modules, torch is not None, cuda is not None and cuda.is_initialized()
