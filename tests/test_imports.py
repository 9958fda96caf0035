import ast
import gc
import weakref
from pathlib import Path

import pytest

from world_modality.imports import importing


class Node:
    pass


def test_the_collector_rests_meanwhile_and_works_again_afterwards():
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    one, two = Node(), Node()
    one.other, two.other = two, one
    gone = weakref.ref(one)
    del one, two
    gc.collect()
    assert gone() is None


def test_a_failed_import_leaves_it_as_it_was():
    with pytest.raises(ModuleNotFoundError), importing():
        import no_such_module_anywhere  # noqa: F401
    assert gc.isenabled()


def test_who_had_it_off_keeps_it_off():
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_there_is_not_looked_through_again():
    before = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    with importing():
        pass
    assert gc.get_freeze_count() >= before + len(kept)


PACKAGE = Path(__file__).parents[1] / "world_modality"
ORDER = (
    *("facts", "store", "trees", "study", "evidence", "benchmarks", "data", "checks", "encoders", "pretraining"),
    *("latents", "memory", "tokens", "discrete", "policies", "prophet", "training", "offline", "rollout", "report"),
    *("publishing", "cli"),
)
"""Each room may import those before it."""
AHEAD = {("checks", "policies"), ("data", "policies")}
"""Told in docs/architecture.md: a check reads a checkpoint's config.json, relabelling drives a policy."""


def imported_rooms(file):
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name and name.startswith("world_modality."))


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_those_before_it_alone(room):
    allowed = {*ORDER[: ORDER.index(room) + 1]} if room != "evidence" else {room}
    allowed |= {other for one, other in AHEAD if one == room}
    found = {other for file in (PACKAGE / room).rglob("*.py") for other in imported_rooms(file)}
    assert found & {*ORDER} <= allowed


def test_whoever_looks_ahead_still_does():
    assert all(
        other in {each for file in (PACKAGE / room).rglob("*.py") for each in imported_rooms(file)}
        for room, other in AHEAD
    )
