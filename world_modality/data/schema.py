"""The columns of the public LIBERO dataset, HuggingFaceVLA/libero, which every dataset made here shares.

One row is one control step. Cameras: ``image`` (agentview) and ``image2`` (wrist), 256x256 RGB turned by 180 degrees.
State: end effector position (m) and axis-angle (rad), two finger positions (m). Action: relative end effector
translation and rotation in [-1, 1], gripper -1 open to 1 closed. The set states 10 frames per second, which is
nominal: the simulator's control runs at 20 Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_modality.study.specs import Camera

CAMERAS: tuple[Camera, ...] = ("image", "image2")
STATE = "observation.state"
ACTION = "action"
STATE_SIZE = 8
ACTION_SIZE = 7
ROBOT_TYPE = "panda"


def camera_column(camera: Camera) -> str:
    """A camera's column in the dataset.

    >>> camera_column("image2")
    'observation.images.image2'
    """
    return f"observation.images.{camera}"


def picture_sizes(features: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Height and width of every camera, by its column, from the ``features`` in a dataset's ``meta/info.json``.

    Pictures are described with the channels last or, in some data sets, first. KeyError or ValueError if not so.
    """
    sizes = {}
    for name, feature in features.items():
        if feature["dtype"] in ("image", "video"):
            first, second, third = map(int, feature["shape"])
            channels_last = feature["names"][2] in ("channel", "channels")
            sizes[name] = (first, second) if channels_last else (second, third)
    return sizes


def libero_features(image_size: int, fps: int) -> dict[str, dict[str, Any]]:
    """The dataset's own features (LeRobot adds its index columns), with pictures stored as PNG."""
    picture = {"dtype": "image", "shape": (image_size, image_size, 3), "names": ["height", "width", "channel"]}
    columns = {
        **{camera_column(camera): picture for camera in CAMERAS},
        STATE: {"dtype": "float32", "shape": (STATE_SIZE,), "names": ["state"]},
        ACTION: {"dtype": "float32", "shape": (ACTION_SIZE,), "names": ["actions"]},
    }
    return {name: {**feature, "fps": float(fps)} for name, feature in columns.items()}
