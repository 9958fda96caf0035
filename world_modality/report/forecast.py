"""Does the Prophet foresee more than simple baselines do, and what do memories do to actions offline?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from world_modality.facts.targets import TARGETS
from world_modality.report.charts import Curve, Panel, curves
from world_modality.report.judgement import read_finite
from world_modality.report.results import Results
from world_modality.report.text import spans
from world_modality.report.trainings import METRICS, owners, read_log

TARGET = TARGETS["latents"]
BASELINES = TARGET.baselines
SERIES = {"prophet": 2, "prophet_best": 6, "persistence": 0, "mean_reversion": 1, "velocity": 3, "ridge": 5}
OFFLINE_FIGURES = ("flow_loss", "action_rmse")
TITLES = {figure.name: figure.words for figure in TARGET.figures[:2]}
MERIT = TARGET.figures[0]  # what sentences and the table speak of

Steps = Sequence[float | None]


@dataclass(frozen=True)
class Judgement:
    """What one training's ``prophet.json`` says."""

    arm: str
    seed: int
    held_out: bool
    episodes: int
    frames: int
    given_actions: bool  # the Prophet was told the demonstrated actions, which the baselines are not
    figures: Mapping[str, Mapping[str, Steps]]  # predictor -> figure -> value for k = 1..K
    by_episode: Mapping[str, Mapping[str, Sequence[Steps]]] = field(default_factory=dict)  # the same of each episode

    @property
    def skill(self) -> Steps:
        """The Prophet's."""
        return self.figures["prophet"][MERIT.name]

    @property
    def judged_on(self) -> str:
        """``3 held-out episodes, 412 frames``."""
        kind = "held-out" if self.held_out else "training"
        given = ", given the demonstrated actions" if self.given_actions else ""
        return f"{self.episodes} {kind} episode{'s' * (self.episodes != 1)}, {self.frames} frames{given}"


def read_judgements(results: Results, trainings: Sequence[Path]) -> list[Judgement]:
    """The judgements there are, in the conditions' order; a training without world memory, or an older one, has
    none."""
    folders = {path.parent.name: path for path in trainings}
    found = []
    for key, (condition, seed, _) in owners(results).items():
        found += read_judgement(condition, seed, folders[key]) if key in folders else []
    return found


def read_judgement(arm: str, seed: int, training: Path) -> list[Judgement]:
    """What one training's file says; nothing if there is none, or one of another form than this one reads."""
    file = training / "prophet.json"
    value = read_finite(file) if file.is_file() else {}
    figures = value.get("predictors", {})
    if not all(TITLES.keys() <= figures.get(name, {}).keys() for name in ("prophet", *BASELINES)):
        return []
    episodes, frames = len(value.get("episodes", ())), value.get("frames", 0)
    given = value.get("actions") == "demonstrated"
    single = value.get("by_episode", {}).get("predictors", {})
    return [Judgement(arm, seed, bool(value.get("held_out")), episodes, frames, given, figures, single)]


def prophet_table(judgements: Sequence[Judgement]) -> dict[str, Any] | None:
    """For table.json: sentences, and a row of skills per training and per baseline; None if nothing was judged."""
    if not judgements:
        return None
    first = judgements[0]
    return {
        "held_out": first.held_out,
        "judged_on": first.judged_on,
        "sentences": [_sentence(group) for group in by_arm(judgements)],
        "rows": [
            *({"name": f"{each.arm}, seed {each.seed}", "skill": list(each.skill)} for each in judgements),
            *({"name": _words(name), "skill": list(first.figures[name][MERIT.name])} for name in BASELINES),
        ],
    }


def by_arm(judgements: Sequence[Judgement]) -> Iterator[list[Judgement]]:
    """The judgements of each arm."""
    for arm in dict.fromkeys(each.arm for each in judgements):
        yield [each for each in judgements if each.arm == arm]


