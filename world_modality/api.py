"""From Python: evaluate any policy, and read any records as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from world_modality.facts.benchmarks import SUITES
from world_modality.report.record_sets import read_set
from world_modality.report.results import Trial
from world_modality.rollout.records import CONTENT, Record


def records(*places: Path | str) -> pd.DataFrame:
    """A row per episode of every place, such as ``results/by-name/demo/rollouts/E2``, an evaluation or a file.

    Columns: ``condition`` (the place's name), ``seed`` (of the training) and the fields of a record; ``versions`` holds
    a mapping of packages.

    Raises:
        UserError: a place holds no records, or an episode twice.
    """
    sets = [read_set(Path(place)) for place in places]
    return pd.concat([_frame(each.name, each.records.items()) for each in sets], ignore_index=True)


def evaluate(
    policy: str | Path,
    suite: str,
    *,
    episodes: int,
    output: str | Path,
    tasks: str | None = None,
    memory: str | None = None,
    init_states: str | None = None,
    assets: str | None = None,
    cores: int = 1,
) -> pd.DataFrame:
    """Roll out what ``output`` lacks, as ``wm rollout`` does, and return all its records as :func:`records` does.

    Args:
        policy: folder, hub id or hub id@revision of any LeRobot policy.
        suite: a benchmark suite, or several separated by commas.
        episodes: per task.
        output: folder of the evaluation; a second call goes on where the first one ended.
        tasks: numbers such as ``0-2,7``; all by default.
        memory: what a world memory holds; as trained by default.
        init_states: that episodes start from, in turn; all by default.
        assets: where object models come from: package, hub, or a folder; the first that a suite knows by default.
        cores: simulator processes.

    Raises:
        UserError: as ``wm rollout``.
    """
    from world_modality.cli.rollout import Wanted, evaluate_policy, parse_suites
    from world_modality.rollout.evaluation import How

    how = How(
        policy=str(policy),
        memory=memory,
        encoder=None,
        n_action_steps=None,
        num_steps=None,
        horizon=None,
        batch=4,
        assets=assets,
        render=SUITES[parse_suites(suite)[0]].renders[0],
        settle_steps=None,
    )
    wanted = Wanted(suite, tasks, episodes, init_states, videos="", against=None)
    found = evaluate_policy(how, wanted, Path(output), cores)
    return _frame(Path(output).name, ((_trial(record), record) for record in found))


def _trial(record: Record) -> Trial:
    return Trial.of(record, 0)


def _frame(name: str, rows: Iterable[tuple[Trial, Record]]) -> pd.DataFrame:
    values = [{"condition": name, "seed": trial.seed} | asdict(record) for trial, record in rows]
    return pd.DataFrame(values, columns=["condition", "seed", *CONTENT])
