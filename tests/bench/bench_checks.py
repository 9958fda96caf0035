"""What `wm check` finds, and how long it takes: ``python -m bench.bench_checks``.

On the default study's own results, which must be there: five inputs that nothing is wrong with, on which it must find
nothing, and its data spoilt in one way each. Every check is a process of its own, asked for the first time.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from world_modality.store.layout import RESULTS, names_folder
from world_modality.store.machine import machine

BIN = Path(sys.executable).parent
STUDY = "demo"
SCENE = "observation.images.image"
TRAINED = """\
data: {{source: folder, path: {data}}}
encoder: {{kind: vjepa2, source: embedded, frames: 4, image_size: 64}}
policy: {{source: embedded}}
training: {{steps: 10, batch_size: 2}}
arms: {{E0: {{memory: disabled}}, E2: {{memory: pred}}}}
"""
GIVEN = "arms: {{A: {{checkpoint: {{source: folder, path: {data}}}}}}}\n"
COMMON = """\
study: {name}
suite: libero_spatial
tasks: [0, 1, 2]
simulator: {{assets: package, render: fast}}
rollouts: {{init_states: 30-33, episodes: 4, n_action_steps: 10}}
"""
ACT = (
    "--policy.type=act", "--policy.push_to_hub=false", "--policy.device=cpu", "--dataset.repo_id=local/demo",
    "--policy.pretrained_backbone_weights=null", "--steps=2", "--batch_size=2", "--num_workers=0", "--log_freq=1",
)  # fmt: skip
VIDEOS = ("--repo_id=local/demo", "--operation.type=convert_image_to_video", "--new_repo_id=local/videos")
OTHER_TEXTS = ("put the wine bottle on top of the cabinet", "open the middle drawer", "push the plate to the stove")
Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """An input, and words that the finding on it must have; none if there must be no finding."""

    name: str
    sections: str
    folder: Path
    words: tuple[str, ...] = ()


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """The table with other values in a column of the same type."""
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def rewrite(dataset: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put ``change`` of them in place of the dataset's frames."""
    for file in dataset.glob("data/**/*.parquet"):
        table = pq.read_table(file)
        pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), file)


def gripper_from_0_to_1(dataset: Path) -> None:
    """Actions and their statistics."""

    def rescale(table: pa.Table) -> pa.Table:
        actions = np.array(table["action"].to_pylist(), np.float32)
        actions[:, 6] = (actions[:, 6] + 1) / 2
        place = table.schema.get_field_index("action")
        return table.set_column(
            place, table.schema.field(place), pa.array(list(actions), table.schema.field(place).type)
        )

    rewrite(dataset, rescale)
    file = dataset / "meta" / "stats.json"
    stats = json.loads(file.read_text())
    for name, numbers in stats["action"].items():
        if name == "std":
            numbers[6] /= 2
        elif name != "count":
            numbers[6] = (numbers[6] + 1) / 2
    file.write_text(json.dumps(stats))


def turned(png: bytes) -> bytes:
    """The picture upside down."""
    kept = io.BytesIO()
    ImageOps.flip(Image.open(io.BytesIO(png))).save(kept, "PNG", compress_level=1)
    return kept.getvalue()


def upside_down(dataset: Path) -> None:
    """The scene camera's pictures."""

    def flip(table: pa.Table) -> pa.Table:
        shown = table[SCENE].to_pylist()
        return with_column(table, SCENE, [{**each, "bytes": turned(each["bytes"])} for each in shown])

    rewrite(dataset, flip)


def texts(change: Callable[[list[str]], list[str]]) -> Spoil:
    """The instructions in their order, in the table of tasks and in that of episodes."""

    def spoil(dataset: Path) -> None:
        file = dataset / "meta" / "tasks.parquet"
        table = pq.read_table(file)
        name = next(name for name in table.column_names if name != "task_index")
        told = table[name].to_pylist()
        new = dict(zip(told, change(told), strict=True))
        for episodes in dataset.glob("meta/episodes/**/*.parquet"):
            rows = pq.read_table(episodes)
            tasks = [[new[text] for text in each] for each in rows["tasks"].to_pylist()]
            pq.write_table(with_column(rows, "tasks", tasks), episodes)
        place = table.schema.get_field_index(name)
        pq.write_table(
            table.set_column(place, table.schema.field(place), pa.array(change(table[name].to_pylist()))), file
        )

    return spoil


SPOILT: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "gripper rescaled": (gripper_from_0_to_1, ("action", "gripper")),
    "pictures flipped": (upside_down, (SCENE, "upside down")),
    "texts emptied": (texts(lambda told: [""] * len(told)), ("meta/tasks.parquet", "empty")),
    "texts exchanged": (texts(lambda told: [told[1], told[0], *told[2:]]), ("meta/tasks.parquet", "exchanged")),
    "other tasks' texts": (texts(lambda told: list(OTHER_TEXTS)), ("meta/tasks.parquet",)),
}


def lerobot(script: str, *arguments: str) -> None:
    """Run one of LeRobot's own; what it said if it fails."""
    done = subprocess.run([BIN / f"lerobot-{script}", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr[-2000:]}\nlerobot-{script} failed")


def cases(results: Path, place: Path) -> list[Case]:
    """The five healthy inputs and the spoilt ones; those that must be made are made below ``place``."""
    names = names_folder(results, STUDY)
    dataset, trained = (
        (names / "dataset").resolve(),
        {arm: (names / "train" / f"{arm}-seed0").resolve() for arm in ("E0", "E2")},
    )
    act, videos = place / "act", place / "videos"
    lerobot("edit-dataset", *VIDEOS, f"--root={dataset}", f"--new_root={videos}", f"--operation.output_dir={videos}")
    lerobot("train", *ACT, f"--dataset.root={dataset}", f"--output_dir={act}")
    made = [
        Case("the demo's dataset", TRAINED, dataset),
        Case("the same as videos", TRAINED, videos),
        *(Case(f"the demo's {arm}", GIVEN, (folder / "pretrained_model").resolve()) for arm, folder in trained.items()),
        Case("an ACT by lerobot-train", GIVEN, act / "checkpoints" / "last" / "pretrained_model"),
    ]
    for number, (name, (spoil, words)) in enumerate(SPOILT.items()):
        copy = Path(shutil.copytree(dataset, place / f"spoilt{number}"))
        (copy / "provenance.parquet").unlink()
        spoil(copy)
        made.append(Case(name, TRAINED, copy, words))
    return made


def main() -> None:
    """Check every case in turn."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found, slowest = [], 0.0
        print(machine())
        for number, case in enumerate(cases(RESULTS.resolve(), place)):
            study = place / f"case{number}.yaml"
            study.write_text(COMMON.format(name=study.stem) + case.sections.format(data=json.dumps(str(case.folder))))
            start = time.perf_counter()
            done = subprocess.run([BIN / "wm", "check", study], cwd=place, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - start
            slowest = max(slowest, seconds)
            lines = done.stdout.splitlines() + done.stderr.splitlines()
            findings = [line for line in lines if not line.startswith(("check ", "page "))]
            right = all(any(word in line for line in findings) for word in case.words) if case.words else not findings
            found.append(right and (bool(case.words) or done.returncode == 0))
            print(f"{case.name:<26}{seconds:6.1f} s  {'as expected' if found[-1] else 'NOT AS EXPECTED'}")
            print("".join(f"    {line}\n" for line in findings), end="")
    print(f"BENCH checks right={sum(found)} of={len(found)} slowest_s={slowest:.1f}")


if __name__ == "__main__":
    main()
