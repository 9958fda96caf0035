"""Evaluations of any policy without a study: the same episodes, seeds and records, shared and resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from world_modality.benchmarks.assets import asset_tree
from world_modality.checks.checkpoint import action_step_warnings, camera_match, require_fitting
from world_modality.checks.rename import Match
from world_modality.data.hub import ENCODER, POLICY
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of, note_of
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.contract import WatchedPolicy
from world_modality.policies.remote import ServedPolicy
from world_modality.rollout.cell import Cell
from world_modality.rollout.choice import VIDEOS_FOLDER
from world_modality.rollout.evaluation import TIMING, How, Scenes, VideoChoice
from world_modality.rollout.fit import require_chunk, require_fit, require_picture_size
from world_modality.rollout.history import NewHistory, history_maker
from world_modality.rollout.pool import expect_simulators
from world_modality.rollout.records import TIMINGS, DamagedNote, Ledger, Record, disagreement
from world_modality.rollout.setup import described_device, roll_out, software
from world_modality.rollout.video import record_video
from world_modality.store.files import new_folder, write_json, writing_for
from world_modality.store.hub import fetch, find_folder, resolve_commit
from world_modality.store.lock import exclusive
from world_modality.store.progress import Progress
from world_modality.study.parts import RemotePolicy
from world_modality.study.specs import SimSpec

NOTE = "evaluation.json"


@dataclass(frozen=True)
class Loaded:
    """A policy ready to be rolled out, and what its records say of it."""

    policy: WatchedPolicy
    folder: Path | None  # of a checkpoint; None for a served policy
    digest: str
    encoder: str  # content address of the encoder's folder; empty where none is read
    new_history: NewHistory | None
    device: str

    def close(self) -> None:
        """Hang up on the server that holds the policy, if one does."""
        self.policy.close()


def evaluate(how: How, scenes: Scenes, output: Path, cores: int, videos_wanted: VideoChoice) -> tuple[Record, ...]:
    """Roll out what ``output`` lacks, together with whoever else works in that folder; all records.

    ``<output>/<suite>.jsonl`` holds a suite's records when all of its episodes have one, ``<output>/videos`` the
    videos.

    Raises:
        UserError: the policy cannot be used, ``output`` holds an evaluation with other settings, or as ``roll_out``.
    """
    torch.set_num_threads(1)  # how many cores there are must not decide how sums are rounded
    episodes = {suite: scenes.episodes_of(suite) for suite in scenes.suites}
    # Ahead of the policy, which may take minutes to load.
    assets = _find_assets(how.assets, scenes.suites)
    expect_simulators(scenes.suites)
    loaded = _load(how, scenes.suites, output) if how.served is None else _reach(how, how.served)
    with closing(loaded):
        for line in dict.fromkeys(line for suite in scenes.suites for line in told_of(loaded, how, suite)):
            print(line, flush=True)
        cells = {suite: _cell(how, loaded, suite, assets[suite]) for suite in scenes.suites}
        with writing_for("--output", output):
            for cell in cells.values():
                _require_same_manifest(output, cell, how.batch, loaded)
        found: dict[str, list[Record]] = {}
        for suite, cell in cells.items():
            with closing(Ledger(output / suite, episodes[suite])) as ledger:
                account = roll_out(cell, ledger, loaded.policy, loaded.new_history, cores, Progress(suite))
                if account is not None:
                    write_json(output / suite / TIMING, account.told(cores))
                ledger.publish(output / f"{suite}.jsonl", output / suite / TIMINGS)
                ledger.tidy()
                found[suite] = [ledger.done[episode] for episode in ledger.episodes]
        for suite, own in found.items():
            _video(
                videos_wanted.choice.of(own, videos_wanted.others), cells[suite], loaded, output / VIDEOS_FOLDER / suite
            )
    return tuple(record for own in found.values() for record in own)


def told_of(loaded: Loaded, how: How, suite: str) -> Iterator[str]:
    """What a reader of the numbers must know: how cameras were matched, how many actions a query executes, whose scenes
    are met."""
    match = Match({}) if loaded.folder is None else camera_match(loaded.folder, SUITES[suite], how.rename)
    if match.told():
        source = "; give --rename if that is wrong" if match.proposed or match.empty else ""
        yield f"cameras      {match.told()}{source}"
    source = "--n-action-steps" if how.n_action_steps is not None else "the checkpoint's config.json"
    source = "the server" if how.n_action_steps is None and loaded.folder is None else source
    number = how.n_action_steps or loaded.policy.facts.n_action_steps
    yield f"actions      n_action_steps {number}, by {source}"
    for warning in action_step_warnings(number, SUITES[suite]):
        yield f"warning      {warning}"
    if how.lerobot_seed is not None:
        yield (
            f"seeds        lerobot-eval's from {how.lerobot_seed}; its scenes are others where a task begins with "
            "something open or turned on (docs/parity.md)"
        )


def _video(chosen: Sequence[Record], cell: Cell, loaded: Loaded, folder: Path) -> None:
    """Record videos of episodes; one that takes another trajectory here is told and left out: a video is no result."""
    progress = Progress(f"{cell.sim.suite} videos")
    for number, record in enumerate(chosen):
        progress.update(number, len(chosen), "videos", "")
        try:
            record_video(record, cell, loaded.policy, loaded.new_history, folder)
        except UserError as error:
            progress.say(f"{progress.label}  {error}")
    if chosen:
        progress.update(len(chosen), len(chosen), "videos", "")


def _find_assets(source: str | None, suites: Sequence[str]) -> dict[str, tuple[str, str]]:
    """By suite the pinned source and its digest, both empty where it needs none.

    UserError if they cannot be had, or if a source is named and no suite needs one.
    """
    if source is not None and not any(SUITES[suite].assets for suite in suites):
        raise UserError(f"--assets {source}: {', '.join(suites)} needs no object models; leave it out")
    return {suite: _pinned(source, suite) for suite in suites}


def _pinned(source: str | None, suite: str) -> tuple[str, str]:
    option, tree = "--assets", asset_tree(suite)
    if tree is None:
        return "", ""
    source = SUITES[suite].assets[0] if source is None else source
    try:
        pinned = tree.pin(source)
        tree.folder(pinned, option)  # fetched before anything is loaded
        return pinned, tree.digest(pinned, setting=option)
    except UserError as error:
        raise UserError(f"{option} {source}: {error}") from error


def _load(how: How, suites: Sequence[str], output: Path) -> Loaded:
    folder, _ = find_folder(how.policy, patterns=POLICY.patterns)
    inner = folder / "pretrained_model"
    folder = inner if inner.is_dir() and not (folder / "config.json").is_file() else folder
    renames = [require_fitting(folder, SUITES[suite], how.rename).rename for suite in suites]
    if any(rename != renames[0] for rename in renames):
        raise UserError(f"--suite: {', '.join(suites)} need other names of cameras: roll them out one by one")
    device, told = described_device()
    policy = load_policy(
        folder,
        device,
        how.memory,
        how.num_steps,
        how.n_action_steps,
        how.batch,
        rename=how.rename,
        suite=SUITES[suites[0]],
    )
    kind, memory = policy.facts.kind, policy.facts.memory
    if how.num_steps is not None and not family_of(kind).denoising_steps:
        raise UserError(f"--num-steps: a '{kind}' policy makes no chunk in steps; leave it out")
    for suite in suites:
        if why_not := MODES[memory].refused_by(SUITES[suite]):
            raise UserError(f"--memory: {why_not}; choose another")
    if not getattr(policy.config, "encodes", False):
        if how.encoder is not None:
            raise UserError(f"--encoder: memory '{memory}' encodes nothing in a rollout; leave it out")
        return Loaded(policy, folder, POLICY.digest(folder), "", None, told)
    encoder = _find_encoder(how, policy, output)
    new_history = history_maker(policy.config, memory, policy.config.encoder_spec, encoder, device)
    digest = ENCODER.digest(encoder)
    if policy.config.world_encoder_digest not in ("", digest):
        raise UserError(f"{encoder} does not hold the weights of the encoder the checkpoint was trained with")
    return Loaded(policy, folder, POLICY.digest(folder), digest, new_history, told)


def _reach(how: How, served: RemotePolicy) -> Loaded:
    """The policy that a server holds; UserError if it cannot be asked, or what is asked for is not its to decide."""
    for option, value in (("--memory", how.memory), ("--encoder", how.encoder), ("--num-steps", how.num_steps)):
        if value not in (None, "disabled"):
            raise UserError(f"{option}: a served policy has what its server gives it; leave it out")
    if how.rename:
        raise UserError("--rename: the cameras of a served policy are renamed by --policy.rename")
    policy = ServedPolicy(served, how.batch, Progress("").say)
    require_chunk(policy.facts, how.n_action_steps or policy.facts.n_action_steps, "--n-action-steps")
    return Loaded(policy, None, policy.checkpoint, "", None, policy.device)


def _cell(how: How, loaded: Loaded, suite: str, assets: tuple[str, str]) -> Cell:
    facts = loaded.policy.facts
    if not facts.pictures:
        raise UserError(f"{how.policy} looks at no camera; such policies cannot be rolled out here")
    size = max(width for _, width in facts.pictures.values())
    require_picture_size(facts, size)
    if how.served is not None:
        require_fit(facts, SUITES[suite])
    sim = SimSpec(
        suite=suite,
        assets=assets[0],
        assets_digest=assets[1],
        camera_size=size,
        render=how.render,
        settle_steps=SUITES[suite].settle_steps if how.settle_steps is None else how.settle_steps,
        exact=how.lerobot_seed is not None,  # whose episodes are those of lerobot-eval to the last bit
    )
    return Cell(
        SUITES[suite],
        sim,
        facts.memory,
        how.n_action_steps or facts.n_action_steps,
        how.horizon or SUITES[suite].horizon,
        loaded.digest,
        facts.trained_memory,
        loaded.device,
        software(SUITES[suite], sim, facts),
        facts.seeded,
        note_of(facts.kind, facts.memory),
        how.lerobot_seed,
    )


def _require_same_manifest(output: Path, cell: Cell, batch: int, loaded: Loaded) -> None:
    """Note what the records of a suite come from; UserError if those that are there come from something else."""
    wanted: dict[str, Any] = {
        "lerobot_seed": cell.lerobot_seed,
        **cell.sim.model_dump(mode="json"),
        "policy": cell.checkpoint,
        "encoder": loaded.encoder,
        "memory": cell.memory,
        "n_action_steps": cell.n_action_steps,
        "num_steps": loaded.policy.facts.num_steps,
        "horizon": cell.horizon,
        "batch": batch,
        "device": cell.device,
        "versions": dict(cell.versions),
        **loaded.policy.facts.settings,
    }
    folder = output / cell.sim.suite
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / NOTE
    if not note.is_file() and (output / f"{cell.sim.suite}.jsonl").exists():
        raise UserError(f"{output}/{cell.sim.suite}.jsonl was not rolled out here: choose another --output")
    try:
        other = disagreement(note, wanted)
    except DamagedNote:
        raise UserError(f"{note} is damaged, so nobody can tell what is there: choose another --output") from None
    if other:
        name, found, asked = other
        raise UserError(
            f"{folder} holds an evaluation whose {name} is {found}, not {asked}: choose another --output, or the "
            "same settings"
        )


def _find_encoder(how: How, policy: ChunkPolicy, output: Path) -> Path:
    """The folder of the encoder that the checkpoint's latents came from, wherever it is."""
    spec = policy.encoder_spec
    if spec is None:
        raise UserError(
            f"{how.policy} does not say which encoder its latents came from: convert it anew with --encoder, or roll "
            "it out with --memory zero"
        )
    if how.encoder is not None:
        return find_folder(how.encoder, patterns=ENCODER.patterns)[0]
    if spec.source == "hub":
        instead = "give its folder as --encoder"
        try:
            revision = spec.revision or resolve_commit(spec.name, "main")  # an earlier checkpoint names no commit
        except UserError as error:
            raise UserError(f"{error}; or {instead}") from error
        return fetch(spec.name, revision, patterns=ENCODER.patterns, instead=instead)
    if spec.source == "folder":
        return Path(spec.name)
    _build_once(spec, output / "encoder")
    return output / "encoder"


def _build_once(spec: Any, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_suffix(".lock"), lambda: None):
        if not folder.is_dir():
            with new_folder(folder) as draft:
                build_embedded_encoder(spec, draft)
