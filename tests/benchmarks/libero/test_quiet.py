import gc

import pytest

from world_modality.benchmarks.libero.quiet import import_libero, package_folder, silenced
from world_modality.errors import UserError


def test_noise_is_told_when_it_belongs_to_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with silenced():
        print("chatter")
    assert capsys.readouterr().err == ""

    def fail() -> None:
        with silenced():
            print("the reason")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert "the reason" in capsys.readouterr().err


def test_a_missing_package_is_one_sentence() -> None:
    with pytest.raises(UserError, match="no_such_simulator"):
        package_folder("no_such_simulator")


def test_what_was_imported_is_no_garbage_to_look_through_at_every_reset() -> None:
    import_libero()
    assert gc.get_freeze_count() > 100_000
