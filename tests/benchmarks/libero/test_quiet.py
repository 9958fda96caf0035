import gc
import os
from pathlib import Path

import pytest

from world_modality.benchmarks.libero import graphics
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


def test_the_users_opengl_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    assert graphics.choose_opengl() == "egl"
    assert os.environ["PYOPENGL_PLATFORM"] == "egl"


@pytest.mark.parametrize(
    ("gpu", "libraries", "expected"),
    [
        (True, {"EGL", "OSMesa"}, "egl"),
        (False, {"EGL", "OSMesa"}, "osmesa"),
        (False, {"EGL"}, "egl"),
        (True, {"OSMesa"}, "osmesa"),
    ],
)
def test_opengl_follows_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool, libraries: set[str], expected: str
) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "LP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(graphics, "GPU_DEVICE_FILES", (str(tmp_path),) if gpu else ())
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: name if name in libraries else None)
    assert graphics.choose_opengl() == expected
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == expected


def test_no_opengl_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(UserError, match="libosmesa6"):
        graphics.choose_opengl()


def test_what_was_imported_is_no_garbage_to_look_through_at_every_reset() -> None:
    import_libero()
    assert gc.get_freeze_count() > 100_000
