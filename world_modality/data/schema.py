"""The columns of a LeRobotDataset of a suite: its cameras, its state, its action. One row is one control step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from world_modality.facts.benchmarks import Suite

STATE = "observation.state"
ACTION = "action"
PICTURE_NAMES = ("height", "width", "channel")
CHANNELS = (1, 3, 4)


def camera_column(camera: str) -> str:
    """A camera's column in the dataset: its own, if it has the name of one.

    >>> camera_column("image2")
    'observation.images.image2'
    >>> camera_column("observation.image")
    'observation.image'
    """
    return camera if camera.startswith("observation.") else f"observation.images.{camera}"


def picture_sizes(features: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Height and width of every camera, by its column, from the ``features`` in a dataset's ``meta/info.json``.

    ValueError if a picture's shape is none.
    """
    return {
        name: _height_and_width(feature) for name, feature in features.items() if feature["dtype"] in ("image", "video")
    }


def _height_and_width(feature: Mapping[str, Any]) -> tuple[int, int]:
    """From the shape: the channels are first or last, and there are one, three or four of them, whatever their name."""
    first, second, third = map(int, feature["shape"])
    last = third in CHANNELS
    if last and first in CHANNELS:  # a picture of so few pixels that its names must tell
        last = "channel" in str((feature.get("names") or ["", "", "channel"])[-1])
    elif not last and first not in CHANNELS:
        raise ValueError(f"{first}x{second}x{third} is the shape of no picture")
    return (first, second) if last else (second, third)


def plain_pictures(features: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The ``features`` with every picture described so that LeRobot, which goes by the last name, reads its shape."""
    return {
        name: _plain(feature) if feature["dtype"] in ("image", "video") else feature
        for name, feature in features.items()
    }


def _plain(picture: Mapping[str, Any]) -> Mapping[str, Any]:
    height, width = _height_and_width(picture)
    channels = math.prod(picture["shape"]) // (height * width)
    names, shape = picture.get("names"), list(picture["shape"])
    if isinstance(names, list) and len(names) == 3:
        read = [shape[2], *shape[:2]] if names[2] in ("channel", "channels") else shape
        if read == [channels, height, width]:
            return picture
    return {**picture, "shape": [height, width, channels], "names": list(PICTURE_NAMES)}


def dataset_features(suite: Suite, image_size: int, fps: int) -> dict[str, dict[str, Any]]:
    """The features of a dataset of the suite (LeRobot adds its index columns), with pictures stored as PNG."""
    picture = {"dtype": "image", "shape": (image_size, image_size, 3), "names": list(PICTURE_NAMES)}
    columns = {
        **{camera_column(camera): picture for camera in suite.cameras},
        STATE: _numbers(suite, STATE, suite.state),
        ACTION: _numbers(suite, ACTION, suite.action.names),
    }
    return {name: {**feature, "fps": float(fps)} for name, feature in columns.items()}


def _numbers(suite: Suite, feature: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": (len(names),), "names": list(suite.labels.get(feature, names))}
