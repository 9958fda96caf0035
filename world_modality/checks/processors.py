"""A checkpoint's processors as they lie in its folder: steps, statistics, and what is normalised without any."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.checks.rename import EMPTY_CAMERA, STATE, Rename
from world_modality.checks.tensors import UNREADABLE, few, read_header, read_values
from world_modality.facts.policies import family_of

PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
MIGRATION = "python -m lerobot.processor.migrate_policy_normalization --pretrained-path"
ACTION = "action"
NORMALISERS = ("normalizer_processor", "unnormalizer_processor")
NORMALISER_CLASSES = ("NormalizerProcessorStep", "UnnormalizerProcessorStep")
RENAMER = "rename_observations_processor"
NEEDED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""Statistics that each of LeRobot's ways to normalise needs."""

TRUSTED = ("lerobot.", "lerobot_")
"""What the names of modules begin with whose classes a step may name: LeRobot's, and those of installed plugins."""

COLOURS = 3
PADDED = ("max_state_dim", "max_action_dim")
Statistics = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Step:
    """One step of a pipeline's file."""

    name: str
    settings: Mapping[str, Any]
    state_file: str  # "" if it has none

    @property
    def normalises(self) -> bool:
        """Whether it scales features by statistics, there or back."""
        return self.name in NORMALISERS or self.name.rpartition(".")[2] in NORMALISER_CLASSES

    @property
    def tokenises(self) -> bool:
        """Whether it makes tokens of a text, rather than prepare one for a tokenizer."""
        return "tokenizer" in self.name.lower() and "prepare" not in self.name.lower()


def read_steps(file: Path) -> tuple[Step, ...]:
    """The steps of a processor's file; raises what is in ``UNREADABLE``."""
    return tuple(
        Step(
            str(step.get("registry_name") or step["class"]),
            dict(step.get("config") or {}),
            step.get("state_file") or "",
        )
        for step in json.loads(file.read_text())["steps"]
    )


def trained_rename(folder: Path) -> dict[str, str]:
    """The ``rename_map`` of the checkpoint's own preprocessor."""
    try:
        steps = read_steps(folder / PREPROCESSOR)
    except UNREADABLE:
        return {}
    return {
        ours: theirs for step in steps if step.name == RENAMER for ours, theirs in step.settings["rename_map"].items()
    }


def has_statistics(folder: Path) -> bool:
    """Whether the processors in ``folder`` hold any; those of random weights that were never trained do not."""
    try:
        steps = [step for name in (PREPROCESSOR, POSTPROCESSOR) for step in read_steps(folder / name)]
    except UNREADABLE:
        return False
    return any(step.normalises and step.state_file for step in steps)


def tokenizer_names(folder: Path) -> list[str]:
    """The names by which a checkpoint's processors load tokenizers."""
    try:
        steps = read_steps(folder / PREPROCESSOR)
    except UNREADABLE:
        return []
    return [name for step in steps if (name := step.settings.get("tokenizer_name"))]


def processor_findings(folder: Path, config: Mapping[str, Any], rename: Rename, part: str) -> Iterator[Finding]:
    """What lacks of the processors in ``folder``, and of their statistics after ``rename``."""
    for name, group in ((PREPROCESSOR, "input_features"), (POSTPROCESSOR, "output_features")):
        file = folder / name
        if not file.is_file():
            yield Finding(
                "error",
                part,
                str(folder),
                f"has no {name}: copy it from where the policy was trained, or, if that was before LeRobot had "
                f"processors, make it with `{MIGRATION} {folder}`",
            )
            return
        try:
            steps = read_steps(file)
        except UNREADABLE as error:
            yield Finding("error", part, str(file), f"cannot be read ({error}); copy the checkpoint anew")
            return
        lacking = [step.state_file for step in steps if step.state_file and not (folder / step.state_file).is_file()]
        if lacking:
            message = f"has no {few(lacking)}, which {name} reads: copy the checkpoint anew"
            yield Finding("error", part, str(folder), message)
            return
        foreign = [step.name for step in steps if "." in step.name and not step.name.startswith(TRUSTED)]
        if foreign:
            message = (
                f"has a step of {few(foreign)}, no class of LeRobot or a plugin of it, and it is not run: leave it out"
            )
            yield Finding("error", part, str(file), message)
            return
        place = _Place(folder, file, part, rename)
        yield from _not_normalised(place, steps, config, group)
        yield from _without_words(place, steps, config)
        for step in steps:
            if step.normalises:
                yield from _statistics_findings(place, step, config)
    yield from _unlike_statistics(_Place(folder, folder / POSTPROCESSOR, part, rename))


@dataclass(frozen=True)
class _Place:
    folder: Path
    file: Path
    part: str
    rename: Rename

    def error(self, where: Path, message: str) -> Finding:
        return Finding("error", self.part, str(where), message)


