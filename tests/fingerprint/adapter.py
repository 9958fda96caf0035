"""All that the fingerprint knows of this library: studies, stages, and the files in which results lie.

Whoever renames something in the library mends this module and no other; the names that leave it stay as they are.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stand_ins import STAND_INS

from world_modality.cli.planning import Planned, plan_study
from world_modality.cli.run_stage import run_stage
from world_modality.facts.memory import FUSIONS, MODES, trainable_modes
from world_modality.rollout.records import read_records
from world_modality.store.layout import stage_folder

SHARED = """\
suite: libero_spatial
tasks: [0]
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9, max_steps: 220}
  relabel: {per_task: 1, init_states: 0-9, max_steps: 60}
policy: {source: embedded}
training: {steps: 6, batch_size: 4, threads: 1, train_vision: true}
"""
"""What every study below says, so that they share data and trainings. The one relabelled episode is the held-out one,
and it is short, since every memory mode judges its frames."""
GATE = 0.5  # open from the start: after six steps a gate that began at 0 would let through next to nothing
WORLD = f"{{context: 2, prediction_horizon: 4, prophet_layers: 1, prophet_width: 64, gate_init: {GATE}}}"
TOLD = WORLD.replace("}", ", actions: true, hypotheses: 2, delta: false}")
VJEPA = "{kind: vjepa2, source: embedded, frames: 4, image_size: 64}"
DINO = "{kind: dinov2, source: embedded, frames: 1, image_size: 64, cameras: [image]}"
GLIMPSE = 40  # control steps of a rollout: four chunks, enough to tell two policies apart
EPISODE = 140  # control steps in which some episodes succeed, for the verdict
OFFLINE_FRAMES = 8  # of 128 that a training is judged on, which would take most of the time

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Treatment:
    """A trained arm: what the memory holds, where it enters the policy, and what else is unusual."""

    mode: str
    fusion: str = "none"
    variant: str = ""

    @property
    def name(self) -> str:
        """As in the fingerprint: ``pred/late``, ``disabled/none``, ``pred/late+cameras``."""
        return f"{self.mode}/{self.fusion}" + (f"+{self.variant}" if self.variant else "")

    @property
    def arm(self) -> str:
        """As in the study."""
        return "_".join(part for part in (self.mode, self.fusion, self.variant) if part)


DISABLED, ZERO_LATE, PRED_LATE = Treatment("disabled"), Treatment("zero", "late"), Treatment("pred", "late")
CAMERAS, ACTIONS = Treatment("pred", "late", "cameras"), Treatment("pred", "late", "actions")
VERDICT_ARMS = {
    "E0": "{memory: disabled}",
    "E1": "{memory: zero}",
    "E2": "{memory: pred, ablations: [zero, random]}",
}
VERDICT_COLUMNS = {
    "E0": (DISABLED, "disabled"),
    "E1": (ZERO_LATE, "zero"),
    "E2": (PRED_LATE, "pred"),
    "E2-zero": (PRED_LATE, "zero"),
    "E2-random": (PRED_LATE, "random"),
}
"""Column -> what was trained, and the mode that it was rolled out in."""


@dataclass
class Made:
    """Folders of results, by their name in the fingerprint."""

    dataset: Path = Path()
    latents: dict[str, Path] = field(default_factory=dict)
    trainings: dict[str, Path] = field(default_factory=dict)
    rollouts: dict[str, Path] = field(default_factory=dict)
    report: Path = Path()


def make(folder: Path, tell: Tell, *, quick: bool) -> Made:
    """Run what is to be fingerprinted in the empty ``folder``; ``tell`` gets a line per stage.

    RuntimeError if a stage fails, with the end of what it printed.
    """
    studies = [(_verdict_study(quick), _verdict)]
    if not quick:
        studies += [(_matrix_study(), _matrix), (_told_study(), _told), (_dino_study(), _dino)]
    runs = [(_Run(folder, text, tell), run) for text, run in studies]  # all are planned before any runs
    made = Made()
    for planned, run in runs:
        run(planned, made)
    return made


def treatments() -> tuple[Treatment, ...]:
    """Every memory mode in every fusion."""
    with_memory = [mode for mode in trainable_modes() if mode != "disabled"]
    return (Treatment("disabled"), *(Treatment(mode, fusion) for mode in with_memory for fusion in FUSIONS.names))


def ablations(trained: str) -> tuple[str, ...]:
    """The modes that a checkpoint can also be rolled out in."""
    possible = [mode for mode in MODES if mode.rollable and mode.needs_world and not mode.needs_learned]
    return tuple(mode.name for mode in possible if mode.trainable and mode.name != trained)


class _Run:
    """A study and the stages of it that have been asked for."""

    def __init__(self, folder: Path, text: str, tell: Tell) -> None:
        self._root, self._tell = folder / "results", tell
        path = folder / f"{text.split()[1]}.yaml"
        path.write_text(text)
        self._planned: Planned = plan_study(path, self._root)

    def result(self, name: str) -> Path:
        """The artifact that people know by ``name``, made first if it has to be."""
        graph = self._planned.graph
        self._make(graph.names[name])
        return stage_folder(self._root, graph.stages[graph.names[name]].stage, graph.names[name]).artifact

    def _make(self, key: str) -> None:
        request = self._planned.graph.stages[key]
        folder = stage_folder(self._root, request.stage, key)
        if folder.done.exists():
            return
        for each in request.inputs:
            self._make(each.key)
        cheap = _cheap_training() if request.stage == "train" else nullcontext()
        with _printing_to(folder.path.with_suffix(".txt")) as printed, cheap:
            status = run_stage(self._root, self._planned.snapshot, request.stage, key, 1)
        if status:
            raise RuntimeError(f"{printed.read_text()[-2000:]}\n{request.label} failed, see {folder.log}")
        self._tell(request.label)


def _study(name: str, *, encoder: str, world: str, horizon: int, arms: str, init_states: str, episodes: int) -> str:
    return (
        f"study: {name}\n{SHARED}simulator: {{assets: {STAND_INS}, render: fast, horizon: {horizon}}}\n"
        f"encoder: {encoder}\n"
        f"world: {world}\narms:\n{arms}rollouts: {{init_states: {init_states}, episodes: {episodes}, "
        "num_steps: 2, batch: 2}\n"
    )


def _verdict_study(quick: bool) -> str:
    arms = "".join(f"  {name}: {arm}\n" for name, arm in VERDICT_ARMS.items())
    states, episodes = ("31", 1) if quick else ("30-31", 2)
    return _study(
        "verdict", encoder=VJEPA, world=WORLD, horizon=EPISODE, arms=arms, init_states=states, episodes=episodes
    )


def _verdict(run: _Run, made: Made) -> None:
    made.dataset = run.result("dataset")
    made.latents["image"] = run.result("latents/image")
    for column, (treatment, mode) in VERDICT_COLUMNS.items():
        if column in VERDICT_ARMS:
            made.trainings[treatment.name] = run.result(f"train/{column}-seed0")
        made.rollouts[f"{treatment.name}/{mode}"] = run.result(f"rollouts/{column}/seed0/task0")
    made.report = run.result("report")


def _matrix_study() -> str:
    lines = []
    for each in treatments():
        settings = [f"memory: {each.mode}"]
        settings += [f"world: {{fusion: {each.fusion}}}"] if each.mode != "disabled" else []
        settings += ["rollout: pred"] if MODES[each.mode].needs_future else []
        settings += [f"ablations: [{', '.join(ablations('pred'))}]"] if each == PRED_LATE else []
        lines.append(f"  {each.arm}: {{{', '.join(settings)}}}\n")
    lines.append(f"  {CAMERAS.arm}: {{memory: pred, encoder: {{cameras: [image, image2]}}}}\n")
    return _study(
        "matrix", encoder=VJEPA, world=WORLD, horizon=GLIMPSE, arms="".join(lines), init_states="30-31", episodes=2
    )


def _matrix(run: _Run, made: Made) -> None:
    """Every treatment is trained. Rolled out are all modes in fusion late, all fusions of pred, and all ablations."""
    for each in (*treatments(), CAMERAS):
        made.trainings[each.name] = run.result(f"train/{each.arm}-seed0")
        if each.fusion == "late" or each.mode == "pred":
            rolled = "pred" if MODES[each.mode].needs_future else each.mode
            _roll_out(run, made, f"{each.name}/{rolled}", each.arm)
    for mode in ablations("pred"):
        _roll_out(run, made, f"pred/late/{mode}", f"{PRED_LATE.arm}-{mode}")
    made.latents["image2"] = run.result("latents/image2")


def _roll_out(run: _Run, made: Made, condition: str, column: str) -> None:
    """Unless the verdict's study did so, which shows more of it."""
    if condition not in made.rollouts:
        made.rollouts[condition] = run.result(f"rollouts/{column}/seed0/task0")


