"""An offline evaluation as it is kept: ``offline.json``, and ``episodes.parquet`` with the sums of every episode.

``episodes.parquet`` has a row per way to run the model, figure, place of the figure and episode: ``run`` ("clean" or a
corruption), ``figure``, ``step`` (of the chunk, or ahead; from 1 on), ``dimension`` (of the action, from 0 on; -1 where
there is none), ``episode``, ``task``, ``above``, ``below``. A figure is the sum of ``above`` over that of ``below``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from world_modality.errors import UserError, in_one_line
from world_modality.evidence.ratios import ratio_of
from world_modality.evidence.resampling import keyed_generator
from world_modality.facts.offline import known_as

RESULT = "offline.json"
EPISODES = "episodes.parquet"
FORM = 1
"""Version of both files' form; larger once a field changes its meaning."""
CLEAN = "clean"

Floats = NDArray[np.float64]
Limits = tuple[float, float]
ANY: Limits = (-inf, inf)
LIMITS: dict[str, Limits] = {
    **dict.fromkeys(("action", "action_own"), (0.0, inf)),
    **dict.fromkeys(("top1", "top5", "copied", "bigram"), (0.0, 1.0)),
    "skill": (-inf, 1.0),
    "change_cosine": (-1.0, 1.0),
}
"""What a figure can be, whatever an interval says."""
Sums = Mapping[str, tuple[Floats, Floats]]
"""By figure, what is summed and of how much, of every episode: [E, steps] or [E, steps, dimensions] each."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Part):
    """A figure with its interval over episodes; None where there is nothing to measure, or too little."""

    value: float | None
    low: float | None = None
    high: float | None = None


def estimate(above: Floats, below: Floats, confidence: float, limits: Limits = ANY, digits: int = 8) -> Estimate:
    """The ratio of the sums of [E, ...] each, with its interval over the E episodes within ``limits``.

    To so many significant digits: what follows is rounding noise.
    """

    def rounded(value: float) -> float:
        return float(f"{value:.{digits}g}") + 0.0

    above, below = (each.reshape(len(each), -1).sum(axis=1) for each in (above, below))
    if not below.sum() > 0:
        return Estimate(value=None)
    if np.count_nonzero(below > 0) < 2:
        return Estimate(value=rounded(float(above.sum() / below.sum())))
    found = ratio_of(above, below, keyed_generator("offline")).interval(confidence)
    low, high = max(found.low, limits[0]), min(found.high, limits[1])
    return Estimate(value=rounded(found.estimate), low=rounded(low), high=rounded(high))


class ActionErrors(_Part):
    """Mean squared errors of chunks, over the actions inside their episode. H steps of the chunk, A dimensions."""

    all: Estimate  # in normalised units, as all but the ``own`` ones
    steps: tuple[Estimate, ...]  # [H]
    dimensions: tuple[Estimate, ...]  # [A]
    table: tuple[tuple[float | None, ...], ...]  # [H][A]
    own_dimensions: tuple[Estimate, ...]  # [A], in the action's own units, squared
    own_table: tuple[tuple[float | None, ...], ...]  # [H][A]


class TokenForecast(_Part):
    """How often the world token k frames later is foreseen, for k = 1..K; ``all`` over all k."""

    top1: tuple[Estimate, ...]
    top5: tuple[Estimate, ...]
    copied: tuple[Estimate, ...]  # the present one expected again
    bigram: tuple[Estimate, ...]  # what followed it most often
    all: dict[str, Estimate]  # the same four, over all k
    fitted_on: int  # episodes that the bigram was fitted on
    fitted_apart: bool  # whether none of these are judged


class LatentForecast(_Part):
    """How well the latents k frames later are foreseen, for k = 1..K; persistence has 0 of both."""

    skill: tuple[Estimate, ...]  # 1 - MSE / MSE of persistence
    change_cosine: tuple[Estimate, ...]
    all: dict[str, Estimate]


class Intervention(_Part):
    """One corruption, on the same frames."""

    name: str  # a row of CORRUPTIONS
    error: Estimate  # the action error with it
    change: Estimate  # less the error without it
    relative: Estimate  # the same, as a share of the error without it
    top1: Estimate | None  # how often the next tokens are foreseen with it, over all k
    top1_change: Estimate | None


class LeftOut(_Part):
    """A corruption that means nothing to the checkpoint."""

    name: str
    why: str


class OfflineResult(_Part):
    """``offline.json``."""

    form: int
    model: str  # a row of MODELS
    memory: str  # the mode that its actions read; "disabled" if they read none
    training: str  # key of the stage that trained the checkpoint; "" of one that was given
    training_seed: int  # which the checkpoint says that it was trained with
    dataset_fingerprint: str
    held_out: bool  # whether the checkpoint says that the judged episodes were not trained on
    episodes: tuple[int, ...]
    tasks: int  # among them
    frames: int  # that the model was run on,
    frames_there: int  # of so many
    chunk_size: int
    prediction_horizon: int
    dimensions: tuple[str, ...]
    seed: int
    confidence: float
    actions: ActionErrors
    tokens: TokenForecast | None
    latents: LatentForecast | None
    interventions: tuple[Intervention, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def name(self) -> str:
        """What the research calls the model."""
        return known_as(self.model, self.memory)


def read_result(folder: Path) -> OfflineResult:
    """The ``offline.json`` of a folder; UserError if it is missing, damaged or of another form."""
    file = folder / RESULT
    try:
        found = OfflineResult.model_validate(json.loads(file.read_text()))
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(f"{file} is no offline evaluation ({in_one_line(error)}): run it again") from error
    if found.form != FORM:
        raise UserError(f"{file} is of form {found.form}, where {FORM} is read: run the evaluation again")
    return found


def write_episodes(file: Path, runs: Mapping[str, Sums], episodes: Sequence[int], tasks: Sequence[str]) -> None:
    """Write the sums of every run; ``episodes`` [E] and their ``tasks`` [E] are those that the sums are of."""
    parts = [_rows(run, figure, *pair, episodes, tasks) for run, sums in runs.items() for figure, pair in sums.items()]
    pq.write_table(pa.concat_tables(parts), file, compression="zstd")


def _rows(
    run: str, figure: str, above: Floats, below: Floats, episodes: Sequence[int], tasks: Sequence[str]
) -> pa.Table:
    """``above`` and ``below`` are [E, steps] or [E, steps, dimensions]."""
    places = np.indices(above.shape).reshape(above.ndim, -1)
    count = places.shape[1]
    dimension = places[2] if above.ndim > 2 else np.full(count, -1)
    return pa.table(
        {
            "run": pa.array([run] * count).dictionary_encode(),
            "figure": pa.array([figure] * count).dictionary_encode(),
            "step": pa.array(places[1] + 1, pa.int32()),
            "dimension": pa.array(dimension, pa.int32()),
            "episode": pa.array(np.asarray(episodes, np.int64)[places[0]]),
            "task": pa.array(np.asarray(tasks, object)[places[0]].tolist()).dictionary_encode(),
            "above": above.reshape(-1),
            "below": below.reshape(-1),
        }
    )


@dataclass(frozen=True)
class EpisodeFigures:
    """The two sums of one run's figure, by episode and step, over dimensions: [E, steps] each."""

    episodes: tuple[int, ...]
    above: Floats
    below: Floats


def read_episodes(folder: Path) -> dict[tuple[str, str], EpisodeFigures]:
    """The sums of every run and figure; UserError if the file is missing, damaged or of another form."""
    file = folder / EPISODES
    try:
        table = pq.read_table(file, columns=["run", "figure", "step", "episode", "above", "below"]).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{file} cannot be read ({in_one_line(error)}): run the evaluation again") from error
    return {
        (str(run), str(figure)): _figures(rows)
        for (run, figure), rows in table.groupby(["run", "figure"], observed=True)
    }


def _figures(rows: Any) -> EpisodeFigures:
    """Of one run's figure, of a data frame."""
    summed = rows.groupby(["episode", "step"])[["above", "below"]].sum().unstack("step")
    return EpisodeFigures(
        tuple(int(each) for each in summed.index),
        summed["above"].to_numpy(np.float64),
        summed["below"].to_numpy(np.float64),
    )