def _not_normalised(place: _Place, steps: Sequence[Step], config: Mapping[str, Any], group: str) -> Iterator[Finding]:
    """Features that the steps do not scale as config.json says it, or not at all."""
    own = [step for step in steps if step.normalises]
    modes = dict(config.get("normalization_mapping") or {})
    if not modes or (not own and any("normaliz" in step.name for step in steps)):
        return  # a step of the policy's own does it, of which nothing is known
    found: dict[str, set[str]] = defaultdict(set)
    sizes: dict[str, int] = {}
    for name, feature in (each for step in own for each in _scaled(step)):
        found[name].add(feature["mode"])
        if feature.get("type") != "VISUAL" and feature.get("shape"):
            sizes[name] = int(feature["shape"][-1])
    asked = dict(config.get(group) or {})
    trained = {name: feature for name, feature in dict(config.get("output_features") or {}).items() if name in found}
    for name, feature in {**trained, **asked}.items():
        mode = modes.get(feature.get("type"), "IDENTITY")
        wanted = {mode} & NEEDED.keys()
        size = int((feature.get("shape") or [1])[-1])
        if sizes.get(name, size) not in (size, config.get(PADDED[name == ACTION])):
            message = f"{name} has {sizes[name]} numbers in the steps here, and {size} in config.json"
            yield place.error(place.file, f"{message}: copy the checkpoint anew")
        if found.get(name, set()) == wanted or EMPTY_CAMERA in name:
            continue
        if name in found:
            message = f"{name} is scaled with {' and '.join(sorted(found[name]))} by the steps here, and with {mode}"
            yield place.error(place.file, f"{message} by config.json: write what it was trained with in both")
        else:
            have = ", ".join(sorted(found)) or "nothing"
            message = f"{name} is normalised with {mode} by config.json, but the steps here scale {have}"
            yield place.error(place.file, f"{message}: copy the checkpoint anew, or rename the feature there")


def _without_words(place: _Place, steps: Sequence[Step], config: Mapping[str, Any]) -> Iterator[Finding]:
    """No step makes tokens of the instruction, which the policy reads."""
    reads = family_of(str(config.get("type"))).reads_instructions and place.file.name == PREPROCESSOR
    if reads and not any(step.tokenises for step in steps):
        have = few([step.name for step in steps])
        message = f"has no tokenizer_processor for the instructions that a '{config['type']}' reads, but {have}"
        yield place.error(place.file, f"{message}: copy the checkpoint anew")


def _unlike_statistics(place: _Place) -> Iterator[Finding]:
    """Features that go in by other statistics than they come out by."""
    before, after = (_held(place, name) for name in (PREPROCESSOR, POSTPROCESSOR))
    for name in sorted(before.keys() & after.keys()):
        for own, other in zip(before[name], after[name], strict=False):
            if not math.isclose(own, other, rel_tol=0.01, abs_tol=1e-4):  # as far as a narrower float may round them
                message = f"{name} is {other:g} here and {own:g} in the statistics of {PREPROCESSOR}"
                yield place.error(place.file, f"{message}: the two are not of one training, copy the checkpoint anew")
                return


def _held(place: _Place, processor: str) -> Mapping[str, Sequence[float]]:
    """The statistics that a processor scales by; none where they cannot be read, which is told elsewhere."""
    found: dict[str, Sequence[float]] = {}
    try:
        for step in read_steps(place.folder / processor):
            if step.normalises and step.state_file:
                file = place.folder / step.state_file
                stored = {renamed_statistic(name, place.rename): name for name in read_header(file)}
                wanted = {f"{name}.{each}" for name, feature in _scaled(step) for each in NEEDED[feature["mode"]]}
                numbers = read_values(file, [stored[name] for name in wanted & stored.keys()])
                found |= {name: numbers[stored[name]] for name in wanted & stored.keys()}
    except UNREADABLE:
        return {}
    return found


