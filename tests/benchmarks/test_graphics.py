import os
import subprocess
import sys
from pathlib import Path

import pytest

from world_modality.benchmarks import graphics
from world_modality.errors import UserError


def test_the_users_opengl_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    assert graphics.choose_opengl() == "egl"
    assert os.environ["PYOPENGL_PLATFORM"] == "egl"


@pytest.mark.parametrize(
    ("gpu", "rocm", "libraries", "expected"),
    [
        (True, False, {"EGL", "OSMesa"}, "egl"),
        (False, False, {"EGL", "OSMesa"}, "osmesa"),
        (False, False, {"EGL"}, "egl"),
        (True, False, {"OSMesa"}, "osmesa"),
        (True, True, {"EGL", "OSMesa"}, "osmesa"),
        (True, True, {"EGL"}, "egl"),
    ],
)
def test_opengl_follows_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool, rocm: bool, libraries: set[str], expected: str
) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "LP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(graphics, "GPU_DEVICE_FILES", (str(tmp_path),) if gpu else ())
    monkeypatch.setattr(graphics, "ROCM_DEVICE_FILE", str(tmp_path if rocm else tmp_path / "none"))
    monkeypatch.setattr(graphics, "egl_opens", lambda: "EGL" in libraries)
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: name if name in libraries else None)
    assert graphics.choose_opengl() == expected
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == expected


def test_egl_opens_a_display_where_a_driver_is_and_does_not_without_one(tmp_path: Path) -> None:
    """In processes of their own: the library looks for drivers once."""
    probe = "from world_modality.benchmarks.graphics import egl_opens; print(egl_opens())"

    def opens(**environment: str) -> str:
        command = [sys.executable, "-c", probe]
        return subprocess.check_output(command, env=os.environ | environment, text=True).strip()

    assert opens() == "True"
    assert opens(__EGL_VENDOR_LIBRARY_DIRS=str(tmp_path)) == "False"


def test_no_opengl_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(UserError, match="libosmesa6"):
        graphics.choose_opengl()
