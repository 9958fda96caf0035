"""The card of a checkpoint: what is known of how it was trained and what it achieved, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.points import points
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of, has_memory
from world_modality.facts.world import PROPHETS
from world_modality.publishing.claims import may_claim
from world_modality.publishing.figures import Rate
from world_modality.publishing.publication import Publication
from world_modality.publishing.words import finished, grid, study_section
from world_modality.report.table import short_names
from world_modality.store.done import DoneFile
from world_modality.store.stage import StageRequest
from world_modality.study.specs import DatasetSpec, EncoderSpec, PolicySpec, TrainSpec

LIBRARY, PIPELINE = "lerobot", "robotics"
PLUGIN = "lerobot_policy_world_modality"


def model_card(
    publication: Publication,
    request: StageRequest,
    record: DoneFile,
    config: Mapping[str, Any],
    rates: Sequence[Rate],
) -> str:
    """README.md of a checkpoint's repository; its front matter has been through the hub's own classes.

    Args:
        publication: the study.
        request: the training.
        record: what was sealed of it.
        config: the checkpoint's config.json.
        rates: what it achieved, condition by condition and suite by suite.
    """
    from huggingface_hub import ModelCard

    repo_id, spec = publication.repository("checkpoints", request), request.spec
    assert isinstance(spec, TrainSpec)
    name = publication.name_of(request)
    parts = [
        f"# {name} of the study {publication.graph.study}",
        f"A {family_of(config['type']).label} policy of LeRobot (type `{config['type']}`), trained with World Modality "
        f"as `{name}`. Its memory held, while it was trained: {MODES[spec.memory].holds} (mode {spec.memory})."
        + _aligned(spec),
        *_success(publication, rates),
        *may_claim(publication, rates, spec.seed),
        *study_section(publication),
        "## How it was trained",
        grid(("setting", "value"), [*_training(publication, request, spec), *_stage_rows(record)]),
        "What trains the world memory, and what each mode of it holds, is told by the package's documentation.",
        *_use(repo_id, config),
    ]
    return finished(ModelCard, _front(publication, request, spec, name, rates), parts)


def _front(publication: Publication, request: StageRequest, spec: TrainSpec, name: str, rates: Sequence[Rate]) -> Any:
    from huggingface_hub import ModelCardData

    start, dataset = publication.input_of(request, "policy"), publication.input_of(request, "dataset")
    return ModelCardData(
        library_name=LIBRARY,
        pipeline_tag=PIPELINE,
        license=publication.license or None,
        base_model=_of_the_hub(start),
        datasets=_of_the_hub(dataset),
        tags=[PIPELINE, LIBRARY, "world-modality", spec.family, f"memory-{spec.memory}"],
        model_name=name if rates else None,
        eval_results=[_result(publication, rate) for rate in rates] or None,
    )


def _of_the_hub(request: StageRequest | None) -> str | None:
    """The repository that a policy or dataset comes from; None for what is from elsewhere."""
    match request.spec if request else None:
        case PolicySpec(source="hub", name=name):
            return name
        case DatasetSpec(source="hub", repo_id=repo_id):
            return repo_id
    return None


def _result(publication: Publication, rate: Rate) -> Any:
    """A rate for the card's model-index. The data set is the study's records, which hold every episode."""
    from huggingface_hub import EvalResult

    records = publication.known("records")
    return EvalResult(
        task_type=PIPELINE,
        dataset_type=records or rate.suite,
        dataset_name=publication.spec.label if len(publication.spec.suites) == 1 else rate.suite,
        dataset_config=rate.condition.name,
        metric_type="success_rate",
        metric_name=f"Success rate in percent, {len(rate.episodes)} episodes, {MODES[rate.condition.rolled].noun}",
        metric_value=_percent(rate.interval.estimate),
        metric_args={
            "episodes": len(rate.episodes),
            "successes": rate.successes,
            "scenes": rate.scenes,
            "confidence": rate.confidence,
            "low": _percent(rate.interval.low),
            "high": _percent(rate.interval.high),
        },
        source_name="records of every episode" if records else None,
        source_url=publication.address(records, dataset=True) if records else None,
    )


def _percent(fraction: float) -> float:
    return float(points(fraction))


def _success(publication: Publication, rates: Sequence[Rate]) -> list[str]:
    if not rates:
        return ["## Success", "No episode of this checkpoint was rolled out yet."]
    rows = [
        (
            rate.condition.name,
            MODES[rate.condition.rolled].noun,
            rate.suite,
            f"{rate.successes}/{len(rate.episodes)}",
            f"{points(rate.interval.estimate)}%",
            f"{points(rate.interval.low)} to {points(rate.interval.high)}",
            str(rate.scenes),
        )
        for rate in rates
    ]
    level = f"{100 * rates[0].confidence:.4g}% interval"
    header = ("condition", "memory while acting", "suite", "episodes that succeeded", "rate", level, "scenes")
    languages = {trial.place: record.language for rate in rates for trial, record in rate.episodes}
    tasks = [(f"{suite} {task}", languages[suite, task]) for suite, task in sorted(languages)]
    names = ", ".join(short_names(languages).values())
    told = [grid(("task", "instruction"), tasks)] if len(tasks) <= 20 else [f"{len(tasks)} tasks: {names[:1000]}"]
    return [f"## Success on {publication.spec.label}", grid(header, rows), *told]


def _aligned(spec: TrainSpec) -> str:
    if spec.world is None or not spec.world.align:
        return ""
    return (
        " Hidden states of its action expert were taught to foretell the next "
        f"{spec.world.prediction_horizon} latents of {', '.join(spec.world.cameras)}, by a loss of weight "
        f"{spec.world.align_weight:g}; a rollout reads nothing of that."
    )


def _training(publication: Publication, request: StageRequest, spec: TrainSpec) -> list[tuple[str, str]]:
    optim = spec.optim
    start, dataset, encoder = (publication.input_of(request, role) for role in ("policy", "dataset", "encoder"))
    rows = [
        ("start policy", _part(start)),
        ("dataset", _part(dataset)),
        ("held out", f"{100 * spec.held_out:g}% of every task's episodes" if spec.held_out else "nothing"),
        ("steps, batch", f"{spec.last_step} of {optim.steps}, {optim.batch_size}"),
        ("learning rate", "the policy type's own" if optim.preset else f"{optim.lr:g}, decaying to {optim.decay_lr:g}"),
        ("seed, numbers", f"{spec.seed}, {spec.dtype}"),
        ("memory mode", f"{spec.memory}: {MODES[spec.memory].holds}"),
    ]
    if spec.world is not None and not spec.world.align:
        world = spec.world
        rows += [
            ("memory", f"fusion {world.fusion}, cameras {', '.join(world.cameras)}"),
            ("Prophet", f"{world.context} latents of history, {world.prediction_horizon} predicted, "
             f"{world.prophet_layers} layer{'s' * (world.prophet_layers > 1)} of width {world.prophet_width}; "
             f"{PROPHETS[world.prophet]}"),
        ]  # fmt: skip
    return [*rows, ("encoder", _part(encoder) if encoder else "none: no latents are read")]


def _part(request: StageRequest | None) -> str:
    """Where a part came from; a folder of somebody's machine by its content alone."""
    match request.spec if request else None:
        case PolicySpec(source=source, name=name, revision=revision, backbone=backbone):
            built = f", around {backbone}" if backbone else ""
            return f"{_source(source, name, revision)}{built}"
        case DatasetSpec(source=source, repo_id=repo_id, revision=revision):
            return _source(source, "" if source == "scripted" else repo_id, revision)
        case EncoderSpec() as made:
            told = _source(made.source, made.name, made.revision)
            return (
                f"{made.kind}, {told}; clips of {made.frames} frames, {made.image_size} pixels, {made.pooling} "
                f"pooling, {made.dtype}"
            )
        case TrainSpec():
            return "a training of the same study"
    return "none"


