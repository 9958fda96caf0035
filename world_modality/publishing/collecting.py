"""The repositories of a study: which there are, and which file of a sealed stage lies where in them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from world_modality.errors import UserError
from world_modality.publishing.bundle import OWN, PLANS, Bundle, Laid, Part, Place, RepoFile, What, file_of, stages_file
from world_modality.publishing.dataset_cards import TABLE, card_of_latents, card_of_records, card_of_report
from world_modality.publishing.eval_results import eval_results
from world_modality.publishing.figures import Rate
from world_modality.publishing.model_card import model_card
from world_modality.publishing.names import plain
from world_modality.publishing.publication import Publication
from world_modality.publishing.sealed import laid_stage, require_sound, sealed_of, sealed_plans
from world_modality.report.record_files import write_records
from world_modality.store.done import DoneFile, read_run
from world_modality.store.files import read_object
from world_modality.store.hub import RepoType
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.stage import StageRequest

MODEL = "pretrained_model/"  # the part of a training that LeRobot loads, which becomes the root of its repository
WEIGHTS = ".safetensors"
RECORDS = "records.jsonl"


def bundles_of(publication: Publication, what: Sequence[What]) -> tuple[Bundle, ...]:
    """The repositories of what is sealed, without what ``with_card`` adds, in the order in which they are published.

    UserError if two would be called the same, or a name is none for the hub.
    """
    found = [bundle for kind in _MAKERS if kind in what for bundle in _MAKERS[kind](publication)]
    names: dict[tuple[str, str], str] = {}
    for bundle in found:
        other = names.setdefault((bundle.repo_type, bundle.repo_id.lower()), bundle.label)
        if other != bundle.label:
            raise UserError(
                f"{other} and {bundle.label} would both be called {bundle.repo_id} on the hub: rename one of the arms, "
                "and nothing is computed anew"
            )
    return tuple(found)


def with_card(publication: Publication, bundle: Bundle) -> Bundle:
    """The repository with its card and what is made of the records: a checkpoint's results, the table of all.

    UserError if a sealed file is damaged.
    """
    for laid in bundle.stages:
        require_sound(stage_folder(publication.root, laid.record.stage, laid.record.key), laid.record)
    match bundle.what:
        case "checkpoints":
            return _checkpoint_told(publication, bundle)
        case "latents":
            (laid,) = bundle.stages
            artifact = stage_folder(publication.root, "latents", laid.record.key).artifact
            return replace(bundle, card=card_of_latents(publication, artifact, laid.record))
        case "records":
            table = file_of(TABLE, _table(publication))
            card = card_of_records(publication, _every_rate(publication))
            return replace(bundle, card=card, content=(*bundle.content, table))
        case "report":
            return replace(bundle, card=card_of_report(publication))


def _checkpoint_told(publication: Publication, bundle: Bundle) -> Bundle:
    (laid,) = bundle.stages
    request = publication.graph.stages[laid.record.key]
    folder = stage_folder(publication.root, "train", request.key)
    rates = tuple(publication.figures.rates(request.key))
    config = read_object(folder.artifact / MODEL / "config.json")
    card = model_card(publication, request, laid.record, config, rates)
    results = eval_results(publication, rates, _evaluated_at(publication, request.key))
    return replace(bundle, card=card, content=(*bundle.content, *results))


def _every_rate(publication: Publication) -> tuple[Rate, ...]:
    """Those of every checkpoint, condition by condition."""
    order = {condition: place for place, condition in enumerate(publication.material.results.conditions)}
    rates = [rate for key in publication.figures.checkpoints for rate in publication.figures.rates(key)]
    return tuple(sorted(rates, key=lambda rate: (order[rate.condition.name], rate.episodes[0][0])))


def _evaluated_at(publication: Publication, checkpoint: str) -> str:
    """When the newest rollout of a checkpoint was sealed; "" if the tree does not know."""
    rollouts = [
        each
        for each in publication.graph.of("rollout")
        if any(source.key == checkpoint and source.role == "checkpoint" for source in each.inputs)
    ]
    runs = [read_run(folder.run) for _, folder, _ in sealed_of(publication.root, rollouts)]
    return max((run.sealed_at for run in runs if run), default="")


def _checkpoints(publication: Publication) -> Iterator[Bundle]:
    """One per training: LeRobot's `--policy.path` takes a repository and no branch or folder of it."""
    for request, folder, record in sealed_of(publication.root, publication.trainings()):
        places = {name: Place(file=_place(name)) for name in record.files}
        yield _of_stage(publication, "checkpoints", request, folder, record, places)


