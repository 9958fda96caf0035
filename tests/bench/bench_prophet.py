"""Does a Prophet that is trained by itself foresee as much as ridge regression, and more where there is more?

``python -m bench.bench_prophet``, on the demo study's dataset for every small encoder, and on bouncing balls with
occlusion for the first. Stages latents and prophet, several seeds each; a figure is the mean over held-out episodes of
Prophet minus ridge, with its 95% interval. The lines to read begin with ``BENCH prophet``. It ends with status 1 if a
lower bound is not above -0.01, or if on the balls the cosine of the change is not 0.05 better at k >= 4.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from support.bouncing_balls import write_balls
from support.data_stages import encoder_spec

from world_modality.encoders.source import build_embedded_encoder
from world_modality.facts.encoders import ENCODERS, small_encoders
from world_modality.latents.stage import run as encode
from world_modality.prophet.judging import PROPHET
from world_modality.prophet.stage import run as train
from world_modality.report.forecast import Judgement
from world_modality.report.judgement import read_finite
from world_modality.report.prophet_margins import FIGURES, MARGIN, RIDGE, Margin, margins
from world_modality.store.machine import machine
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.prophet import ProphetSpec
from world_modality.study.specs import LatentsSpec

BETTER, FROM_STEP = 0.05, 4
CAMERA = "image"


def context_of(folder: Path, label: str, cores: int, **inputs: Path) -> StageContext:
    """A stage's folders, as the store hands them over."""
    for name in ("artifact", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    roles = {role: (path,) for role, path in inputs.items()}
    return StageContext(
        "0" * 16, folder / "artifact", folder / "volatile", folder / "work", roles, Progress(label), cores
    )


def latents_of(folder: Path, dataset: Path, name: str, cores: int) -> Path:
    """The latents of a dataset by a small encoder."""
    kind = small_encoders()[name].name
    spec = encoder_spec(kind, frames=4, image_size=64, name=name)
    (folder / "encoder").mkdir(parents=True)
    build_embedded_encoder(spec, folder / "encoder")
    context = context_of(folder / "latents", f"latents {name}", cores, dataset=dataset, encoder=folder / "encoder")
    encode(LatentsSpec(encoder=spec, camera=CAMERA, dtype="float16"), context)
    return context.artifact


def judgement(folder: Path, dataset: Path, latents: Path, seed: int, arguments: Any) -> Judgement:
    """What is found of a Prophet that is trained with a seed."""
    spec = ProphetSpec(
        cameras=(CAMERA,),
        context=4,
        prediction_horizon=8,
        heads=8,
        prophet_layers=arguments.layers,
        prophet_width=arguments.width,
        hypotheses=1,
        delta=True,
        prophet_rank=None,
        prophet_steps=arguments.steps,
        step_weights=(),
        seed=seed,
        threads=arguments.cores,
        held_out=arguments.held_out,
        device="auto",
    )
    context = context_of(
        folder / f"seed{seed}", f"prophet seed {seed}", arguments.cores, dataset=dataset, latents_image=latents
    )
    train(spec, context)
    said = read_finite(context.artifact / PROPHET)
    single = said["by_episode"]["predictors"]
    return Judgement("", seed, said["held_out"], len(said["episodes"]), said["frames"], False, {}, single)


def tell(world: str, name: str, found: list[Judgement]) -> list[str]:
    """Print the differences of every seed; what misses its target."""
    missed = []
    for judged in found:
        for figure in FIGURES:
            steps = margins([judged], figure.name, RIDGE)
            told = " ".join(f"k{k + 1}={_text(each)}" for k, each in enumerate(steps))
            print(f"BENCH prophet world={world} encoder={name} seed={judged.seed} {figure.name} {told}", flush=True)
            for k, each in enumerate(steps, 1):
                if each is None or each.low is None or each.low <= -MARGIN:
                    missed.append(f"{world} {name} seed {judged.seed} {figure.name} k={k}: {_text(each)}")
                if world == "balls" and figure.name == "change_cosine" and k >= FROM_STEP and each is not None:
                    missed += [f"balls seed {judged.seed} k={k}: +{each.mean:.3f}"] * (each.mean < BETTER)
    return missed


def _text(margin: Margin | None) -> str:
    if margin is None or margin.low is None or margin.high is None:
        return "none"
    return f"{margin.mean:+.3f}[{margin.low:+.3f},{margin.high:+.3f}]"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, default=Path("results/by-name/demo/dataset"))
    parser.add_argument("--encoders", nargs="+", default=list(small_encoders()))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--held-out", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--balls", type=int, default=80, help="episodes of 60 frames")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    print(machine(), flush=True)
    first = next(name for family in ENCODERS for name in family.small)
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        worlds = [("demo", arguments.dataset.resolve(), name) for name in arguments.encoders]
        if arguments.balls:
            worlds.append(("balls", write_balls(root / "balls", arguments.balls, 60), first))
        for world, dataset, name in worlds:
            folder = root / f"{world}-{name}"
            latents = latents_of(folder, dataset, name, arguments.cores)
            began = time.perf_counter()
            found = [judgement(folder, dataset, latents, seed, arguments) for seed in arguments.seeds]
            seconds = (time.perf_counter() - began) / len(found)
            print(f"BENCH prophet world={world} encoder={name} episodes={found[0].episodes} seconds={seconds:.0f}")
            missed += tell(world, name, found)
    for each in missed:
        print(f"missed: {each}")
    print(f"BENCH prophet {'every target is met' if not missed else f'{len(missed)} targets are missed'}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
