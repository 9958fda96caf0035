"""Offline evaluation of a given checkpoint by the earlier system's three commands, with its flags.

``eval_offline`` tells errors and forecasts, ``intervention_corrupt_world`` what another present token does to model C,
``intervention_corrupt_future`` what another memory does to model F. Each prints tables, and keeps ``offline.json`` and
``episodes.parquet`` in a new folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.cli.earlier_programs import add_ignored, parser, place, positive, run, told, use_device
from world_modality.cli.world_tokens import Files
from world_modality.data.episodes import dataset_fingerprint, read_episode_table
from world_modality.errors import UserError
from world_modality.facts.discrete import MODELS
from world_modality.facts.offline import CORRUPTIONS, MOST_FRAMES, Corrupted, known_as
from world_modality.store.done import stage_of
from world_modality.store.layout import stage_folder
from world_modality.study.specs import latents_role, tokens_role

IGNORED = {
    "image_key": "the checkpoint says whose latents it reads",
    "proprio_key": "it is read as observation.state",
    "action_key": "it is read as action",
    "instruction_key": "a checkpoint that reads instructions knows them, by the task of a frame",
    "episode_id_key": "the dataset's episode table says where episodes are",
    "num_workers": "latents and actions are read as they are needed",
}
"""Flags that are taken and decide nothing here, and why."""
LANGUAGE = {"use_language": "the checkpoint says whether it reads instructions"}
SPLIT = "train"
"""First word of the files in the cache: they hold the whole dataset."""
ALL = "all"
LATENTS, TOKENS = "latents.json", "tokens.json"
KNOWN_BY = {
    LATENTS: "latents",
    TOKENS: "world tokens",
    "config.json": "a checkpoint",
    "meta/info.json": "a dataset",
}
"""What a folder is of that holds such a file."""
EARLIER = {"shuffle": "other_episode"}
"""What the earlier system called a corruption."""


def eval_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.eval_offline``."""
    flags = _parser("eval_offline", "Errors of a checkpoint's actions, and how it foresees the world.")
    run(flags, lambda arguments: _evaluate(arguments, None), given)


def world_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.intervention_corrupt_world``."""
    flags = _parser("intervention_corrupt_world", "What model C does if it is told another world token.")
    _add_mode(flags, "token")
    run(flags, lambda arguments: _evaluate(arguments, "token"), given)


def future_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.intervention_corrupt_future``."""
    flags = _parser("intervention_corrupt_future", "What model F does if its actions read another memory.", batch=512)
    _add_mode(flags, "memory")
    flags.add_argument("--max_batches", type=positive, default=200, help="so many batches of frames at most are drawn")
    run(flags, lambda arguments: _evaluate(arguments, "memory"), given)


def _parser(program: str, about: str, batch: int = 256) -> argparse.ArgumentParser:
    flags = parser(program, about, split=False)
    flags.add_argument("--checkpoint", type=Path, required=True, help="pretrained_model folder of a world_transformer")
    flags.add_argument(
        "--split",
        choices=("val", "train", ALL),
        default="val",
        help="which episodes: those that the checkpoint held out, the others, or all",
    )
    flags.add_argument("--episodes", type=_episodes, help="those of these numbers instead: 0,3,5-9")
    flags.add_argument(
        "--latents",
        type=Path,
        nargs="+",
        help="folder of each camera's latents; by default where the checkpoint says, or in the cache",
    )
    flags.add_argument("--world_tokens", type=Path, help="folder of a tokens stage; by default the same")
    flags.add_argument("--batch_size", type=positive, default=batch)
    flags.add_argument("--seed", type=int, default=0, help="of what corrupts")
    flags.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    flags.add_argument("--output_dir", type=Path, help=f"new folder; {program}_results by default")
    flags.add_argument("--use_language", action="store_const", const=True, help="without effect")
    add_ignored(flags, IGNORED)
    return flags


def _add_mode(flags: argparse.ArgumentParser, of: Corrupted) -> None:
    kinds = [each.kind for each in CORRUPTIONS if each.of == of]
    choices = (ALL, *kinds, *(name for name, kind in EARLIER.items() if kind in kinds))
    flags.add_argument("--corruption_mode", choices=choices, default=ALL, help="what takes its place")