def _place(name: str) -> str:
    """Where a training's file lies. What is no part of the policy is called so that nobody loads it as its weights."""
    if name.startswith(MODEL):
        return name.removeprefix(MODEL)
    return f"{OWN}/{name}.bin" if name.endswith(WEIGHTS) else f"{OWN}/{name}"


def _latents(publication: Publication) -> Iterator[Bundle]:
    """One per camera, as `wm latents pull` and a study's `encoder.latents` read it."""
    for request, folder, record in sealed_of(publication.root, publication.graph.of("latents")):
        places = {name: Place(file=name) for name in record.files}
        yield _of_stage(publication, "latents", request, folder, record, places)


def _report(publication: Publication) -> Iterator[Bundle]:
    report = publication.graph.report
    for request, folder, record in sealed_of(publication.root, [report]):
        places = {name: Place(file=name) for name in record.files}
        made = _of_stage(publication, "report", request, folder, record, places)
        yield replace(made, content=(*made.content, *_plans(publication)))


def _of_stage(
    publication: Publication,
    what: What,
    request: StageRequest,
    folder: StageFolder,
    record: DoneFile,
    places: dict[str, Place],
) -> Bundle:
    stages = (laid_stage(publication.graph, folder, record, places),)
    content = (*(file_of(place.file, folder.artifact / name) for name, place in places.items()), stages_file(stages))
    repo_type: RepoType = "model" if what == "checkpoints" else "dataset"
    return Bundle(what, request.label, publication.repository(what, request), repo_type, stages, content)


def _records(publication: Publication) -> Iterator[Bundle]:
    """All rollouts: the records of a condition and seed behind each other in one file, however many stages they are.

    What else a rollout left lies by its key.
    """
    cells = {cell.rollout: (cell.condition, cell.seed) for cell in publication.spec.cells}
    parts: dict[str, list[Part]] = {}
    others: list[RepoFile] = []
    stages: list[Laid] = []
    for request, folder, record in sealed_of(publication.root, publication.graph.of("rollout")):
        condition, seed = cells[request.key]
        places = {}
        for name in record.files:
            if name == RECORDS:
                file = f"records/{plain(condition)}/seed{seed}/{RECORDS}"
                own = parts.setdefault(file, [])
                places[name] = Place(file=file, offset=sum(part.size for part in own))
                own.append(Part(folder.artifact / name))
            else:
                places[name] = Place(file=f"{OWN}/{request.key}/{name}")
                others.append(file_of(places[name].file, folder.artifact / name))
        stages.append(laid_stage(publication.graph, folder, record, places))
    if stages:
        whole = [RepoFile(name, tuple(own)) for name, own in parts.items()]
        content = (*whole, *others, stages_file(stages), *_plans(publication))
        yield Bundle("records", "records", publication.repository("records"), "dataset", tuple(stages), content)


def _table(publication: Publication) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_records(publication.material.results, Path(folder))
        return (Path(folder) / TABLE).read_bytes()


def _plans(publication: Publication) -> Iterator[RepoFile]:
    """The study's sealed plans, without which another tree could not tell that they were there before the rollouts."""
    lines = [
        json.dumps({"name": name, "text": text}) + "\n"
        for name, text in sealed_plans(publication.root, publication.graph.study)
    ]
    if lines:
        yield file_of(PLANS, "".join(lines))


_MAKERS: dict[What, Callable[[Publication], Iterator[Bundle]]] = {
    "latents": _latents,
    "checkpoints": _checkpoints,
    "records": _records,
    "report": _report,
}
