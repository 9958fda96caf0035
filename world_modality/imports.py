"""Imports that take seconds, and names of other packages that stand for something else for a while."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Meanwhile ``owner.name`` is ``value``; AttributeError if there is no such name to replace."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
