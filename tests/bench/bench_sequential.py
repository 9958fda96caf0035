"""Does stopping early keep its error probability, and what does it save? ``python -m bench.bench_sequential``.

Simulates pairs of episodes on the same scenes. False positives: two checkpoints without any difference over all tasks,
at many base rates, shares of luck, repeats and sizes of looks, looked at after every look; also such as differ on every
task, by differences that cancel. Savings: true gains beside the fixed test of the same plan. Writes nothing; the same
``--seed`` prints the same numbers. Exit status 1 if a false-positive rate is above alpha.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.stats import binom
from support.simulated_pairs import Pairs

from world_modality.evidence.outcomes import Floats
from world_modality.evidence.resampling import keyed_generator
from world_modality.evidence.sequential import Stops, stops_of

ALPHA, WANTED, TASKS = 0.05, 0.05, 10
RATES = (0.05, 0.2, 0.5, 0.8, 0.95)
SHARED = (0.0, 0.5, 0.9)
GAINS = (0.0, 0.05, 0.10, 0.15)
PER_LOOK = (1, 5)
NOTHING = 0.0
"""A wanted gain that is ruled out by harm alone: so that nothing but a false finding stops a study."""
BATCH = 2_000  # studies that are held in memory at once
CONTROL = (0.55, 0.85, 0.65, 0.80, 0.70, 0.50, 0.75, 0.80, 0.60, 0.80)
"""The control's rates where a gain is looked for: 70% over all tasks, and room for 15 points on each."""


def nulls() -> list[tuple[str, Pairs, int]]:
    """Studies without any difference over all tasks: name, pairs, scenes of each task per look."""
    found = [
        (f"rate {rate:g}, shared luck {shared:g}", Pairs((rate,) * TASKS, (0.0,) * TASKS, shared=shared), 1)
        for rate in RATES
        for shared in SHARED
    ]
    cancelling = tuple(0.2 if task % 2 else -0.2 for task in range(TASKS))
    lopsided = (-0.45, *(0.05,) * (TASKS - 1))
    even = (0.5,) * TASKS
    for per_look in (1, 5):
        found += [
            (f"tasks of their own rates, looks of {per_look}", Pairs(CONTROL, (0.0,) * TASKS), per_look),
            (f"+-20 points by task, looks of {per_look}", Pairs(even, cancelling), per_look),
            (f"+5 on nine tasks, -45 on one, looks of {per_look}", Pairs(even, lopsided), per_look),
            (f"4 repeats, looks of {per_look}", Pairs(even, (0.0,) * TASKS, repeats=4), per_look),
        ]
    found.append(("one task, 500 scenes, looks of 1", Pairs((0.5,), (0.0,), init_states=500, shared=0.0), 1))
    return found


def stops(pairs: Pairs, per_look: int, wanted: float, studies: int, *key: int | str) -> tuple[Stops, float, float]:
    """When the studies stop, the share of pairs that end otherwise, and the power of the fixed test of all scenes."""
    parts, disagree, found = list[Stops](), list[float](), list[bool]()
    for number, start in enumerate(range(0, studies, BATCH)):
        looks = pairs.looks(min(BATCH, studies - start), per_look, keyed_generator("sequential", *key, number))
        parts.append(stops_of(looks, wanted, ALPHA))
        whole = np.concatenate(looks, axis=1)
        disagree.append(float((whole != 0).mean()))
        found += _fixed(whole).tolist() if pairs.repeats == 1 else []
    weights = np.array([part.scenes.size for part in parts]) / studies
    told = [float(weights @ [getattr(part, name) for part in parts]) for name in ("helps", "hurts", "futile")]
    scenes = np.concatenate([part.scenes for part in parts])
    return Stops(scenes, *told), float(weights @ disagree), float(np.mean(found)) if found else float("nan")


def _fixed(gaps: Floats) -> Floats:
    """Whether the exact sign test of all scenes finds a gain at alpha; bool [studies]."""
    wins, losses = (gaps > 0).sum(axis=1), (gaps < 0).sum(axis=1)
    return np.asarray(binom.sf(wins - 1, wins + losses, 0.5) <= ALPHA)


def false_positives(studies: int, seed: int) -> float:
    """Print how often each direction is found where there is none, looked at after every look; the largest share."""
    print(f"\nFound although there is none, alpha {ALPHA:g}, {studies} studies each, 10 tasks x 50 scenes")
    print(f"{'':<48}  pairs differ   helps   hurts")
    worst = 0.0
    for name, pairs, per_look in nulls():
        found, disagree, _ = stops(pairs, per_look, NOTHING, studies, seed, name)
        worst = max(worst, found.helps, found.hurts)
        print(f"{name:<48}  {disagree:>12.3f}  {found.helps:>6.4f}  {found.hurts:>6.4f}", flush=True)
    print(f"largest {worst:.4f}")
    return worst


def savings(studies: int, seed: int) -> None:
    """Print when studies stop that have a true gain, or none, beside the fixed plan."""
    for init_states, shared in product((50, 100, 200), (0.5, 0.0)):
        scenes = TASKS * init_states
        print(f"\nPlan of {scenes} scenes ({TASKS} tasks x {init_states}), control 70%, shared luck {shared:g}")
        print(f"wanted {100 * WANTED:g} points; episodes are those of both arms")
        print("gain  look  pairs differ  fixed finds   finds  rules out  median episodes  median saved  mean saved")
        for gain in GAINS:
            pairs = Pairs(CONTROL, (gain,) * TASKS, init_states, shared=shared)
            for per_look in PER_LOOK:
                key = f"gain {gain} {init_states} {shared} {per_look}"
                found, disagree, fixed = stops(pairs, per_look, WANTED, studies, seed, key)
                met, ruled_out = 2 * found.scenes, found.futile + found.hurts
                saved = 2 * scenes - met
                print(
                    f"{100 * gain:>4.0f}  {per_look * TASKS:>4}  {disagree:>12.3f}  {fixed:>11.3f}  {found.helps:>6.3f}"
                    f"  {ruled_out:>9.3f}  {np.median(met):>15.0f}  {np.median(saved):>12.0f}  {saved.mean():>10.0f}",
                    flush=True,
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print both parts; 1 if a false-positive rate is above alpha."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000, help="simulated studies per line")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    worst = false_positives(options.studies, options.seed)
    savings(max(1, options.studies // 5), options.seed)
    print(f"\n{time.perf_counter() - begin:.0f} s, one process, seed {options.seed}")
    if worst > ALPHA:
        print(f"MISSED: a false-positive rate of {worst:.4f} is above {ALPHA:g}")
    return int(worst > ALPHA)


if __name__ == "__main__":
    sys.exit(main())
