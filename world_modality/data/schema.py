"""The columns of a LeRobotDataset of a suite: its cameras, its state, its action. One row is one control step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_modality.facts.benchmarks import Suite

STATE = "observation.state"
ACTION = "action"


def camera_column(camera: str) -> str:
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


def dataset_features(suite: Suite, image_size: int, fps: int) -> dict[str, dict[str, Any]]:
    """The features of a dataset of the suite (LeRobot adds its index columns), with pictures stored as PNG."""
    picture = {"dtype": "image", "shape": (image_size, image_size, 3), "names": ["height", "width", "channel"]}
    columns = {
        **{camera_column(camera): picture for camera in suite.cameras},
        STATE: _numbers(suite, STATE, suite.state),
        ACTION: _numbers(suite, ACTION, suite.action.names),
    }
    return {name: {**feature, "fps": float(fps)} for name, feature in columns.items()}


def _numbers(suite: Suite, feature: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": (len(names),), "names": list(suite.labels.get(feature, names))}
