"""The same episodes by ``lerobot-eval`` and by ``wm rollout``, told apart by outcome, length and joint positions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.onlookers import PLUGIN_TYPE, read_notes

from lerobot_policy_world_modality.backbone import TOKENIZER_STEP, resolve_backbone
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.config_file import read_config_file
from world_modality.rollout.records import Record, read_records

STOCK, OURS = "stock", "ours"


@dataclass(frozen=True)
class Match:
    """What both evaluate: a task's first episodes, as ``lerobot-eval`` counts them, in one environment."""

    checkpoint: Path
    suite: str
    task: int
    episodes: int
    seed: int = 1000  # lerobot-eval's default
    horizon: int | None = None  # control steps; None: the suite's
    assets: str = "package"
    batch: int = 1  # rows that ours computes at once; lerobot-eval computes as many as it has environments
    more: tuple[str, ...] = ()  # further flags of lerobot-eval
    environment: str = "libero"  # lerobot-eval's --env.type: its own, or the plugin's

    @property
    def size(self) -> int:
        """Pixels of the checkpoint's pictures."""
        features = read_config_file(self.checkpoint)["input_features"].values()
        return max(feature["shape"][-1] for feature in features if feature["type"] == "VISUAL")

    def stock_flags(self, output: Path) -> list[str]:
        """Of ``lerobot-eval``."""
        flags = {
            "policy.path": self.checkpoint,
            "policy.device": "cpu",
            "env.type": self.environment,
            "env.task": self.suite,
            "env.task_ids": [self.task],
            **self._pictures,
            "eval.batch_size": 1,
            "eval.n_episodes": self.episodes,
            "seed": self.seed,
            "output_dir": output,
            **({} if self.horizon is None else {"env.episode_length": self.horizon}),
        }
        return [*(f"--{name}={value}" for name, value in flags.items()), *self.more]

    @property
    def _pictures(self) -> dict[str, object]:
        if self.environment == PLUGIN_TYPE:
            return {"env.camera_size": self.size, "env.assets": self.assets}
        return {"env.observation_height": self.size, "env.observation_width": self.size}

    def our_flags(self, output: Path) -> list[str]:
        """Of ``wm rollout``."""
        flags = {
            "policy.path": self.checkpoint,
            "suite": self.suite,
            "tasks": self.task,
            "episodes": self.episodes,
            "lerobot-seed": self.seed,
            "assets": self.assets,
            "render": "stock",
            "batch": self.batch,
            "cores": 1,
            "output": output,
            **({} if self.horizon is None else {"horizon": self.horizon}),
        }
        return [f"--{name}={value}" for name, value in flags.items()]


@dataclass(frozen=True)
class Played:
    """An episode by one of the two."""

    success: bool
    steps: int
    positions: NDArray[np.float64]  # of all joints [1 + steps, nq], m and rad: after the reset, then after every step


@dataclass(frozen=True)
class Pair:
    """An episode by both."""

    name: str
    stock: Played
    ours: Played

    @property
    def difference(self) -> float:
        """Largest difference of a joint's final positions, m or rad."""
        return float(np.abs(self.stock.positions[-1] - self.ours.positions[-1]).max())

    @property
    def apart(self) -> int | None:
        """The first control step after which a joint's position differs in any bit, 0 for the start; None if none."""
        pairs = zip(self.stock.positions, self.ours.positions, strict=False)
        return next((step for step, (one, other) in enumerate(pairs) if not np.array_equal(one, other)), None)

    @property
    def equal(self) -> bool:
        """Whether all of it is, to the last bit."""
        same = (self.stock.success, self.stock.steps) == (self.ours.success, self.ours.steps)
        return same and np.array_equal(self.stock.positions, self.ours.positions)


def pairs(match: Match, folder: Path) -> list[Pair]:
    """The episodes that both have left in ``folder``: notes and results of each below its name.

    ValueError if they did not play the same ones, from the same initial states with the same seeds at reset.
    """
    notes = {name: read_notes(folder / f"{name}-notes") for name in (STOCK, OURS)}
    states = SUITES[match.suite].init_states
    assert states is not None
    names = [f"task{match.task}_init{e % states}_seed{match.seed + e}" for e in range(match.episodes)]
    for evaluator, found in notes.items():
        if found.keys() != set(names):
            raise ValueError(f"{evaluator} played {', '.join(found)}, not {', '.join(names)}")
    info = json.loads((folder / STOCK / "eval_info.json").read_text())
    (task,) = info["per_task"]
    records = {
        f"task{record.task}_init{record.init_state}_seed{record.environment_seed}": record
        for record in read_records(folder / OURS / f"{match.suite}.jsonl")
    }
    told = {name: (bool(success), None) for name, success in zip(names, task["metrics"]["successes"], strict=True)}
    return [
        Pair(name, _played(told[name], notes[STOCK][name]), _played(_outcome(records[name]), notes[OURS][name]))
        for name in names
    ]


def evaluated_seconds(folder: Path) -> float:
    """What ``lerobot-eval`` says that its episodes in ``folder`` took."""
    return float(json.loads((folder / STOCK / "eval_info.json").read_text())["overall"]["eval_s"])


def _outcome(record: Record) -> tuple[bool, int | None]:
    return record.success, record.steps


def _played(outcome: tuple[bool, int | None], positions: NDArray[np.float64]) -> Played:
    success, steps = outcome
    if steps not in (None, len(positions) - 1):
        raise ValueError(f"a record tells of {steps} control steps, and {len(positions) - 1} were seen")
    return Played(success, len(positions) - 1, positions)


def table(found: Sequence[Pair]) -> list[str]:
    """A line per episode."""
    lines = [f"{'episode':28}  success (steps): stock  ours         largest difference of final joints  apart after"]
    for pair in found:
        one, other = (f"{'yes' if each.success else 'no':>3} ({each.steps})" for each in (pair.stock, pair.ours))
        apart = "-" if pair.apart is None else f"step {pair.apart}"
        lines.append(f"{pair.name:28}  {one:>22}  {other:<12} {pair.difference:>34.3g}  {apart}")
    return lines


def last_line(policy: str, found: Sequence[Pair]) -> str:
    """What a program can read."""
    return (
        f"BENCH parity policy={policy} episodes={len(found)} "
        f"equal_outcomes={sum(pair.stock.success == pair.ours.success for pair in found)} "
        f"equal_steps={sum(pair.stock.steps == pair.ours.steps for pair in found)} "
        f"equal_trajectories={sum(pair.equal for pair in found)} "
        f"successes={sum(pair.stock.success for pair in found)} "
        f"max_joint_difference={max(pair.difference for pair in found):g}"
    )


def known_to_lerobot(source: Path, target: Path) -> Path:
    """A copy of a SmolVLA checkpoint whose packaged backbone is named by its folder, so that LeRobot alone loads it."""
    shutil.copytree(source, target)
    for file in target.glob("*.json"):
        content = json.loads(file.read_text())
        if "vlm_model_name" in content:
            content["vlm_model_name"] = resolve_backbone(content["vlm_model_name"])
        for step in content.get("steps", ()):
            if step.get("registry_name") == TOKENIZER_STEP:
                step["registry_name"] = "tokenizer_processor"
                step["config"]["tokenizer_name"] = resolve_backbone(step["config"]["tokenizer_name"])
        file.write_text(json.dumps(content))
        assert BACKBONE_PREFIX not in file.read_text() or file.name == "provenance.json"
    return target
