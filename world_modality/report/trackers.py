"""Curves of a study under way in TensorBoard, W&B or Trackio: every point once, whoever was killed in between.

What a tracker holds already is read back from the tracker itself when it is opened, and never remembered beside it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from world_modality.errors import UserError
from world_modality.training.metrics import Line

SO_FAR = "rollouts/success_so_far"
"""Prefix of the rates while episodes come in; their step is the number of episodes."""
IN_THE_END = "rollouts/success"
"""Prefix of the rates of all planned episodes; their step is the training's last."""
NONE_YET = -1

TrackerName = Literal["tensorboard", "wandb", "trackio"]


@dataclass(frozen=True)
class Outcomes:
    """Of one checkpoint in one condition, so far."""

    episodes: int
    successes: int
    planned: int

    @property
    def rate(self) -> float:
        """The share of episodes that succeeded; there is at least one."""
        return self.successes / self.episodes


@dataclass(frozen=True)
class LiveRun:
    """One training as a tracker shows it, under way or done."""

    name: str  # e.g. "E2-seed0"
    key: str  # of the train stage
    lines: Sequence[Line]  # of metrics.jsonl so far, each with its "step"
    success: Mapping[str, Outcomes]  # by condition, of those with an episode


class Tracker(Protocol):
    """Where curves go."""

    def write(self, run: LiveRun) -> int:
        """Add what the tracker lacks of a run; how many points that were."""
        ...

    def close(self) -> None:
        """Bring everything to where it belongs."""
        ...


def open_tracker(name: TrackerName, study: str, folder: Path, *, offline: bool) -> Tracker:
    """The tracker of that name, with what it holds already. UserError where its package is missing."""
    if name == "wandb":
        return WeightsAndBiases(study, folder, offline=offline)
    return TensorBoard(folder) if name == "tensorboard" else Trackio(study, folder)


def how_to_look(name: TrackerName, study: str, folder: Path, *, offline: bool) -> str:
    """What a person types or opens next."""
    match name:
        case "tensorboard":
            return f"tensorboard --logdir {folder}"
        case "trackio":
            return f"TRACKIO_DIR={folder} trackio show --project {study}"
    return f"wandb sync --append {folder / 'wandb'}/offline-run-*" if offline else f"project {study}"


def points(run: LiveRun) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value of everything there is of a run now."""
    last = 0
    for line in run.lines:
        last = int(line["step"])
        yield from ((f"train/{name}", last, value) for name, value in line.items() if name != "step")
    for condition, found in run.success.items():
        yield f"{SO_FAR}/{condition}", found.episodes, found.rate
        if found.episodes == found.planned:
            yield f"{IN_THE_END}/{condition}", last, found.rate


def _lacking(run: LiveRun, last: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """The points beyond the ``last`` steps, by tag."""
    return [(tag, step, value) for tag, step, value in points(run) if step > last.get(tag, NONE_YET)]


class TensorBoard:
    """Event files, one folder per run below ``folder``; each start of this program adds a file."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:  # torch does not bring it
            raise UserError("TensorBoard is not installed here: install the package tensorboard") from error
        self._new_writer: Any = SummaryWriter
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._last: dict[str, dict[str, int]] = {}

    def write(self, run: LiveRun) -> int:
        """See :class:`Tracker`."""
        target = self._folder / run.name
        if run.name not in self._last:
            self._last[run.name] = last_steps(target)
        new = _lacking(run, last := self._last[run.name])
        if new and run.name not in self._writers:
            self._writers[run.name] = self._new_writer(str(target))
        for tag, step, value in new:
            self._writers[run.name].add_scalar(tag, value, step)
            last[tag] = step
        if new:
            self._writers[run.name].flush()
        return len(new)

    def close(self) -> None:
        """See :class:`Tracker`."""
        for writer in self._writers.values():
            writer.close()