def _told_study() -> str:
    """A Prophet that is told the actions, in two hypotheses, predicting latents themselves."""
    arms = f"  E0: {{memory: disabled}}\n  {ACTIONS.arm}: {{memory: pred}}\n"
    return _study("told", encoder=VJEPA, world=TOLD, horizon=GLIMPSE, arms=arms, init_states="30-31", episodes=2)


def _told(run: _Run, made: Made) -> None:
    made.trainings[ACTIONS.name] = run.result(f"train/{ACTIONS.arm}-seed0")
    _roll_out(run, made, f"{ACTIONS.name}/pred", ACTIONS.arm)


def _dino_study() -> str:
    arms = "  E0: {memory: disabled}\n  E2: {memory: pred}\n"
    return _study("dino", encoder=DINO, world=WORLD, horizon=GLIMPSE, arms=arms, init_states="30", episodes=1)


def _dino(run: _Run, made: Made) -> None:
    made.latents["dinov2/image"] = run.result("latents/image")


def tensor_files(training: Path) -> tuple[Path, tuple[Path, ...]]:
    """The trained weights, and the tensors of its normalisation, as safetensors."""
    weights = training / "pretrained_model" / "model.safetensors"
    return weights, tuple(sorted(each for each in weights.parent.glob("*.safetensors") if each != weights))


