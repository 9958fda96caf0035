"""Gates, conditions under which a verdict may be given: those that records and trainings answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from world_modality.errors import UserError
from world_modality.evidence.gates import ARMS, PROMPTS, SCENES, VERSIONS, Gate
from world_modality.facts.benchmarks import SUITES
from world_modality.report.results import Results, Trial
from world_modality.rollout.records import OPENGL, PHYSICS, Record
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder
from world_modality.study.comparable import Trained, require_comparable
from world_modality.study.specs import ReportArm
from world_modality.training.compare_arms import ARM_FILE, resolved_settings

NAMED_EPISODES = 5  # how many offending episodes a line names
DEVICES = "one kind of device"
NOTHING = "no record yet"


def record_gates(results: Results, arms: Sequence[ReportArm]) -> tuple[Gate, ...]:
    """Every gate that the records answer, in the order they are shown."""
    return (
        _prompts(results),
        _versions(results),
        same_scenes(results),
        _devices(results),
        *_zero_memory(results, arms),
    )


def _prompts(results: Results) -> Gate:
    told = [bool(record.language.strip()) for record in results.every()]
    if not told:
        return Gate(PROMPTS, None, NOTHING)
    empty = told.count(False)
    detail = f"{empty} episodes were told nothing" if empty else "every episode was told its task"
    return Gate(PROMPTS, not empty, detail)


def same_scenes(results: Results) -> Gate:
    """Whether every trial met the same scene and noise in all conditions that hold it.

    Noise that a policy draws by itself cannot be shared: then the detail says so.
    """
    first: dict[tuple[Trial, str], tuple[str, object]] = {}
    for condition in results.conditions:
        for trial, record in results.records[condition].items():
            for what, met in _met(record).items():
                holder, theirs = first.setdefault((trial, what), (condition, met))
                if theirs != met:
                    detail = f"{condition} and {holder} met different scenes or noise at {trial}"
                    return Gate(SCENES, False, f"{detail}; roll both out with the same simulator settings")
    trials = len({trial for trial, _ in first})
    if not trials:
        return Gate(SCENES, None, NOTHING)
    own = [name for name in results.conditions if None in {each.flow_seed for each in results.records[name].values()}]
    apart = f"; the noise of {', '.join(own)} is the policy's own" if own else ""
    return Gate(SCENES, True, f"{trials} episodes met the same scene, seeds and noise in every condition{apart}")


def _met(record: Record) -> dict[str, object]:
    """What the arms must share: the assets, the scene and its seed, how it settled and is drawn; and the noise, unless
    the policy draws it."""
    scene = (
        record.suite,
        record.assets_digest,
        record.language,
        record.init_state_digest,
        record.environment_seed,
        record.render,
    )
    met: dict[str, object] = {"scene": scene}
    if record.settled:
        met["start"] = record.settled
    if record.flow_seed is not None:
        met["noise"] = record.flow_seed
    return met


def _zero_memory(results: Results, arms: Sequence[ReportArm]) -> list[Gate]:
    """Zero memory adds exactly nothing: an arm trained on it must repeat that policy without memory, each episode."""
    start = {arm.name: arm.policy for arm in arms}
    policies = {condition: start[results.described[condition].arm] for condition in results.conditions}
    aligned = {arm.name for arm in arms if arm.aligned}
    plain = [
        condition
        for condition in results.conditions
        if results.modes(condition) == ("disabled", "disabled") and results.described[condition].arm not in aligned
    ]
    zero = [condition for condition in results.conditions if results.modes(condition) == ("zero", "zero")]
    return [
        _equal(results, treated, control)
        for control in plain
        for treated in zero
        if policies[treated] == policies[control] and results.described[treated].step == results.described[control].step
    ]


def _equal(results: Results, treated: str, control: str) -> Gate:
    ours, theirs = results.records[treated], results.records[control]
    shared = [trial for trial in ours if trial in theirs]
    odd = [trial for trial in shared if _other_trajectory(ours[trial], theirs[trial])]
    name = equality(treated, control)
    if not odd:
        silent = sum(not (ours[trial].trajectory_digest and theirs[trial].trajectory_digest) for trial in shared)
        untold = f"; {silent} do not tell their trajectory" if silent else ""
        return Gate(name, True if shared and not silent else None, f"0 of {len(shared)} episodes differ{untold}")
    named = "; ".join(str(trial) for trial in odd[:NAMED_EPISODES]) + ("; ..." if len(odd) > NAMED_EPISODES else "")
    detail = f"{len(odd)} of {len(shared)} episodes differ: {named}"
    if any(records[trial].device != "cpu" for records in (ours, theirs) for trial in odd):
        return Gate(name, None, f"{detail} (not on CPU alone, where rounding may differ)")
    return Gate(name, False, f"{detail} (on CPU this is a bug)")


def equality(treated: str, control: str) -> str:
    """The name of the gate that one condition repeats another, trajectory by trajectory."""
    return f"{treated} equals {control}, episode by episode"


def _other_trajectory(one: Record, two: Record) -> bool:
    """Whether two records say that they are of different trajectories; one that does not tell its trajectory may be of
    any."""
    told = "" not in (one.trajectory_digest, two.trajectory_digest)
    return _counts(one) != _counts(two) or (told and one.trajectory_digest != two.trajectory_digest)


def _counts(record: Record) -> tuple[bool, int | None, int | None]:
    return record.success, record.steps, record.replans


def _versions(results: Results) -> Gate:
    """Suites are simulated by packages of their own, so each must have been by one set of versions. A suite and what
    perturbs it must have been by the same, as far as both need them. What computes a served policy is part of what it
    is, and must be one set, too."""
    groups: dict[str, set[str]] = {f" on {suite}": set() for suite, _ in results.places}
    perturbed = {_unperturbed(suite) for suite, _ in results.places if _unperturbed(suite) != suite}
    for condition in results.conditions:
        for record in results.records[condition].values():
            groups[f" on {record.suite}"].add(record.software_here)
            base = _unperturbed(record.suite)
            if base in perturbed:
                groups.setdefault(f" on {base} and what perturbs it", set()).add(_simulation(record, base))
            if record.is_served:
                groups.setdefault(f" at the server of {condition}", set()).add(record.software_there)
    return _uniform(VERSIONS, groups)


def _unperturbed(suite: str) -> str:
    """The suite that a suite perturbs; itself if it perturbs none."""
    return (SUITES[suite].perturbs if suite in SUITES else None) or suite


def _simulation(record: Record, base: str) -> str:
    """What simulated and drew a record's episode, of what the suite ``base`` needs too."""
    needed = (*SUITES[base].packages, OPENGL, PHYSICS)
    return ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()) if name in needed)


