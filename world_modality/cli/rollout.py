"""`wm rollout`: evaluations of any policy in a benchmark, without a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from world_modality.benchmarks.assets import asset_tree
from world_modality.errors import UserError
from world_modality.evidence.rates import wilson
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import DIALECTS
from world_modality.imports import importing
from world_modality.rollout.choice import VIDEOS_FOLDER, Choice
from world_modality.rollout.evaluation import How, Scenes, VideoChoice
from world_modality.rollout.pool import expect_simulators
from world_modality.rollout.records import Record, read_records, to_line
from world_modality.store.files import write_atomically, writing_for
from world_modality.study.parts import SCHEMES, RemotePolicy
from world_modality.study.values import MOST_STATES

OUTPUTS = Path("outputs") / "rollouts"
IMPORTING = ("eval_info", "output", "policy")  # what `--import` is typed with
SERVED = ("policy_dialect", "policy_rename", "policy_name", "policy_timeout")  # typed beside a server's address alone


@dataclass(frozen=True)
class Wanted:
    """What a command line asks to be rolled out, as it was written."""

    suite: str
    tasks: str | None
    episodes: int
    init_states: str | None
    videos: str
    against: Path | None


def evaluate_policy(how: How, wanted: Wanted, output: Path, cores: int) -> tuple[Record, ...]:
    """The records of what is wanted, rolled out as far as ``output`` lacks them; UserError as ``evaluate``."""
    suites = parse_suites(wanted.suite)
    most = max(SUITES[suite].tasks for suite in suites)
    tasks = None if wanted.tasks is None else parse_numbers(wanted.tasks, "--tasks", most)
    recorded = [number for suite in suites if (number := SUITES[suite].init_states) is not None]
    if wanted.init_states is None:
        states = tuple(range(min(recorded, default=wanted.episodes)))
    else:
        states = parse_numbers(wanted.init_states, "--init-states", min(recorded, default=MOST_STATES))
    choice = parse_videos(wanted.videos)
    if choice.discordant and wanted.against is None:
        raise UserError("--videos discordant=N needs --against: the records that episodes are compared with")
    others = () if wanted.against is None else read_all(wanted.against)
    if choice.discordant and any(record.init_state is None for record in others):
        raise UserError(f"--against {wanted.against}: its initial states are unknown, so no episode can be compared")
    scenes = Scenes(suites, tasks, wanted.episodes, states)
    expect_simulators(suites)  # they import while this process imports torch: seconds, on a core of their own
    with importing():
        from world_modality.rollout.evaluate import evaluate

    return evaluate(how, scenes, output, cores, VideoChoice(choice, others))


def parse_suites(text: str) -> tuple[str, ...]:
    """``libero_spatial,libero_10`` as suites; UserError names one that does not exist or comes twice."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SUITES:
            raise UserError(
                f"--suite: there is no {name or 'suite without a name'}; choose from {', '.join(SUITES.names)}"
            )
        if names.count(name) > 1:
            raise UserError(f"--suite: {name} comes twice")
    return tuple(suite for suite in SUITES.names if suite in names)


def parse_numbers(text: str, option: str, below: int) -> tuple[int, ...]:
    """``0-4,7`` as numbers in that order; UserError unless each is one of 0 to ``below - 1`` and comes once."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"{option}: {part.strip() or 'an empty part'} is no number or range like 0-4")
        numbers = range(int(first), int(last or first) + 1)
        if not numbers:
            raise UserError(f"{option}: {part.strip()} goes down; write the smaller number first")
        if numbers[-1] >= below:
            raise UserError(f"{option}: there is no {numbers[-1]}; choose from 0 to {below - 1}")
        found += numbers
    twice = next((number for number in found if found.count(number) > 1), None)
    if twice is not None:
        raise UserError(f"{option}: {twice} comes twice")
    return tuple(found)


def parse_videos(text: str) -> Choice:
    """``first=2,failures=3`` as a choice; UserError if that is no such list."""
    names = [field.name for field in fields(Choice)]
    found: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, _, count = part.strip().partition("=")
        if name not in names or not count.isdecimal() or name in found:
            raise UserError(f"--videos: {part.strip() or 'an empty part'} is none of {'=N, '.join(names)}=N, each once")
        found[name] = int(count)
    return Choice(**found)


def read_all(path: Path) -> tuple[Record, ...]:
    """The records of one file, or of every suite's file in an evaluation's folder; UserError if there is none."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise UserError(f"{path} holds no records: name the folder of an evaluation, or a file of records")
    return tuple(record for file in files for record in read_records(file))


