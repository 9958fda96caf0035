"""What a study's data are, what its simulator shows, and what the checks of both find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.benchmarks.scenes import Questions, see_apart
from world_modality.checks.demonstrations import demonstration_findings
from world_modality.checks.episodes import repetition_findings, shared_findings
from world_modality.checks.features import feature_findings
from world_modality.checks.files import as_error, file_findings
from world_modality.checks.finding import Finding
from world_modality.checks.footage import footage_findings
from world_modality.checks.normalisation import default_modes, normalisation_findings, taken_pictures
from world_modality.checks.numbers import Motion, number_findings, statistics_findings, unit_findings
from world_modality.checks.pictures import Seen, Start, scene_findings, size_findings
from world_modality.checks.replay import EPISODES as REPLAYED
from world_modality.checks.replay import STEPS, Replayed, replay_findings
from world_modality.checks.texts import text_findings, twin_findings
from world_modality.checks.timing import rate_findings
from world_modality.cli.assets import fetch_assets
from world_modality.cli.sources import asked_of, policy_folder
from world_modality.data.consistency import column_faults, frame_faults, video_faults
from world_modality.data.dataset import PROVENANCE
from world_modality.data.description import Description, read_description
from world_modality.data.frames import FrameReader
from world_modality.data.renaming import renamed
from world_modality.data.schema import ACTION, STATE
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.policies.config_file import read_config_file
from world_modality.store.hub import fetch
from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder
from world_modality.study.arm_checks import policy_at
from world_modality.study.graph import Graph
from world_modality.study.parts import FolderData, HubData, NewPolicy, ScratchPolicy, ScriptedData
from world_modality.study.sources import UNRESOLVED, Sources
from world_modality.study.specs import RolloutSpec, SimSpec
from world_modality.study.study import Study
from world_modality.training.statistics import start_statistics

SCENES = 3  # tasks whose scenes are drawn: each takes a second or two
STARTS = 4  # recorded episodes of each that are compared with it


@dataclass
class Checking:
    """The checks of one study, as far as they have come."""

    study: Study
    sources: Sources
    graph: Graph
    root: Path
    findings: list[Finding] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)
    checks: int = 0

    def judge(self, part: str, judge: Callable[[], Iterable[Finding]]) -> bool:
        """Make a check; whether it found no error."""
        self.checks += 1
        try:
            found = list(judge())
        except UserError as error:
            found = [Finding("error", part, part, str(error))]
        self.findings += found
        return not any(finding.level == "error" for finding in found)


def data_folder(check: Checking, recorded: bool) -> Path | None:
    """Where the study's data lie; None if they are not there, which is noted."""
    data, source = check.study.data, check.sources.dataset
    if data is None or source is None:  # nothing is trained
        return None
    match data:
        case FolderData():
            return Path(source.name)
        case HubData():
            if source.revision == UNRESOLVED:
                check.unopened.append(f"data: the hub cannot be reached, and says which commit {data.revision} is")
                return None
            try:
                return fetch(data.repo_id, source.revision, "dataset", patterns=("meta/*",))
            except UserError as error:
                check.unopened.append(f"data: {error}")
                return None
        case ScriptedData():
            *_, request = check.graph.of("dataset")  # after those of pretraining rounds
            folder = stage_folder(check.root, request.stage, request.key)
            if recorded and sealed_done(folder) is not None:
                return folder.artifact
            if recorded:
                check.unopened.append("data: they are not recorded yet; the study's simulator and expert make them")
            return None


def check_data(check: Checking, root: Path) -> None:
    """Judge the data below ``root``, by themselves and beside what the study asks and its simulator shows."""
    try:
        description = renamed(read_description(root), getattr(check.study.data, "rename", ()))
    except UserError as error:
        check.findings.append(Finding("error", "data", "data", str(error)))
        return
    whole = not isinstance(check.study.data, HubData)
    fit = check.judge("data", lambda: feature_findings(description, asked_of(check.study)))
    there = check.judge("data", lambda: file_findings(description, whole=whole))
    if not (fit and there):
        return
    suites = [SUITES[name] for name in check.study.rollout_suites]
    check.judge("data", lambda: twin_findings(description.texts))
    for suite in suites:
        check.judge("data", lambda suite=suite: rate_findings(description, suite))  # type: ignore[misc]
    seen = not description.lacking
    if seen:
        _check_frames(check, description)
    else:
        check.unopened.append("data: their frames are on the hub; their statistics were judged in their place")
        check.judge("data", lambda: _judge_statistics(description, suites[0]))
    _check_normalisation(check, description)
    _check_scenes(check, description, seen=seen)


