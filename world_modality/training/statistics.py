"""Which statistics normalise states and actions: the start policy's, if it brings any that fit, else those of the
episodes that are trained on.

A policy has learnt in the units it was normalised to; other statistics would shift every input and output at the
first step of a fine-tuning. All arms start from one policy and one dataset, so the choice is the same in each.

One number of a state or action is an exception: where the start policy's data never moved, or next to nothing against
the data that are trained on, its statistics are no units, and dividing by them would make a loss of 1e12 and more. The
trained data's own statistics are taken there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Statistics = dict[str, dict[str, NDArray[np.float32]]]

NORMALISED = ("observation.state", "action")
FARTHEST = 1000.0  # deviations: nothing that moves as the start policy's data did comes close
NEGLIGIBLE = 1e-6  # in a feature's unit: rounding is no movement


def start_statistics(policy: Path) -> Statistics:
    """What a ``pretrained_model`` folder's normaliser holds for state and action: feature -> "mean", "std" ... -> [n].

    Empty if its processors hold none (a policy of random weights, or one saved before LeRobot had processors).
    """
    import safetensors.numpy

    description = policy / "policy_preprocessor.json"
    if not description.is_file():
        return {}
    found: Statistics = {}
    for step in json.loads(description.read_text())["steps"]:
        if step.get("registry_name") != "normalizer_processor" or "state_file" not in step:
            continue
        for name, value in safetensors.numpy.load_file(policy / step["state_file"]).items():
            feature, _, statistic = name.rpartition(".")
            if feature in NORMALISED:
                found.setdefault(feature, {})[statistic] = value
    return found


def keep_statistics(meta: Any, statistics: Statistics) -> bool:
    """Put ``statistics`` in place of those of LeRobot's dataset metadata, if they fit; True if they do.

    They fit when state and action are both there with the dataset's sizes; the numbers ``without_unit`` keep the
    dataset's. LeRobot gives the metadata's
    statistics to both processors of a fine-tuned policy.
    """
    if any(_size(statistics.get(name, {})) != meta.features[name]["shape"][0] for name in NORMALISED):
        return False
    for name in NORMALISED:
        own, start = meta.stats[name], statistics[name]
        foreign = without_unit(start, own)
        meta.stats[name] = {
            **own,
            **{kind: _mixed(values, own.get(kind), foreign) for kind, values in start.items()},
        }
    return True


def without_unit(start: Mapping[str, Any], own: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which numbers, bool [n], the statistics ``start`` of a feature cannot normalise in data with the statistics
    ``own``: these lie more than ``FARTHEST`` of its deviations from its mean.
    """
    mean, deviation = (np.asarray(start[kind], np.float64) for kind in ("mean", "std"))
    if not {"min", "max"} <= own.keys():
        return np.zeros(len(mean), np.bool_)
    reach = np.maximum(*(np.abs(np.asarray(own[kind], np.float64) - mean) for kind in ("min", "max")))
    return np.asarray(reach > FARTHEST * deviation + NEGLIGIBLE)


def _mixed(start: Any, own: Any, foreign: NDArray[np.bool_]) -> Any:
    """``start`` with the numbers of ``own`` in the places ``foreign``; as it is if it is not one number per place."""
    if own is None or not foreign.any() or np.shape(start) != foreign.shape or np.shape(own) != foreign.shape:
        return start
    return np.where(foreign, own, start).astype(np.asarray(start).dtype)


def measure_trained(dataset: Any) -> None:
    """Give a ``LeRobotDataset`` of some episodes those episodes' statistics of state and action.

    LeRobot's metadata holds the whole dataset's. Pictures keep those, since SmolVLA does not normalise pictures.
    """
    from lerobot.datasets.compute_stats import get_feature_stats

    if dataset.episodes is None:
        return
    table = dataset.hf_dataset.data
    for name in NORMALISED:
        if name in dataset.meta.features:
            rows = np.asarray(table.column(name).to_pylist(), np.float32)
            dataset.meta.stats[name] = {**dataset.meta.stats[name], **get_feature_stats(rows, axis=0, keepdims=False)}


def _size(statistics: dict[str, NDArray[np.float32]]) -> int:
    return len(statistics["mean"]) if {"mean", "std"} <= statistics.keys() else 0
