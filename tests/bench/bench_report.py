"""How long a large study's report takes: ``make bench-report``.

Writes a results tree of invented outcomes into a temporary folder, then makes its report in a process of its own.
Figures, not a test: however long it took, it ends with status 0. There are no trainings, curves or videos in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.evidence.resampling import keyed_generator
from world_modality.report.claims import plan_of
from world_modality.report.collect import Material
from world_modality.report.gates import arms_gate, same_scenes
from world_modality.report.results import load_results
from world_modality.report.sealed_plans import seal_plan
from world_modality.report.stage import build_report, write_report
from world_modality.rollout.episodes import Episode, environment_seed, flow_seed
from world_modality.rollout.records import Record, to_line
from world_modality.store.done import DoneFile as Sealed
from world_modality.store.layout import stage_folder
from world_modality.store.machine import machine, version_of, versions
from world_modality.study.load import load_study
from world_modality.study.slices import evidence_spec
from world_modality.study.specs import EvidenceSpec, ReportCell, ReportCondition, ReportSpec

SUITE = "libero_spatial"
CONDITIONS: tuple[tuple[str, str, str, str, float], ...] = (  # name, arm, trained, rolled out, success rate
    ("E0", "E0", "disabled", "disabled", 0.80),
    ("E1", "E1", "zero", "zero", 0.80),
    ("E2", "E2", "pred", "pred", 0.83),
    ("E2-zero", "E2", "pred", "zero", 0.80),
    ("E2-random", "E2", "pred", "random", 0.79),
)
STATES = tuple(range(50))
TASKS = 10
GIBIBYTE = 2**30
SETTLED = {f"object_{number}": [0.1 * number, -0.2, 0.9, 1.0, 0.0, 0.0, 0.0] for number in range(8)}


@dataclass(frozen=True)
class Size:
    """How many of what: conditions times all of these are the records."""

    seeds: int
    repeats: int

    @property
    def records(self) -> int:
        """Of all conditions."""
        return len(CONDITIONS) * self.seeds * TASKS * len(STATES) * self.repeats


def invent(root: Path, size: Size, evidence: EvidenceSpec) -> tuple[ReportSpec, list[Path]]:
    """Write sealed rollouts of invented outcomes below ``root``; the report's spec and the rollouts' artifacts."""
    cells, folders = [], []
    for name, arm, trained, rolled, rate in CONDITIONS:
        for seed in range(size.seeds):
            for task in range(TASKS):
                key = f"{name}-{seed}-{task}".lower()
                folder = stage_folder(root, "rollout", key)
                folder.artifact.mkdir(parents=True)
                lines = (to_line(each) for each in _records(arm, seed, task, (trained, rolled), rate, size.repeats))
                (folder.artifact / "records.jsonl").write_text("".join(lines))
                folder.done.write_text(_sealed(key, f"rollout {name}/{seed} task {task}").model_dump_json())
                cells.append(ReportCell(condition=name, seed=seed, suite=SUITE, task=task, rollout=key))
                folders.append(folder.artifact)
    spec = ReportSpec(
        study="bench",
        label=f"{SUITE} (invented outcomes)",
        sources=(("everything", "invented"),),
        conditions=tuple(
            ReportCondition(name=n, arm=a, trained=t, rolled=r, against=a if n != a else "" if a == "E0" else "E0")
            for n, a, t, r, _ in CONDITIONS
        ),
        arms=(),
        suites=(SUITE,),
        init_states=STATES,
        repeats=size.repeats,
        evidence=evidence,
        cells=tuple(cells),
    )
    return spec, folders


def _records(arm: str, seed: int, task: int, modes: tuple[str, str], rate: float, repeats: int) -> Iterator[Record]:
    # E1 repeats E0, as zero memory must; the others are independent of it.
    successes = keyed_generator("bench", str(rate), seed, task).random(len(STATES) * repeats) < rate
    episodes = [Episode(task, state, repeat) for state in STATES for repeat in range(repeats)]
    for episode, drawn in zip(episodes, successes, strict=True):
        success = bool(drawn)
        yield Record(
            suite=SUITE,
            assets="hub@0",
            assets_digest="a" * 16,
            render="stock",
            task=task,
            language=f"pick up the black bowl in place {task} and place it on the plate",
            init_state=episode.init_state,
            init_state_digest=f"{task:08x}{episode.init_state:08x}",
            settled=SETTLED,
            start_fault="",
            repeat=episode.repeat,
            environment_seed=environment_seed(SUITE, episode),
            flow_seed=flow_seed(SUITE, episode, 0),
            checkpoint=f"{arm}{seed}",
            trained_memory=modes[0],
            memory=modes[1],
            success=success,
            steps=100 + episode.init_state if success else 280,
            progress=float(success),
            episode_return=float(success),
            replans=28,
            trajectory_digest=_trajectory(episode, success),
            note="",
            device="cuda",
            versions={"lerobot": "0.6.1", "mujoco": "3.3.2", "torch": "2.11.0", "transformers": "5.5.4"},
        )


def _trajectory(episode: Episode, success: bool) -> str:
    return f"{episode.task:04x}{episode.init_state:04x}{episode.repeat:04x}{success:04x}"


def _sealed(key: str, label: str) -> Sealed:
    return Sealed(
        stage="rollout",
        key=key,
        version=1,
        label=label,
        spec={},
        address={},
        upstream=(),
        software={},
        files={},
        content_digest="",
        facts={},
        versions=versions(("python",)),
        source_digest="0" * 16,
    )


def measure(root: str, spec: ReportSpec, folders: list[Path]) -> None:
    """Make the report and print what it took; in a process of its own, whose peak memory is then the report's."""
    start, spent = time.perf_counter(), time.process_time()
    results = load_results(spec, folders)
    loaded = time.perf_counter()
    gate = same_scenes(results)
    material = Material(spec, results, arms_gate([], []), folders, [], [])
    table, pages = build_report(Path(root), material)
    built = time.perf_counter()
    output = Path(root) / "report"
    write_report(output, pages, results)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIBIBYTE
    print(f"{table['episodes']:,} records, scenes {'equal' if gate.passed else 'NOT equal'}")
    print(f"reading {loaded - start:.1f} s   judging and drawing {built - loaded:.1f} s   writing {end - built:.1f} s")
    print(f"in all {end - start:.1f} s ({time.process_time() - spent:.1f} s of the processor), peak {peak:.2f} GiB")
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:9.1f} MB  {path.name}")


def main() -> None:
    """Parse the command line, invent, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("config.yaml"), help="whose section evidence is used")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20, help="of each of 50 initial states on each of 10 tasks")
    options = parser.parse_args()
    facts, size = machine(), Size(options.seeds, options.repeats)
    print(f"{facts['processor']}, {facts['cpus']} cores, python {version_of('python')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        spec, folders = invent(Path(folder), size, evidence_spec(load_study(options.study).study))
        plan = plan_of(spec)
        if plan is not None:
            seal_plan(Path(folder), plan)
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(folder, spec, folders))
        process.start()
        process.join()
    if process.exitcode:
        raise SystemExit(f"the report was not made: its process ended with status {process.exitcode}")


if __name__ == "__main__":
    main()
