"""Make and judge the package's trained encoder, and put it into the package.

Called by ``make embedded-encoder``. What is sealed is not made again, and what was begun goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from world_modality.embedded import TRAINED_ENCODER
from world_modality.errors import UserError
from world_modality.pretraining.comparison import Probes, shortfalls, table
from world_modality.pretraining.plan import Recipe, plan_recipe, read_recipe
from world_modality.pretraining.probing import PROBES
from world_modality.pretraining.specs import MODEL
from world_modality.store.done import read_done, read_run
from world_modality.store.files import new_folder, sync_folder, write_json
from world_modality.store.index import sealed_done
from world_modality.store.layout import RESULTS_VARIABLE, results_folder, stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.snapshot import write_snapshot

RECIPE = Path(__file__).parents[1] / "encoders" / "embedded_encoder.yaml"
KINDS = ("footage", "encoder", "pretraining", "probes")
"""Of stages, in the order in which they are made."""
LARGEST = 15_000_000  # bytes: the encoder is part of the repository


def needed(graph: Graph, encoders: Iterable[str]) -> frozenset[str]:
    """Keys of these encoders' probes and of all that they are made from; UserError if there is no such encoder."""
    waiting, found = [], set[str]()
    for name in encoders:
        if f"probes/{name}" not in graph.names:
            known = [each.partition("/")[2] for each in graph.names if each.startswith("probes/")]
            raise UserError(f"the recipe has no encoder {name}: choose some of {', '.join(known)}")
        waiting.append(graph.names[f"probes/{name}"])
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += [each.key for each in graph.stages[key].inputs]
    return frozenset(found)


def make(root: Path, graph: Graph, cores: int, kinds: Iterable[str], keys: frozenset[str]) -> None:
    """Run those of these stages that are of some kinds, kind after kind; UserError names the first that failed."""
    plan = write_snapshot(root, graph)

    def run(request: StageRequest) -> None:
        if sealed_done(stage_folder(root, request.stage, request.key)) is not None:
            return
        command = [sys.executable, "-m", "world_modality.cli.main", "stage", request.stage, request.key]
        command += ["--plan", str(plan), "--cores", "1", *(["--together"] if request.stage == "footage" else [])]
        if subprocess.run(command, env=os.environ | {RESULTS_VARIABLE: str(root)}, check=False).returncode:
            raise UserError(f"{request.label} failed: see {stage_folder(root, request.stage, request.key).log}")

    for kind in kinds:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, [request for request in graph.of(kind) if request.key in keys]))


def probes_of(root: Path, graph: Graph) -> dict[str, Probes]:
    """``probes.json`` of every encoder that was probed, by its name."""
    names = {name.partition("/")[2]: key for name, key in graph.names.items() if name.startswith("probes/")}
    found = {name: stage_folder(root, "probes", key) for name, key in names.items()}
    return {
        name: json.loads((folder.artifact / PROBES).read_text())
        for name, folder in found.items()
        if sealed_done(folder) is not None
    }


def judged(recipe: Recipe, probes: Mapping[str, Probes]) -> dict[str, list[str]]:
    """By training that was probed, what keeps its encoder from beating random weights by the margin; empty if it does.

    KeyError unless all random encoders were probed.
    """
    random = (*recipe.untrained, *recipe.small)
    return {
        name: [line for other in random for line in shortfalls(probes[name], probes[other], other)]
        for name in recipe.trainings
        if name in probes
    }


def export(root: Path, graph: Graph, recipe: Recipe, target: Path = TRAINED_ENCODER) -> None:
    """Replace ``target`` by the encoder of the recipe's exported training, with how it was made.

    Raises:
        UserError: it is not made yet, or too large for the repository.
    """
    folder = stage_folder(root, "pretraining", graph.names[f"pretraining/{recipe.exported}"])
    record, run = read_done(folder.done), read_run(folder.run)
    if record is None:
        raise UserError(f"{folder.path} is not sealed: run `make embedded-encoder`")
    size = sum(file.stat().st_size for file in (folder.artifact / MODEL).iterdir())
    if size > LARGEST:
        raise UserError(
            f"{folder.path} takes {size:,} bytes: an embedded encoder may take {LARGEST:,}, make it smaller"
        )
    provenance = {
        "recipe": recipe.model_dump(mode="json"),
        "training": record.key,
        "footage": [source.key for source in record.upstream],
        "sealed_at": run.sealed_at if run else "",
        "source_digest": record.source_digest,
        "versions": record.versions,
        "machine": {name: value for name, value in run.machine.items() if name != "host"} if run else {},
    }
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    with new_folder(target) as draft:
        for file in (folder.artifact / MODEL).iterdir():
            shutil.copyfile(file, draft / file.name)
        write_json(draft / "provenance.json", provenance)
    shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def told(recipe: Recipe, probes: Mapping[str, Probes]) -> str:
    """The table of the encoders that were probed, and of each trained one whether it beats random weights."""
    random = [name for name in (*recipe.untrained, *recipe.small) if name in probes]
    parts = [table(probes, random)]
    if len(random) == len(recipe.untrained) + len(recipe.small):
        for name, lines in judged(recipe, probes).items():
            verdict = "falls short" if lines else "beats random weights by the margin"
            parts.append("\n".join([f"{name}: {verdict}", *lines]))
    return "\n\n".join(parts)


def main() -> None:
    """Make, tell, export; an error meant for a person is one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--until", choices=KINDS, default=KINDS[-1], help="the last kind of stages that is made")
    parser.add_argument("--encoders", nargs="+", help="only these of the recipe, by name; then nothing is exported")
    parser.add_argument("--export", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    try:
        recipe = read_recipe(options.recipe)
        root, graph = results_folder().absolute(), plan_recipe(recipe)
        keys = needed(graph, options.encoders) if options.encoders else frozenset(graph.stages)
        make(root, graph, options.cores, KINDS[: KINDS.index(options.until) + 1], keys)
        probes = probes_of(root, graph)
        if probes:
            print(told(recipe, probes))
        if options.until == KINDS[-1] and options.export and not options.encoders:
            if judged(recipe, probes)[recipe.exported]:
                raise UserError(f"{recipe.exported} falls short, so it is not put into the package")
            export(root, graph, recipe)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