def _devices(results: Results) -> Gate:
    """The policies that are computed here are on one kind; each served one on one kind of its server's."""
    groups: dict[str, set[str]] = {}
    for condition in results.conditions:
        for record in results.records[condition].values():
            where = f" at the server of {condition}" if record.is_served else ""
            groups.setdefault(where, set()).add(record.device)
    return _uniform(DEVICES, groups)


def _uniform(name: str, groups: Mapping[str, set[str]]) -> Gate:
    """Whether each group holds one value."""
    for where, values in groups.items():
        if len(values) > 1:
            return Gate(name, False, f"{len(values)} differ{where}: {' / '.join(sorted(values))}")
    seen = dict.fromkeys(value for values in groups.values() for value in sorted(values))
    return Gate(name, True if seen else None, "; ".join(filter(None, seen)) or NOTHING)


def arms_gate(planned: Sequence[ReportArm], trainings: Sequence[Path]) -> Gate:
    """The gate that trainings (sealed artifacts) that are compared differ in nothing but what their arms declare.

    Where it fails, its detail names every other setting in which two of them differ.
    """
    given = ", ".join(arm.name for arm in planned if arm.checkpoints)
    told = f"{given}: trained elsewhere, which no gate can judge; the report shows what they say of it" if given else ""
    if not any(arm.trainings for arm in planned):
        return Gate(ARMS, True, told)
    if not trainings:
        return Gate(ARMS, None, "no seed is trained in every arm yet")
    arms = {}
    for folder in trainings:
        try:
            arms[_name(folder)] = json.loads((folder / ARM_FILE).read_text())
        except (OSError, ValueError):
            return Gate(ARMS, False, f"{folder / ARM_FILE} is missing or damaged; make {_name(folder)} again")
    owners = {key: arm.name for arm in planned for key in arm.trainings}
    trained = {
        name: Trained(owners[folder.parent.name], settings)
        for folder, (name, settings) in zip(trainings, arms.items(), strict=True)
    }
    try:
        require_comparable(
            trained, planned, resolved_settings(), "remove the wrong one's folder and run the study again"
        )
    except UserError as error:
        return Gate(ARMS, False, str(error))
    seeds = sorted({arm["seed"] for arm in arms.values()})
    named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    detail = f"{len(arms)} trainings alike in all other settings, start policy, dataset, threads and kind of device"
    return Gate(ARMS, True, "; ".join(filter(None, [detail, f"{named} in every arm", told])))


def _name(artifact: Path) -> str:
    """By its folder: the label is whatever the study that sealed the training called it, so two may share one."""
    folder = StageFolder(artifact.parent)
    record = sealed_done(folder)
    where = "/".join(folder.path.parts[-2:])
    return f"{record.label} ({where})" if record else where