def refuse_unused(context: typer.Context) -> None:
    """UserError if an option was typed that does nothing beside ``--import``."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in IMPORTING and source is not None and source.name == "COMMANDLINE":
            raise UserError(f"{_option(name)} does nothing with --import, which takes what was rolled out")


def served_policy(
    context: typer.Context, policy: str | None, dialect: str, rename: str, name: str | None, timeout: int
) -> RemotePolicy | None:
    """What is said of a policy that a server holds, ``rename`` as OURS=THEIRS,... and ``name`` as NAME@REVISION.

    None for any other policy. UserError if it cannot be so.
    """
    if not (policy or "").startswith(SCHEMES):
        for option in SERVED:
            source = context.get_parameter_source(option)
            if source is not None and source.name == "COMMANDLINE":
                raise UserError(f"{_option(option)} is for a policy that a server holds: --policy.path ws://HOST:PORT")
        return None
    called, _, revision = (name or "").partition("@")
    if name is not None and not (called and revision):
        raise UserError(f"--policy.name: {name} is not NAME@REVISION, such as pi05_libero@2026-01-15")
    said: dict[str, Any] = {"source": "remote", "address": policy, "dialect": dialect, "timeout": timeout}
    said |= {"rename": parse_rename(rename), "name": called or None, "revision": revision or None}
    try:
        return RemotePolicy.model_validate(said)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "dialect":
            known = ", ".join(DIALECTS.names)
            raise UserError(f"--policy.dialect: there is no {dialect}; choose one of {known}") from None
        raise UserError(f"--policy.path: {policy} is not an address ws://HOST:PORT") from None


def parse_rename(text: str) -> dict[str, str]:
    """``image=camera1,image2=camera2`` as a map; UserError if it is none, or names something twice."""
    found: dict[str, str] = {}
    for part in text.split(",") if text else ():
        ours, equals, theirs = part.strip().partition("=")
        if not ours or not equals or ours in found:
            raise UserError(f"--policy.rename: {part.strip() or 'an empty part'} is no OURS=THEIRS, each once")
        found[ours] = theirs
    return found


def _option(name: str) -> str:
    return "--" + name.replace("policy_", "policy.").replace("_", "-")


def required(policy: str | None) -> str:
    """The policy; UserError if the command line names none."""
    if policy is None:
        raise UserError("name the checkpoint as --policy.path, or lerobot-eval's file as --import")
    return policy


def default_output(policy: str | None, eval_info: Path | None = None) -> Path:
    """Where records go that name no folder: below ``outputs/rollouts``, by the folder of LeRobot's file or the policy.

    UserError if there is neither.
    """
    source = required(policy) if eval_info is None else str(eval_info.resolve().parent)
    words = source.partition("@")[0].rstrip("/").split("/")
    words = [word.replace(":", "_") for word in words if not source.startswith(SCHEMES) or not word.endswith(":")]
    own = [word for word in words if word not in ("", ".", "..", "pretrained_model", "artifact")]
    return OUTPUTS / "_".join(own[-3:] or ["policy"])


def import_records(path: Path, output: Path, checkpoint: str) -> tuple[Record, ...]:
    """Write LeRobot's ``eval_info.json`` as records, ``<output>/<suite>.jsonl``; UserError if one is there already."""
    from world_modality.rollout.imported import import_eval_info

    records = import_eval_info(path, checkpoint)
    suites = {record.suite for record in records}
    for suite in suites:
        if (output / f"{suite}.jsonl").exists():
            raise UserError(f"{output / f'{suite}.jsonl'} exists already: name another --output")
    with writing_for("--output", output):
        output.mkdir(parents=True, exist_ok=True)
        for suite in suites:
            lines = "".join(to_line(record) for record in records if record.suite == suite)
            write_atomically(output / f"{suite}.jsonl", lines.encode())
    return records


def result_lines(records: Sequence[Record], output: Path) -> list[str]:
    """A line per task and suite: successes, episodes and Wilson's interval in percent; then records and videos."""
    lines: list[str] = []
    for suite in dict.fromkeys(record.suite for record in records):
        own = [record for record in records if record.suite == suite]
        for task in sorted({record.task for record in own}):
            episodes = [record for record in own if record.task == task]
            lines.append(f"{suite} task {task:<3} {_rate(episodes)}  {episodes[0].language}")
        lines.append(f"{suite} all      {_rate(own)}{_kind_of_assets(own[0])}")
    lines += [f"note         {note}" for note in dict.fromkeys(record.note for record in records) if note]
    files = ", ".join(f"{suite}.jsonl" for suite in dict.fromkeys(record.suite for record in records))
    lines.append(f"records      {output}/{files}")
    videos = list((output / VIDEOS_FOLDER).glob("*/*.mp4"))
    return [*lines, f"videos        {output / VIDEOS_FOLDER} ({len(videos)})"] if videos else lines


def _kind_of_assets(record: Record) -> str:
    """Marks numbers on other assets than the benchmark's own, or on unknown ones."""
    tree = asset_tree(record.suite)
    if tree is None:
        return ""
    if not record.assets:
        return "  (assets unknown)"
    return "" if tree.is_own(record.assets_digest) else f"  (assets {record.assets_digest})"


def _rate(records: Sequence[Record]) -> str:
    successes = sum(record.success for record in records)
    rate = wilson(successes, len(records))
    return f"{successes:>4}/{len(records):<4} {rate.estimate:>4.0%} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