def _check_frames(check: Checking, description: Description) -> None:
    if not check.judge("data", lambda: map(as_error, column_faults(description))):
        return
    in_step = check.judge("data", lambda: map(as_error, frame_faults(description)))
    for column in description.videos if in_step else ():
        check.judge("data", lambda column=column: map(as_error, video_faults(description, column)))  # type: ignore[misc]
    motion = _read_motion(check, description)
    if motion is None:
        return
    suite = SUITES[check.study.rollout_suites[0]]
    check.judge("data", lambda: number_findings(motion, suite))
    check.judge("data", lambda: statistics_findings(motion, description.statistics))
    check.judge("data", lambda: repetition_findings(motion, description.episode_texts()))
    provenance = description.root / PROVENANCE
    if provenance.is_file():
        rows = pq.ParquetFile(provenance).read().to_pylist()
        states = check.study.rollouts.init_states
        check.judge("data", lambda: shared_findings(rows, check.study.rollout_places, states))
    _check_units(check, motion, suite)


def _check_units(check: Checking, motion: Motion, suite: Suite) -> None:
    for policy, source in check.sources.policies.items():
        name = ".".join(map(str, policy_at(check.study, policy)))
        try:
            folder = policy_folder(policy, source)
        except UserError as error:
            check.unopened.append(f"{name}: {error}")
            continue
        if folder is not None:
            start = start_statistics(folder)
            check.judge("data", lambda start=start, name=name: unit_findings(motion, start, suite, name))  # type: ignore[misc]


def _check_normalisation(check: Checking, description: Description) -> None:
    """Whether the data have the statistics that the study's policies are normalised by."""
    for policy, source in check.sources.policies.items():
        name, start, pictures = ".".join(map(str, policy_at(check.study, policy))), {}, description.cameras
        if isinstance(policy, NewPolicy | ScratchPolicy):
            modes = default_modes(source.family, dict(getattr(policy, "settings", ())))
        else:
            try:
                folder = policy_folder(policy, source)
            except UserError:  # _check_units tells it
                continue
            if folder is None:
                continue
            config, start = read_config_file(folder), start_statistics(folder)
            modes, pictures = dict(config.get("normalization_mapping") or {}), taken_pictures(config, pictures)
        check.judge(
            "data",
            lambda modes=modes, start=start, pictures=pictures, name=name: normalisation_findings(  # type: ignore[misc]
                modes, description.statistics, start, pictures, name
            ),
        )


def _read_motion(check: Checking, description: Description) -> Motion | None:
    found: list[Motion] = []

    def read() -> Iterator[Finding]:
        columns = description.columns(STATE, ACTION)
        sizes = {name: description.features[name]["shape"] for name in columns}
        for name, numbers in columns.items():
            if list(numbers.shape[1:]) != sizes[name]:
                said, there = sizes[name], list(numbers.shape[1:])
                yield Finding("error", "data", name, f"the frames hold {there} numbers, and meta/info.json says {said}")
                return
        ends = np.array([row["dataset_to_index"] for row in description.rows], np.int64)
        found.append(Motion({name: numbers.astype(np.float64) for name, numbers in columns.items()}, ends))

    check.judge("data", read)
    return found[0] if found else None


def _judge_statistics(description: Description, suite: Suite) -> Iterator[Finding]:
    """What two frames of the least and the greatest numbers tell: where quantiles are known, but for the outermost.

    Of least and greatest numbers nobody knows how many frames have them, so they are no error.
    """
    known = all({"q01", "q99"} <= description.statistics[name].keys() for name in (STATE, ACTION))
    ends = ("q01", "q99") if known else ("min", "max")
    numbers = {
        name: np.array([description.statistics[name][end] for end in ends], np.float64) for name in (STATE, ACTION)
    }
    for finding in number_findings(Motion(numbers, np.array([2])), suite):
        yield finding if known else replace(finding, level="warning")


def check_demonstrations(check: Checking) -> None:
    """Judge how long the expert may take for what it is asked for, if it is asked."""
    if isinstance(check.study.data, ScriptedData):
        check.judge("data", lambda: demonstration_findings(check.study))


def check_starts(check: Checking) -> None:
    """Settle one initial state of every evaluated task: a scene that starts otherwise is another scene."""
    for spec, tasks in _simulated(check):
        try:
            faults = see_apart(spec, Questions(tasks, settle=True)).start_faults
        except UserError as error:
            check.unopened.append(f"simulator: {error}")
            continue
        check.judge("simulator", lambda faults=faults, spec=spec: _start_findings(spec, faults))  # type: ignore[misc]


def _start_findings(sim: SimSpec, faults: Mapping[int, str]) -> Iterator[Finding]:
    for task, fault in faults.items():
        yield Finding("warning", "simulator", f"{sim.suite} task {task}", fault)
    usual = SUITES[sim.suite].settle_steps
    if sim.settle_steps != usual:
        message = (
            f"episodes begin with {sim.settle_steps} steps of settling, those of published evaluations with {usual}"
        )
        yield Finding("warning", "simulator", "simulator.settle_steps", message)


