"""Attempt after attempt until enough episodes are on disk, whatever kills the process in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from world_modality.benchmarks.contract import Simulator, open_assets, open_simulator
from world_modality.data.episode_file import EpisodeFile, EpisodeInfo, read_episode_info, write_episode
from world_modality.data.recording import Recording
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.files import empty_folder, file_digest, link_or_copy, write_atomically, write_json
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import DemosSpec, RelabelSpec

SPARE_ATTEMPTS = 8
ATTEMPTS_PER_EPISODE = 3  # of those there are, and the next one: an expert that needs more is broken


def collect(
    context: StageContext,
    *,
    wanted: int,
    attempt: Callable[[int], EpisodeFile | None],
    counted: str,
    what: str,
    remedy: str,
) -> Facts:
    """Write ``wanted`` episodes to ``context.artifact / "episodes"``, with summary.json beside them.

    Attempts are numbered from 0 and each must depend on its number alone; one that gives None has failed. Episodes
    are kept in the work folder as they come, each with its digest beside it, so an interrupted collection goes on
    behind its last episode that is whole and gives the same files as one that was not interrupted.

    Args:
        wanted: number of episodes.
        attempt: tries to make an episode.
        counted: what progress counts, e.g. "demonstrations".
        what: of which these are attempts, for the message.
        remedy: what to change in the study then.

    Raises:
        UserError: too many attempts failed.
    """
    kept = context.work / "episodes"
    done = _whole(kept)
    number = done[-1].attempt + 1 if done else 0
    while True:
        failed = number - len(done)
        context.progress.update(len(done), wanted, counted, f"{failed} failed attempts discarded")
        if len(done) >= wanted:
            break
        if number >= SPARE_ATTEMPTS + ATTEMPTS_PER_EPISODE * (len(done) + 1):
            raise UserError(
                f"{failed} of {number} attempts at {what} failed, too many to go on: "
                f"check simulator.assets, or {remedy}"
            )
        episode = attempt(number)
        number += 1
        if episode is not None:
            path = kept / f"episode_{len(done):05d}.parquet"
            write_episode(path, episode)
            write_atomically(_digest_of(path), file_digest(path).encode())
            done.append(episode.info)
    return _publish(context, kept, done)


def _whole(kept: Path) -> list[EpisodeInfo]:
    """What earlier processes left, up to the first episode that is not as it was written; the rest is removed."""
    done: list[EpisodeInfo] = []
    for path in sorted(kept.glob("episode_*.parquet")):
        digest, follows = _digest_of(path), path.name == f"episode_{len(done):05d}.parquet"
        if follows and digest.is_file() and digest.read_bytes() == file_digest(path).encode():
            done.append(read_episode_info(path))
            continue
        for doomed in (path, digest):
            doomed.unlink(missing_ok=True)
    return done


def _digest_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _publish(context: StageContext, kept: Path, done: Sequence[EpisodeInfo]) -> Facts:
    empty_folder(context.artifact)
    for path in sorted(kept.glob("episode_*.parquet")):
        link_or_copy(path, context.artifact / "episodes" / path.name)
    attempts = done[-1].attempt + 1 if done else 0
    summary = {
        "episodes": len(done),
        "frames": sum(info.steps for info in done),
        "attempts": attempts,
        "failed_attempts": attempts - len(done),
        "unsolved_episodes": sum(not info.success for info in done),
    }
    write_json(context.artifact / "summary.json", summary)
    return summary


def collect_recordings(
    context: StageContext,
    spec: DemosSpec | RelabelSpec,
    *,
    purpose: str,
    attempt: Callable[[Simulator, int], Recording | None],
    counted: str,
    doing: str,
    remedy: str,
) -> Facts:
    """``collect`` of recordings in the simulator of ``spec``, reset before each attempt.

    It is reset to the next of the recorded initial states, or without any to a scene that the attempt's seed draws.

    Args:
        purpose: keys the seeds of the attempts, one of which ``attempt`` is given with the simulator.
        attempt: records an episode; None if it is not worth keeping.
        doing: what the attempts do to a task, for the message; ``counted`` and ``remedy`` as in ``collect``.

    Raises:
        UserError: the assets are not the planned ones, or as ``collect``.
    """
    suite = SUITES[spec.sim.suite]
    with closing(open_simulator(spec.sim, spec.task, open_assets(spec.sim))) as simulator:

        def numbered(number: int) -> EpisodeFile | None:
            seed = keyed_seed(purpose, suite.name, spec.task, spec.seed, number)
            init_state = spec.init_states[number % len(spec.init_states)] if spec.init_states else None
            simulator.reset(None if init_state is None else suite.recorded(init_state), seed)
            made = attempt(simulator, seed)
            if made is None:
                return None
            info = EpisodeInfo(
                suite.name, spec.task, simulator.language, init_state, seed, made.success, len(made), number
            )
            return EpisodeFile(info, made.pictures, made.states, made.labels)

        what = f"{doing} task {spec.task} of {suite.name}"
        return collect(context, wanted=spec.episodes, attempt=numbered, counted=counted, what=what, remedy=remedy)