def last_steps(folder: Path) -> dict[str, int]:
    """The last step of every curve in a folder's event files; of a file whose writer was killed, what is whole."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, int] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        written = EventAccumulator(str(file), size_guidance={"scalars": 0})
        written.Reload()
        for tag in written.Tags()["scalars"]:
            found[tag] = max(found.get(tag, NONE_YET), *(event.step for event in written.Scalars(tag)))
    return found


class Trackio:
    """A project of Trackio's, ``study``, in a database below ``folder``; nothing leaves this machine."""

    def __init__(self, study: str, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder.resolve())  # read once, where it is imported
        try:
            import trackio
            from trackio.sqlite_storage import SQLiteStorage
        except ImportError as error:
            raise UserError("Trackio is not installed here: install the package trackio") from error
        self._trackio: Any = trackio
        self._storage: Any = SQLiteStorage
        self._study = study
        self._last: dict[str, dict[str, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, run: LiveRun) -> int:
        """See :class:`Tracker`."""
        if run.name not in self._last:
            self._last[run.name] = self._stored(run.name)
        new = _lacking(run, self._last[run.name])
        rows: dict[int, dict[str, float]] = {}
        for tag, step, value in new:
            rows.setdefault(step, {})[tag] = value
            self._last[run.name][tag] = step
        if rows:
            silent = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
            with redirect_stdout(io.StringIO()):  # it prints how to look at it at every start
                opened = self._trackio.init(project=self._study, name=run.name, resume="allow", **silent)
                for step in sorted(rows):
                    opened.log(rows[step], step=step)
                opened.finish()
        return len(new)

    def _stored(self, name: str) -> dict[str, int]:
        """The last step of every curve of a run."""
        found: dict[str, int] = {}
        for row in self._storage.get_logs(self._study, name):
            found |= {tag: max(found.get(tag, NONE_YET), int(row["step"])) for tag in row if "/" in tag}
        return found

    def close(self) -> None:
        """See :class:`Tracker`; every run was closed when it was written."""


class WeightsAndBiases:
    """One W&B run per training in the project ``study``, its id the training's key.

    W&B has one count of steps per run, which never goes back: rates of success, which come after the training, stand at
    the steps after its last one, a step per episode of all conditions.
    """

    def __init__(self, study: str, folder: Path, *, offline: bool) -> None:
        import wandb

        self._wandb = wandb
        self._study, self._folder, self._offline = study, folder, offline
        self._runs: dict[str, Any] = {}
        self._last: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, run: LiveRun) -> int:
        """See :class:`Tracker`."""
        if run.key not in self._last:
            if not any(points(run)):
                return 0
            self._open(run)
        count = 0
        for step, figures in wandb_rows(run):
            if step > self._last[run.key]:
                self._runs[run.key].log(figures, step=step, commit=True)
                self._last[run.key] = step
                count += len(figures)
        return count

    def _open(self, run: LiveRun) -> None:
        settings: dict[str, Any] = {"project": self._study, "dir": str(self._folder), "reinit": "create_new"}
        settings |= {"mode": "offline", "resume": "never"} if self._offline else {"mode": "online", "resume": "allow"}
        before = last_offline_step(self._folder, run.key) if self._offline else NONE_YET
        try:
            made = self._wandb.init(name=run.name, id=run.key, **settings)
        except (self._wandb.errors.Error, OSError) as error:
            raise UserError(f"Weights & Biases did not take {run.name} ({error}): log in, or use --offline") from error
        self._runs[run.key] = made
        self._last[run.key] = made.step - 1 if made.resumed else before

    def close(self) -> None:
        """See :class:`Tracker`."""
        for run in self._runs.values():
            run.finish()
        self._wandb.teardown()  # waits for the process that writes: a run that is finished need not be on the disk yet


def wandb_rows(run: LiveRun) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps that only rise, and the figures at each."""
    last = 0
    for line in run.lines:
        last = int(line["step"])
        yield last, {f"train/{name}": value for name, value in line.items() if name != "step"}
    if run.success:
        figures: dict[str, float] = {}
        for condition, found in run.success.items():
            figures |= {f"{SO_FAR}/{condition}": found.rate, f"rollouts/episodes/{condition}": found.episodes}
            figures |= {f"{IN_THE_END}/{condition}": found.rate} if found.episodes == found.planned else {}
        yield last + sum(found.episodes for found in run.success.values()), figures


def last_offline_step(folder: Path, key: str) -> int:
    """The last step that runs of this id, kept on this machine, hold; -1 if there are none."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal import datastore

    messages: Any = wandb_internal_pb2
    files: Any = datastore
    last = NONE_YET
    for file in folder.glob(f"wandb/offline-run-*-{key}*/run-{key}.wandb"):  # -1, -2, ... of the same second
        store = files.DataStore()
        with suppress(Exception):  # the end of a file whose writer was killed
            store.open_for_scan(str(file))
            while (data := store.scan_data()) is not None:
                record = messages.Record()
                record.ParseFromString(data)
                if record.HasField("history"):
                    last = max(last, record.history.step.num)
    return last