def metrics_of(training: Path) -> dict[str, list[float]]:
    """What was measured at every step."""
    lines = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    return {name: [line.get(name) for line in lines] for name in sorted(lines[0])}


def judgements_of(training: Path) -> dict[str, Any]:
    """What the trained policy and its Prophet were judged to be, where they were."""
    files = {kind: training / f"{kind}.json" for kind in ("offline", "prophet")}
    return {kind: json.loads(path.read_text()) for kind, path in files.items() if path.exists()}


def arrays_of(latents: Path) -> tuple[Path, Path]:
    """One row per frame (.npy), and their statistics (.npz)."""
    return latents / "latents.npy", latents / "statistics.npz"


def trajectories_of(rollout: Path) -> Iterator[dict[str, Any]]:
    """How every episode went."""
    for record in read_records(rollout / "records.jsonl"):
        yield {
            "digest": record.trajectory_digest,
            "success": record.success,
            "steps": record.steps,
            "replans": record.replans,
            "init_state": record.init_state,
            "init_state_digest": record.init_state_digest,
            "environment_seed": record.environment_seed,
            "flow_seed": record.flow_seed,
        }


def summary_of(report: Path) -> dict[str, Any]:
    """The verdicts, as whoever copies them reads them, without times."""
    summary = json.loads((report / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in ("plan_sealed",)}


def table_of(report: Path) -> dict[str, Any]:
    """Everything the report shows, without times, places and what only repeats the trainings."""
    table = json.loads((report / "table.json").read_text())
    left = ("plan", "versions", "stages", "wall_time", "prophet", "offline")
    return {name: value for name, value in table.items() if name not in left}


@contextmanager
def _cheap_training() -> Iterator[None]:
    """Meanwhile a training is judged on few frames, and what LeRobot does ten times per training is done once.

    That is reading a data set's table of episodes, and the help texts of its command line in its own source.
    """
    from draccus.wrappers import docstring
    from lerobot.datasets import dataset_metadata

    from world_modality.training import offline

    with (
        _replaced(offline, "FRAMES", OFFLINE_FRAMES),
        _replaced(docstring, "get_attribute_docstring", _remembered(docstring.get_attribute_docstring)),
        _replaced(dataset_metadata, "load_episodes", _remembered(dataset_metadata.load_episodes)),
    ):
        yield


@functools.cache
def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, whose results are kept from one training to the next."""
    return functools.cache(function)


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """AttributeError if there is no such name."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _printing_to(file: Path) -> Iterator[Path]:
    """Meanwhile what is printed to the terminal's error stream, by whatever means, goes to ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(2)
    with file.open("ab") as target:
        os.dup2(target.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(saved, 2)
            os.close(saved)