def _source(source: str, name: str, revision: str) -> str:
    return " ".join(filter(None, (source, "" if source == "folder" else name, revision)))


def _stage_rows(record: DoneFile) -> list[tuple[str, str]]:
    software = ", ".join(f"{package} {version}" for package, version in sorted(record.versions.items()))
    return [
        ("device", str(record.facts.get("device", "not told"))),
        ("software", software),
        ("sealed as", f"`{record.stage}/{record.key}`, content `{record.content_digest}`"),
    ]


def _use(repo_id: str, config: Mapping[str, Any]) -> list[str]:
    kind = str(config["type"])
    ours = has_memory(kind) or family_of(kind).sees_latents
    needs = f"LeRobot knows this type once `{PLUGIN}` is installed." if ours else "LeRobot loads it by itself."
    return [
        "## Use",
        f"{needs}\n```\n"
        f"wm rollout --policy.path {repo_id} --suite SUITE --episodes 50 --output evaluations/this\n"
        f"wm study init --from {repo_id} --suite SUITE\n"
        f"wm fetch-published {repo_id}\n```\n"
        f"In a study it is `policy: {{source: hub, repo_id: {repo_id}, revision: main}}`. `wm fetch-published` takes "
        "the sealed training up again, digest by digest, with metrics and optimiser state.",
    ]
