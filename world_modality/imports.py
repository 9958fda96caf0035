"""Imports that take seconds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import something large inside: without looking for garbage meanwhile, and never looking through it again.

    LeRobot brings 4,400 modules, whose objects make the collector run time and again and find nothing: with it, and
    the last look when the process ends, importing takes half as long again.
    """
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if wanted:
            gc.enable()
