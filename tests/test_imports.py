import gc
import weakref

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