def _check_scenes(check: Checking, description: Description, *, seen: bool) -> None:
    """Ask the simulators how the evaluated tasks begin, and compare the data with that."""
    texts = description.episode_texts() if seen else tuple(description.texts.values())
    asked: dict[str, str] = {}
    scenes = []
    for spec, tasks in _simulated(check):
        try:
            recorded = _recorded_moves(description, texts, SUITES[spec.suite]) if seen else {}
            actions = {text: [move.actions for move in moves] for text, moves in recorded.items()}
            beginnings = see_apart(spec, Questions(tasks, sorted(set(texts)), SCENES if seen else 0, actions))
        except UserError as error:
            check.unopened.append(f"simulator: {error}")
            continue
        asked |= {f"{spec.suite}/{task}": text for task, text in beginnings.instructions.items()}
        scenes.append(beginnings.scenes)
        replays = [
            Replayed(move.episode, move.states[: len(led)], led.astype(np.float64))
            for text, states in beginnings.replays.items()
            for move, led in zip(recorded[text], states, strict=True)
        ]
        if replays:
            check.judge("data", lambda replays=replays, spec=spec: replay_findings(replays, SUITES[spec.suite]))  # type: ignore[misc]
    check.judge("data", lambda: text_findings(texts, asked))
    starts = _starts(check, description, texts, {each.instruction for own in scenes for each in own}) if seen else []
    check.judge("data", lambda: size_findings(starts, description.features))
    suite = SUITES[check.study.rollout_suites[0]]
    check.judge("data", lambda: footage_findings(starts, suite))
    for own in scenes:
        check.judge("data", lambda own=own: scene_findings(starts, own))  # type: ignore[misc]


class _Moves(NamedTuple):
    """How a recorded episode begins: actions [n, A] and the states [n + 1, S] around them."""

    episode: int
    actions: NDArray[np.float64]
    states: NDArray[np.float64]


def _recorded_moves(description: Description, texts: tuple[str, ...], suite: Suite) -> dict[str, list[_Moves]]:
    """The first steps of some episodes of each text, of those that are long enough."""
    columns = description.columns(STATE, ACTION)
    if columns[ACTION].shape[1:] != (len(suite.action.names),) or columns[STATE].shape[1:] != (len(suite.state),):
        return {}
    found: dict[str, list[_Moves]] = {}
    for number, (text, row) in enumerate(zip(texts, description.rows, strict=True)):
        begin, moves = int(row["dataset_from_index"]), found.setdefault(text, [])
        if len(moves) < REPLAYED and int(row["dataset_to_index"]) > begin + STEPS:
            actions = np.asarray(columns[ACTION][begin : begin + STEPS], np.float64)
            states = np.asarray(columns[STATE][begin : begin + STEPS + 1], np.float64)
            if np.isfinite(actions).all():
                moves.append(_Moves(number, actions, states))
    return found


def _simulated(check: Checking) -> Iterator[tuple[SimSpec, list[int]]]:
    """Each evaluated suite's simulator and its tasks."""
    found: dict[str, tuple[SimSpec, list[int]]] = {}
    for request in check.graph.of("rollout"):
        assert isinstance(request.spec, RolloutSpec)
        sim, task = request.spec.sim, request.spec.task
        tasks = found.setdefault(sim.suite, (sim, []))[1]
        if task not in tasks:
            tasks.append(task)
    for sim, tasks in found.values():
        if sim.assets_digest == UNRESOLVED:
            check.unopened.append(f"simulator: the assets of {sim.suite} are on the hub, which cannot be reached")
        else:
            fetch_assets([sim])
            yield sim, sorted(tasks)


def _starts(check: Checking, description: Description, texts: tuple[str, ...], wanted: set[str]) -> list[Start]:
    """The beginnings of some recorded episodes, and what they show half way and at their end.

    They are episodes of the ``wanted`` instructions if there are any.
    """
    chosen: list[int] = []
    for text in sorted(wanted) or dict.fromkeys(texts):
        own = [number for number, each in enumerate(texts) if each == text]
        chosen += own[:: max(1, len(own) // STARTS)][:STARTS]
    chosen = sorted(chosen)[: SCENES * STARTS]
    begin = [int(row["dataset_from_index"]) for row in description.rows]
    length = [int(row["dataset_to_index"]) - start for row, start in zip(description.rows, begin, strict=True)]
    steps = {number: (0, length[number] // 2, length[number] - 1) for number in chosen}
    pictures: dict[int, dict[str, NDArray[np.uint8]]] = {number: {} for number in chosen}
    states = description.columns(STATE)[STATE]
    for column in description.cameras:
        try:
            reader = FrameReader(description, column.removeprefix("observation.images."))
            for number in chosen:
                pictures[number][column] = reader.at(number, steps[number])
        except (UserError, OSError, ValueError) as error:
            check.findings.append(Finding("error", "data", column, f"its pictures cannot be read ({error})"))
            return []
    starts = []
    for number in chosen:
        first, *later = (
            Seen(
                {column: shown[place] for column, shown in pictures[number].items()},
                np.asarray(states[begin[number] + step], np.float64),
            )
            for place, step in enumerate(steps[number])
        )
        starts.append(Start(number, texts[number], first.pictures, first.state, tuple(later)))
    return starts
