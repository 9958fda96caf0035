import os
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