def _sentence(group: Sequence[Judgement]) -> str:
    """Whether an arm's Prophet beats the best baseline, and at which k; the mean of its seeds."""
    first = group[0]
    won: list[int] = []
    lost: list[int] = []
    rivals: list[str] = []
    for k in range(len(first.skill)):
        own = [each.skill[k] for each in group]
        others = {name: first.figures[name][MERIT.name][k] for name in BASELINES}
        if None in own or None in others.values():
            continue
        rival = max(others, key=lambda name: others[name] or 0.0)
        rivals.append(_words(rival))
        mean = sum(value or 0.0 for value in own) / len(own)
        (won if mean > (others[rival] or 0.0) else lost).append(k + 1)
    if won and lost:
        verdict = f"beats the best baseline at k = {spans(won)} and not at k = {spans(lost)}"
    else:
        verdict = "beats the best baseline at every k" if won else "does not beat the best baseline at any k"
    seeds = f"; mean of {len(group)} seeds" if len(group) > 1 else ""
    rival_names = " or ".join(dict.fromkeys(rivals)) or "none could be measured"
    return f"{first.arm}'s Prophet {verdict} ({rival_names}), by {MERIT.words} on {first.judged_on}{seeds}."


def prophet_panels(judgements: Sequence[Judgement]) -> list[Panel]:
    """Two figures per arm, the Prophet of each seed against the baselines over the frames ahead."""
    panels = []
    for group in by_arm(judgements):
        for figure, words in TITLES.items():
            if lines := list(_curves(group, figure)):
                title = f"{group[0].arm}: {words}, {group[0].judged_on}"
                panels.append(Panel(title, curves(lines, title, words, "frames ahead, k", "at k =")))
    return panels


def _curves(group: Iterable[Judgement], figure: str) -> Iterator[Curve]:
    for number, each in enumerate(group):
        # Baselines depend on the data alone, so those of one seed are those of all.
        for name in SERIES if number == 0 else ("prophet", "prophet_best"):
            values = each.figures.get(name, {}).get(figure, ())
            points = tuple((float(k + 1), value) for k, value in enumerate(values) if value is not None)
            if points:
                yield Curve(_words(name), each.seed, SERIES[name], points)


def _words(predictor: str) -> str:
    return predictor.replace("_", " ")


def offline_table(results: Results, trainings: Sequence[Path]) -> dict[str, Any] | None:
    """For table.json: one row per memory, one column per training that was judged; None if none was.

    A memory that a checkpoint cannot be given has None there. ``closed`` has a sentence for every training in which
    all memories are equal because nothing passes the gates.
    """
    folders = {path.parent.name: path for path in trainings}
    keys = {
        f"{condition}, seed {seed}": key
        for key, (condition, seed, _) in owners(results).items()
        if key in folders and (folders[key] / "offline.json").is_file()
    }
    judged = {name: read_finite(folders[key] / "offline.json") for name, key in keys.items()}
    if not judged:
        return None
    first = next(iter(judged.values()))
    memories = dict.fromkeys(name for each in judged.values() for name in each["memories"])
    closed = [name for name, key in keys.items() if _same_in_all(judged[name]) and _gates_closed(folders[key])]
    return {
        "held_out": first["held_out"],
        "frames": first["frames"],
        "trainings": list(judged),
        "rows": [
            {"memory": memory}
            | {
                figure: [each["memories"].get(memory, {}).get(figure) for each in judged.values()]
                for figure in OFFLINE_FIGURES
            }
            for memory in memories
        ],
        "closed": [f"{name}: its gates stayed at 0, so every memory gives the same actions." for name in closed],
    }


def _same_in_all(judged: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was given several memories and did the same with each."""
    figures = list(judged["memories"].values())
    return len(figures) > 1 and all(each == figures[0] for each in figures)


def _gates_closed(training: Path) -> bool:
    """Whether the last logged opening of a training's gates is 0."""
    logged = [row["world_gate"] for row in read_log(training / METRICS) if "world_gate" in row]
    return bool(logged) and logged[-1] == 0
