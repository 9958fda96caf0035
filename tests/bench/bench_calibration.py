"""Are the error rates what they claim to be? ``python -m bench.bench_calibration``.

Simulates studies with the published noise of training runs, tasks and scenes, and prints what the tests and intervals
made of them: false positives where nothing is true, power beside the plan's prediction, coverage of every interval, and
the time for a million records. Writes nothing; the same ``--seed`` prints the same numbers, whatever ``--processes``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from bench.bench_studies import (
    Numbers,
    checkpoint_coverage,
    claims_study,
    judged_study,
    looks_study,
    pilot_study,
    recipe_coverage,
    separate_coverage,
    sequence_coverage,
)
from support.claims import standard_claims
from support.simulated_studies import Design, Noise, SimulatedArm, five_arms, run_correlation, simulate

from world_modality.evidence.gates import GIVEN, Gate
from world_modality.evidence.judge import judge
from world_modality.evidence.per_task import task_effects
from world_modality.evidence.plan import Assumptions, Plan
from world_modality.evidence.planning import expect
from world_modality.evidence.rates import success_rate
from world_modality.evidence.resampling import keyed_generator

MARGIN = 0.05
NULLS = ((5, 1), (5, 4), (8, 1), (8, 2))  # seeds, repeats; 10 tasks x 50 initial states each
POWERS = ((5, 1), (8, 2))
EFFECTS = ((0.02, 0.01), (0.03, 0.015), (0.045, 0.02))  # of the recipe, of the content
LOOKS = (3, 5, 8)  # seeds
JUDGED = 0.05  # share of the studies that are judged whole: betting intervals take a second each
INDEPENDENT = Noise(suite_sd=0.05 / np.sqrt(10) * 1.0001)  # tasks of a run vary on their own
Study = Callable[..., Numbers]


def _one(study: Study, key: tuple[int | str, ...], number: int) -> Numbers:
    return study(*key, number)


class Bench:
    """Runs studies on several processes and averages what they return."""

    def __init__(self, pool: multiprocessing.pool.Pool, studies: int, seed: int) -> None:
        self.pool, self.studies, self.seed = pool, studies, seed

    def mean(self, study: Study, name: str, share: float = 1.0) -> Numbers:
        """The mean of every number over the studies, or a share of them."""
        count = max(1, round(self.studies * share))
        work = partial(_one, study, ("bench", self.seed, name))
        rows = self.pool.map(work, range(count), chunksize=max(1, count // 64))
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def false_positives(bench: Bench) -> None:
    """Print the rates at which each claim is confirmed although it is not true."""
    rows = {}
    for seeds, repeats in NULLS:
        # E1 is truly MARGIN better: the least that a claim of equality must not survive.
        study = partial(claims_study, Design(seeds, repeats=repeats), five_arms(capacity=MARGIN), MARGIN)
        rows[f"{seeds} x {repeats}"] = bench.mean(study, f"null {seeds} {repeats}")
    print(
        f"\nFalse positives at alpha 0.05, {bench.studies} null studies each; conditions: seeds x repeats of 500 scenes"
    )
    _print(rows)
    print("\nLooked at after 3, 5 and 8 seeds, 1 repeat: share of null studies ever stopped")
    _print({"": bench.mean(partial(looks_study, LOOKS), "looks")})
    judged_studies(bench)


def judged_studies(bench: Bench) -> None:
    """Print what ``judge`` says of whole studies of eight seeds, looked at once and three times."""
    few = Bench(bench.pool, max(1, round(bench.studies * JUDGED)), bench.seed)
    plan, arms = _plan(Design(LOOKS[-1]), Assumptions(), 0.05), five_arms(0.05, 0.02)
    rows = {
        name: few.mean(partial(judged_study, replace(plan, looks=looks), arms), "judged")
        for name, looks in (("one look", ()), ("three looks", LOOKS))
    }
    print(f"\n{few.studies} whole studies, each looked at once and three times; true: content +2 points, recipe +5")
    _print(rows)


def power_curves(bench: Bench) -> None:
    """Print the power found beside the plan's prediction, the plan's noise estimated from other simulated seeds."""
    for seeds, repeats in POWERS:
        design, rows = Design(seeds, repeats=repeats), {}
        for recipe, content in (*EFFECTS, (0.0, 0.0)):
            arms, name = five_arms(recipe, content), f"{seeds} {repeats} {recipe}"
            noise = _noise(bench, design, arms, name)
            mean = bench.mean(partial(claims_study, design, arms, MARGIN), f"power {name}")
            truths = {"E2 > E0": recipe, "pred > zero": content, "pred > random": content} if recipe else {"E1 = E0": 0}
            for claim, effect in truths.items():
                told = {each.claim: each.power for each in expect(_plan(design, noise, effect or MARGIN))}
                row = f"{claim} {100 * effect:g}" if effect else claim
                rows[row] = {"simulated": mean[claim], "planned": told[claim]}
        print(f"\nPower, {seeds} seeds, 500 scenes x {repeats}; rows: claim and true effect in points")
        _print(_turned(rows))


def _noise(bench: Bench, design: Design, arms: Mapping[str, SimulatedArm], name: str) -> Assumptions:
    """What a pilot of the same arms tells: memories disagree less where both succeed more often."""
    pilot = bench.mean(partial(pilot_study, design, arms), f"pilot {name}", 0.02)
    return Assumptions(
        pilot["rate"], pilot["run_sd"], pilot["task_sd"], pilot["disagree_runs"], pilot["disagree_memories"]
    )


def _plan(design: Design, noise: Assumptions, effect: float) -> Plan:
    return Plan(
        study="bench",
        label="simulated",
        claims=standard_claims(MARGIN),
        seeds=tuple(range(design.seeds)),
        tasks=tuple(range(len(design.task_rates))),
        init_states=tuple(range(design.init_states)),
        repeats=design.repeats,
        effect=effect,
        assumptions=noise,
    )


def coverage(bench: Bench) -> None:
    """Print how often each 95% interval (90% for bounds) holds the truth."""
    print("\nCoverage of intervals about checkpoints; 95%, bounds 90%;")
    print("conditions: seeds x repeats, content effect in points")
    rows = {}
    for seeds, repeats, effect in ((1, 1, 0.0), (1, 1, 0.05), (5, 4, 0.0), (5, 4, 0.03)):
        study = partial(checkpoint_coverage, Design(seeds, repeats=repeats), effect)
        rows[f"{seeds} x {repeats}, {100 * effect:g}"] = bench.mean(study, f"checkpoint {seeds} {repeats} {effect}")
    _print(rows)
    print("\nOther episodes in each arm; one checkpoint watched scene by scene (holds at every moment, so it is wider)")
    _print({"": bench.mean(separate_coverage, "separate")})
    _print({"": bench.mean(partial(sequence_coverage, 0.03), "sequence")})
    print("\nCoverage of intervals about the recipe; conditions: seeds, and whether a run's tasks vary on their own")
    rows = {}
    for seeds in (5, 8):
        for name, noise in (("coupled", Noise()), ("on their own", INDEPENDENT)):
            study = partial(recipe_coverage, Design(seeds), noise, 0.03, False)
            rows[f"{seeds}, {name}"] = bench.mean(study, f"recipe {seeds} {name}")
    _print(rows)
    study = partial(recipe_coverage, Design(5), Noise(), 0.03, True)
    print("\nThe mixed model, 5 seeds, coupled")
    _print({"": {"mixed model": bench.mean(study, "mixed")["mixed model"]}})


def million(seed: int) -> None:
    """Print time and memory for everything that is computed from a million records in five conditions."""
    conditions = simulate(
        Design(8, repeats=50), five_arms(0.03, 0.02), Noise(), keyed_generator("million", seed)
    ).conditions
    plan = _plan(Design(8, repeats=50), Assumptions(), 0.05)
    begin = time.perf_counter()
    judgement = judge(plan, conditions, [Gate(name, True, "") for name in GIVEN])
    rates = [success_rate(outcomes.of_task(task)) for outcomes in conditions.values() for task in plan.tasks]
    effects = [
        row
        for claim in plan.claims
        for row in task_effects(
            conditions[claim.treated], conditions[claim.control], claim.same_checkpoints, plan.levels, claim.name
        )
    ]
    wall = time.perf_counter() - begin
    records = sum(map(len, conditions.values()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n{records:,} records, {len(judgement.verdicts)} verdicts and {len(rates) + len(effects)} rows per task: ",
        end="",
    )
    print(f"{wall:.1f} s, peak memory of the process {memory:.2f} GiB")


def _turned(rows: dict[str, Numbers]) -> dict[str, Numbers]:
    return {key: {name: row[key] for name, row in rows.items()} for key in next(iter(rows.values()))}


def _print(rows: dict[str, Numbers]) -> None:
    """A table with one condition per entry of ``rows``."""
    names = list(next(iter(rows.values())))
    wide = max(map(len, names))
    print(f"{'':<{wide}}  " + "  ".join(f"{name:>15}" for name in rows))
    for name in names:
        print(f"{name:<{wide}}  " + "  ".join(f"{row[name]:>15.3f}" for row in rows.values()), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run every part, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    begin, noise = time.perf_counter(), Noise()
    share = run_correlation(noise, Design(1).task_rates)
    print(
        f"Run-to-run SD {100 * noise.suite_sd:g} points per suite, {100 * noise.task_sd:g} per task (so tasks of a run "
    )
    print(
        f"correlate by {share:.2f}); initial states differ by {noise.scene_sd:g} probit; shared luck {noise.shared:g}."
    )
    million(options.seed)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        bench = Bench(pool, options.studies, options.seed)
        false_positives(bench)
        power_curves(bench)
        coverage(bench)
    print(f"\n{time.perf_counter() - begin:.0f} s on {options.processes} processes, seed {options.seed}")


if __name__ == "__main__":
    main()