def _episodes(text: str) -> tuple[int, ...]:
    """``0,3,5-9``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"'{text}' names no episodes: write numbers like 0,3,5-9")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _evaluate(given: argparse.Namespace, of: Corrupted | None) -> Iterator[str]:
    """Evaluate, keep and tell; ``of`` is what is corrupted, None: nothing."""
    import torch

    from world_modality.offline.evaluation import evaluate
    from world_modality.offline.interventions import Interventions
    from world_modality.offline.judged import load_judged
    from world_modality.policies.config_file import read_config_file
    from world_modality.store.files import new_folder

    yield from told(given, {**IGNORED, **LANGUAGE})
    use_device(given.device)
    settings = read_config_file(given.checkpoint)
    _require_what_is_corrupted(given.checkpoint, settings, of)
    dataset, name = place(given)
    judged = load_judged(
        given.checkpoint,
        dataset,
        *_caches(given, settings, given.cache_dir / name),
        episodes=_wanted(given, settings, dataset),
        seed=given.seed,
        most=given.max_batches * given.batch_size if of == "memory" else MOST_FRAMES,
        device="cuda" if given.device != "cpu" and torch.cuda.is_available() else "cpu",
    )
    mode = getattr(given, "corruption_mode", "")
    kind = EARLIER.get(mode, mode)
    asked = {row.name for row in CORRUPTIONS if row.of == of and kind in (ALL, row.kind)}
    left_out = Interventions(judged).left_out
    if asked and asked <= left_out.keys():
        why = "; ".join(dict.fromkeys(left_out[name] for name in asked))
        raise UserError(f"--corruption_mode {mode}: nothing can be put there: {why}")
    output = given.output_dir or Path(f"{_program(of)}_results")
    if output.exists():
        raise UserError(f"{output} exists already and is never overwritten: name another --output_dir")
    evaluation = evaluate(judged, wanted=lambda row: row.name in asked, batch=given.batch_size)
    with new_folder(output) as folder:
        evaluation.write(folder)
    yield from _tables(evaluation.result, of)
    yield f"written      {output}"


def _program(of: Corrupted | None) -> str:
    return {None: "eval_offline", "token": "intervention_corrupt_world", "memory": "intervention_corrupt_future"}[of]


def _require_what_is_corrupted(checkpoint: Path, settings: Mapping[str, Any], of: Corrupted | None) -> None:
    """UserError if the checkpoint has none of it; other types are refused where they are loaded."""
    model = settings.get("model", "")
    if of is None or model not in MODELS:
        return
    name = known_as(model, settings.get("world_memory_mode_train", ""))
    if of == "token" and MODELS[model].world_input != "token":
        raise UserError(f"{checkpoint} is model {name}, which reads no world token: give a checkpoint of model C")
    if of == "memory" and name == model:
        raise UserError(
            f"{checkpoint} is model {name}, which reads no memory: give one of model F, which is A with a memory"
        )


def _wanted(given: argparse.Namespace, settings: Mapping[str, Any], dataset: Path) -> Sequence[int] | None:
    """The episodes to judge; None: those that the checkpoint held out."""
    if given.episodes is not None:
        episodes: tuple[int, ...] = given.episodes
        return episodes
    if given.split == "val":
        return None
    everything = range(len(read_episode_table(dataset)))
    if given.split == ALL:
        return everything
    from world_modality.memory.lookup import training_set_of
    from world_modality.offline.judged import of_another_dataset

    held_out = settings.get("world_held_out") or ()
    if settings.get("world_trained_on", "") not in ("", training_set_of(dataset_fingerprint(dataset), held_out)):
        raise of_another_dataset(given.checkpoint, held_out)
    return [episode for episode in everything if episode not in held_out]


def _caches(given: argparse.Namespace, settings: Mapping[str, Any], cache: Path) -> tuple[list[Path], Path | None]:
    """Folders of the latents and of the tokens: as given, else what a study's training read, else where the checkpoint
    says, else in the cache."""
    cameras = str(settings.get("world_cameras", "image")).split(",")
    if given.latents and len(given.latents) != len(cameras):
        raise UserError(f"--latents: give one folder for each of the checkpoint's cameras, {', '.join(cameras)}")
    files = [Files(cache, SPLIT, camera) for camera in cameras]
    said = [Path(each) for each in str(settings.get("world_latents") or "").split(os.pathsep) if each]
    read = _read_by(given.checkpoint, [latents_role(camera) for camera in cameras])
    latents = given.latents or _there(read) or _there(said) or [each.latents for each in files]
    _require(latents, LATENTS, "--latents")
    row = MODELS[settings["model"]] if settings.get("model") in MODELS else None
    if row is None or not row.knows_tokens:
        return latents, None
    said = [Path(each) for each in [str(settings.get("world_tokens") or "")] if each]
    read = _read_by(given.checkpoint, [tokens_role(cameras[0])])
    (tokens,) = [given.world_tokens] if given.world_tokens else _there(read) or _there(said) or [files[0].made]
    _require([tokens], TOKENS, "--world_tokens")
    return latents, tokens


def _read_by(checkpoint: Path, roles: Sequence[str]) -> list[Path]:
    """What the study's training that made a checkpoint read in these roles; nothing if none did."""
    found = stage_of(checkpoint)
    if found is None:
        return []
    stage, record = found
    read = {each.role: stage_folder(stage.path.parents[1], each.stage, each.key).artifact for each in record.upstream}
    return [read[role] for role in roles if role in read]


def _there(folders: Sequence[Path]) -> list[Path]:
    """These, unless one is gone: a checkpoint may have come from another machine."""
    return list(folders) if all(each.is_dir() for each in folders) else []


def _require(folders: Sequence[Path], wanted: str, flag: str) -> None:
    """UserError unless the folders are what ``wanted``, a file of ``KNOWN_BY``, tells."""
    what = KNOWN_BY[wanted]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"there are no {what} in {folder}: give the folder of their stage as {flag}")
        if not (folder / wanted).is_file():
            other = next((f", but of {each}" for name, each in KNOWN_BY.items() if (folder / name).is_file()), "")
            raise UserError(
                f"{folder} is no folder of {what}{other or f', it has no {wanted}'}: give that of their stage as {flag}"
            )


def _tables(result: Any, of: Corrupted | None) -> Iterator[str]:
    from world_modality.report.offline_models import (
        corruption_rows,
        dimension_rows,
        forecast_note,
        forecast_rows,
        judged_on,
        left_out_lines,
        number,
        step_rows,
    )
    from world_modality.report.text import grid

    yield f"model        {result.name}, on {judged_on(result)}"
    yield f"action MSE   {number(result.actions.all)} normalised, {100 * result.confidence:g}% interval over episodes"
    rows = (
        (step_rows(result), dimension_rows(result), forecast_rows(result)) if of is None else (corruption_rows(result),)
    )
    for each in rows:
        if each:
            yield from ("", *grid(each))
    yield ""
    if of is None and (note := forecast_note(result)):
        yield note
    if of is not None:
        yield from left_out_lines(result, (of,))
