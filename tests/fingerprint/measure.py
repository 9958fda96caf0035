"""From folders of results to the fingerprint: a text for every name. A name's first part is its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import adapter
from .digests import (
    WEIGHT_VALUES,
    WEIGHTS,
    array_digest,
    digest,
    exact,
    is_text,
    leaves,
    table_digests,
    tensors_digest,
)


def fingerprint(made: adapter.Made) -> dict[str, str]:
    """The text of every name.

    ``dataset/<column>``, ``latents/<camera>/...``, ``weights/<mode>/<fusion>``, ``weight_values/...``,
    ``normalisation/...``, ``metrics/<mode>/<fusion>/<figure>`` (its values at all steps), ``offline/...``,
    ``prophet/...``, ``trajectory/<mode>/<fusion>/<mode rolled out>/<episode>/...``, ``verdict/<field of the summary>``,
    ``wording/<field of the summary>`` where it is words, and ``table/<field of the table>``, its numbers alone.
    """
    found = dict(_dataset(made.dataset))
    for camera, folder in made.latents.items():
        found |= _latents(f"latents/{camera}", folder)
    for name, folder in made.trainings.items():
        found |= _training(name, folder)
    for name, folder in made.rollouts.items():
        for number, episode in enumerate(adapter.trajectories_of(folder)):
            found |= {f"trajectory/{name}/{number}/{field}": exact(value) for field, value in episode.items()}
    return found | dict(_verdict(made.report))


def _dataset(folder: Path) -> Iterator[tuple[str, str]]:
    for column, value in table_digests(sorted((folder / "data").rglob("*.parquet"))).items():
        yield f"dataset/{column}", value
    statistics = json.loads((folder / "meta" / "stats.json").read_text())
    for feature, values in statistics.items():
        yield f"dataset/statistics/{feature}", digest(f"{name} {exact(leaf)}".encode() for name, leaf in leaves(values))


def _latents(name: str, folder: Path) -> dict[str, str]:
    rows, statistics = adapter.arrays_of(folder)
    latents = np.load(rows)
    found = {f"{name}/frames": array_digest(latents), f"{name}/shape": exact(list(latents.shape))}
    with np.load(statistics) as arrays:
        return found | {f"{name}/{each}": array_digest(arrays[each]) for each in sorted(arrays.files)}


def _training(name: str, folder: Path) -> dict[str, str]:
    weights, normalisation = adapter.tensor_files(folder)
    told, numbers = tensors_digest(weights)
    found = {
        f"{WEIGHTS}/{name}": told,
        f"{WEIGHT_VALUES}/{name}": numbers,
        f"normalisation/{name}": digest(tensors_digest(path)[0].encode() for path in normalisation),
    }
    found |= {f"metrics/{name}/{figure}": exact(values) for figure, values in adapter.metrics_of(folder).items()}
    for kind, judgement in adapter.judgements_of(folder).items():
        found |= {f"{kind}/{name}/{field}": exact(leaf) for field, leaf in leaves(judgement)}
    return found


def _verdict(report: Path) -> Iterator[tuple[str, str]]:
    for field, leaf in leaves(adapter.summary_of(report)):
        yield f"{'wording' if is_text(leaf) else 'verdict'}/{field}", exact(leaf)
    for field, leaf in leaves(adapter.table_of(report)):
        if not is_text(leaf):
            yield f"table/{field}", exact(leaf)