def _scaled(step: Step) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The features that a step normalises, each with its type and shape."""
    modes, only = dict(step.settings.get("norm_map") or {}), step.settings.get("normalize_observation_keys")
    for name, feature in dict(step.settings.get("features") or {}).items():
        if modes.get(feature.get("type")) in NEEDED and (only is None or name in only or name == ACTION):
            yield name, {**feature, "mode": modes[feature["type"]]}


def _statistics_findings(place: _Place, step: Step, config: Mapping[str, Any]) -> Iterator[Finding]:
    """What lacks of the statistics of a step, feature by feature, and which numbers cannot be."""
    file = place.folder / step.state_file if step.state_file else place.file
    try:
        stored = {renamed_statistic(name, place.rename): name for name in read_header(file)} if step.state_file else {}
    except UNREADABLE as error:
        yield place.error(file, f"cannot be read ({error}); copy the checkpoint anew")
        return
    before = place.file.name == PREPROCESSOR
    for name, feature in _scaled(step):
        if (name == ACTION) == before or EMPTY_CAMERA in name:
            continue  # what is done is scaled afterwards, what is seen before
        needed = NEEDED[feature["mode"]]
        lacking = [each for each in needed if f"{name}.{each}" not in stored]
        if lacking:
            yield place.error(file, _lacking(name, feature["mode"], lacking, stored))
            continue
        try:
            numbers = read_values(file, [stored[f"{name}.{each}"] for each in needed])
        except UNREADABLE as error:
            yield place.error(file, f"{name}: its statistics cannot be read ({error}); copy the checkpoint anew")
            continue
        own = {each: numbers[stored[f"{name}.{each}"]] for each in needed}
        problem = _wrong_numbers(name, feature, own, config, float(step.settings.get("eps") or 1e-8))
        if problem:
            yield place.error(file, problem)


def renamed_statistic(name: str, rename: Rename) -> str:
    """A statistic's name, ``<feature>.<mean>``, after a rename of features."""
    feature, _, each = name.rpartition(".")
    return f"{rename.get(feature, feature)}.{each}"


def _lacking(name: str, mode: str, lacking: Sequence[str], found: Collection[str]) -> str:
    groups = sorted({each.rpartition(".")[0] for each in found})
    told = f"{name} is normalised ({mode}), but has no {' and '.join(lacking)} in the statistics there"
    flat = name.replace(".", "_")
    alike = [
        group
        for group in groups
        if (group.endswith((f".{name}", flat)) or group.replace("_", ".").endswith(f".{name}"))
        and all(f"{group}.{each}" in found for each in lacking)
    ]
    if len(alike) == 1:
        rename = json.dumps({alike[0]: name})
        return f"{told}, which are of {few(groups)}: if {alike[0]} is meant, give --rename '{rename}'"
    listed = f"which are of {few(sorted(alike) or groups)}" if groups else "which are empty"
    return f"{told}, {listed}: copy the checkpoint anew, or save it with its training data's statistics"


def _wrong_numbers(
    name: str, feature: Mapping[str, Any], own: Statistics, config: Mapping[str, Any], eps: float
) -> str:
    """Why statistics cannot be those of a feature, as one sentence; empty if they can."""
    shape = tuple(feature.get("shape") or ())
    picture = feature.get("type") == "VISUAL"
    size = int(shape[0] if picture and shape else shape[-1] if shape else 1)
    padded = config.get(PADDED[name == ACTION])
    first, second = own.values()
    for each, values in own.items():
        if len(values) not in (size, padded, math.prod(shape), *((1,) if picture else ())):
            return f"{name}.{each} has {len(values)} numbers, and the feature {size}: copy the checkpoint anew"
        wrong = [place for place, value in enumerate(values) if not math.isfinite(value)]
        if wrong:
            return f"{name}.{each} holds no number at {_at(wrong)}: recompute the statistics"
    if len(first) != len(second):
        return f"{name} has {len(first)} and {len(second)} numbers as {' and '.join(own)}: copy the checkpoint anew"
    spread, told = second, "std"
    if "std" not in own:
        spread, told = tuple(b - a for a, b in zip(first, second, strict=True)), " - ".join(reversed(tuple(own)))
    negative = [place for place, value in enumerate(spread) if value < 0]
    if negative:
        return f"{name}: {told} is negative at {_at(negative)}: recompute the statistics"
    still = [place for place, value in enumerate(spread) if value <= eps]
    beyond = [value for value in (*first, *second) if not 0 <= value <= 1]
    if picture and size == COLOURS and beyond:
        holds = f"{name}: {' or '.join(own)} holds {beyond[0]:g}, where pictures lie in 0 to 1"
        return f"{holds}: divide statistics of 0 to 255 by 255, or recompute them"
    if picture and still:
        return f"{name}: {told} is 0 at {_at(still)}, so that pictures are divided by {eps:g}: recompute the statistics"
    if name == ACTION and not any(spread):  # single ones may be: numbers that no demonstration moved
        return f"{name}: {told} is 0 in all {len(spread)} numbers, and so is every action: recompute the statistics"
    if name == STATE and still:
        return (
            f"{name}: {told} is 0 at {_at(still)}, so that whatever moves there is divided by {eps:g}: "
            "recompute the statistics on data that move, or write 1 there if it never does"
        )
    return ""


def _at(wrong: Sequence[int]) -> str:
    """The places of some numbers, in words."""
    return f"number {', '.join(map(str, wrong[:3]))}"
