"""Any two sets of records side by side, without a study and without a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.errors import UserError
from world_modality.evidence.contrast import contrast
from world_modality.evidence.effect import Effect, Levels, Scope
from world_modality.evidence.outcomes import Outcomes, outcomes_of, scenes
from world_modality.evidence.per_task import TaskEffect, task_effects
from world_modality.evidence.plan import Claim
from world_modality.evidence.rates import Interval, fisher_p, hybrid, mixed_alike, stratified_difference, success_rate
from world_modality.evidence.verdict import Verdict, word_for
from world_modality.evidence.wording import sentence
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import BIAS_CONTROL
from world_modality.report.judgement import effect_limits, limits, probability, rounded
from world_modality.report.record_sets import RecordSet
from world_modality.report.results import Place, Trial
from world_modality.report.table import short_names
from world_modality.report.text import OVERALL, SCOPES, WITHHELD, grid, p_told, points_text, rate_text
from world_modality.rollout.records import OPENGL, OWN_NOISE, PHYSICS, SERVED_SOFTWARE, Record

SCENE = {
    "assets_digest": "other object models",
    "init_state_digest": "other initial states",
    "environment_seed": "other seeds",
    "settled": "objects that settled elsewhere",
    "render": "pictures of another style",
}
"""What makes an episode's scene, by the records' fields, and what it is called where two differ in it."""
RENDER = "render"
"""What the style of the pictures is called among versions of software."""
NOT_MIXED_ALIKE = (
    "the sets hold the tasks in different shares, so the difference is not that of the rates over all tasks but the "
    "mean of the tasks' own differences, each weighted by the smaller of its two numbers of episodes"
)


@dataclass(frozen=True)
class Unpaired:
    """A difference between arms that did not meet the same scenes."""

    interval: Interval  # Newcombe's; where ``stratified``, of the mean over tasks
    p: (
        float | None
    )  # Fisher's, two-sided, of pooled episodes; None where scenes repeat, or may, or tasks are not mixed alike
    episodes: tuple[int, int]
    stratified: bool  # whether tasks were compared one by one, since the sets do not mix them alike


@dataclass(frozen=True)
class Comparison:
    """Two sets, on the episodes that both hold if there are any, else each on its own."""

    names: tuple[str, str]
    suites: tuple[str, ...]
    places: Mapping[int, tuple[Place, str]]  # number of a task in the outcomes -> where and what it is
    conditions: tuple[Outcomes, Outcomes]
    verdicts: tuple[Verdict, ...]  # one per scope; empty where nothing is paired
    tasks: tuple[TaskEffect, ...]
    unpaired: Unpaired | None
    withheld: str  # why the numbers are given no word, as one clause; empty where they are
    warnings: tuple[str, ...]


def compare(one: RecordSet, two: RecordSet, margin: float, levels: Levels | None = None) -> Comparison:
    """``one - two``. UserError where the sets share no task.

    Episodes are paired by training seed, scene and repeat, if at least half of the smaller set's are in both, and only
    if both sets met the same scene there, as far as their records say. Else the two rates are compared as independent
    ones. Where they were not simulated alike, the numbers stand and their word is withheld.
    """
    levels = levels or Levels()
    names = _names(one, two)
    shared = sorted({trial.place for trial in one.records} & {trial.place for trial in two.records})
    if not shared:
        raise UserError(f"{names[0]} and {names[1]} share no task: compare rollouts on the same suite and tasks")
    common = sorted(one.records.keys() & two.records.keys())
    own = _within(one, shared), _within(two, shared)
    why = _not_paired(one, two, common, (len(own[0]), len(own[1])))
    chosen = own if why else (common, common)
    warnings = [*_leftovers((one, two), names, chosen), *_kinds(one, two)]
    places = {number: (place, _language(one, place)) for number, place in enumerate(shared)}
    suites = tuple(dict.fromkeys(suite for suite, _ in shared))
    conditions = (_outcomes(one, chosen[0], shared), _outcomes(two, chosen[1], shared))
    withheld = _withheld(own.records[trial] for own, held in zip((one, two), chosen, strict=True) for trial in held)
    if not why:
        pairs = [(one.records[trial], two.records[trial]) for trial in common]
        same = all(first.checkpoint == second.checkpoint for first, second in pairs)
        alike = all(_same_trajectory(*pair) for pair in pairs)
        verdicts = tuple(
            _verdict(names, conditions, scope, (same, alike), margin, levels) for scope in ("checkpoint", "recipe")
        )
        tasks = task_effects(*conditions, same, levels, f"compare {names[0]} {names[1]}") if len(shared) > 1 else ()
        return Comparison(names, suites, places, conditions, verdicts, tasks, None, withheld, tuple(warnings))
    warnings.append(f"not paired: {why}; the rates are compared as independent ones, which finds less")
    unpaired = _unpaired(conditions, levels, known=not any(map(_unknown_states, (one, two))))
    if unpaired.stratified:
        warnings.append(NOT_MIXED_ALIKE)
    return Comparison(names, suites, places, conditions, (), (), unpaired, withheld, tuple(warnings))


def _names(one: RecordSet, two: RecordSet) -> tuple[str, str]:
    return (one.name, two.name) if one.name != two.name else (f"{one.name} (A)", f"{two.name} (B)")


def _not_paired(one: RecordSet, two: RecordSet, common: Sequence[Trial], held: tuple[int, int]) -> str:
    """Why episodes are not paired, as one clause; empty if they are. ``held`` is how many each has of the shared
    tasks."""
    for own in (one, two):
        if note := _unknown_states(own):
            return f"the initial states of {own.name} are unknown ({note})"
    if not common:
        return "no episode is in both"
    if odd := _other_scene(one, two, common):
        trial, what = odd
        return f"at {trial} they met different scenes ({what})"
    if 2 * len(common) < min(held):
        return f"of {held[0]} and {held[1]} episodes on the same tasks only {len(common)} are in both"
    return ""


def _unknown_states(own: RecordSet) -> str:
    """Why initial states of a set are unknown; empty if all are known."""
    return next((record.note for record in own.records.values() if record.init_state is None), "")


def _leftovers(
    sets: tuple[RecordSet, RecordSet], names: tuple[str, str], chosen: tuple[Sequence[Trial], Sequence[Trial]]
) -> list[str]:
    """What of either set is not compared, in sentences; ``chosen`` is what is."""
    found = []
    for own, name, compared in zip(sets, names, chosen, strict=True):
        left = len(own.records) - len(compared)
        if left:
            found.append(f"{left} of {name}'s {len(own.records)} episodes have no counterpart and are left out")
    return found


def _kinds(one: RecordSet, two: RecordSet) -> list[str]:
    """Differences between the sets that a reader must know of."""
    found = []
    for what, name in (
        ("assets", "simulator assets"),
        ("render", "styles of pictures"),
        ("device", "devices"),
        ("software", "software versions"),
    ):
        first, second = (
            {str(getattr(record, what)) for record in each.records.values() if what != "assets" or _has_assets(record)}
            for each in (one, two)
        )
        if "" in first | second:
            found.append(f"{name} are not told by every record, and may differ")
        elif first and second and first != second:
            found.append(f"{name} differ: {' / '.join(sorted(first))} against {' / '.join(sorted(second))}")
    for each in (one, two):
        if any(record.note == BIAS_CONTROL for record in each.records.values()):
            found.append(f"{each.name}: {BIAS_CONTROL}")
    if any(record.note == OWN_NOISE for each in (one, two) for record in each.records.values()):
        found.append("some records are of a policy that draws its own noise: no noise is shared, none comes again")
    return found


def _has_assets(record: Record) -> bool:
    """Whether the record's suite needs assets at all; one that is not known here may."""
    return record.suite not in SUITES or bool(SUITES[record.suite].assets)


def _withheld(compared: Iterable[Record]) -> str:
    """Why no word is given, as one clause: a suite's software or style of pictures was not the same in all records
    that tell it, so what differs may be the simulator; empty if it was."""
    versions: dict[tuple[str, str], set[str]] = {}
    for record in compared:
        for name, version in (*record.versions.items(), *([(RENDER, record.render)] if record.render else [])):
            versions.setdefault((record.suite, name), set()).add(version)
    odd = {
        (suite, name): " / ".join(sorted(found))
        for (suite, name), found in versions.items()
        if len(found) > 1 and _simulates(name, suite)
    }
    if not odd:
        return ""
    first = min(suite for suite, _ in odd)
    told = ", ".join(f"{name} {found}" for (suite, name), found in sorted(odd.items()) if suite == first)
    return f"episodes on {first} were not simulated alike ({told}): roll all of them out with one software and style"


def _simulates(name: str, suite: str) -> bool:
    """Whether physics or pictures of a suite may hang on the version of ``name``; those of a suite that is not known
    here, on any but the policy's server's."""
    if suite not in SUITES:
        return not name.startswith(SERVED_SOFTWARE)
    return name in (*SUITES[suite].packages, *SUITES.distribution(suite), OPENGL, PHYSICS, RENDER)


def _other_scene(one: RecordSet, two: RecordSet, common: Sequence[Trial]) -> tuple[Trial, str] | None:
    """The first common episode at which the sets say that they met different scenes, and in what; what one does not
    say is not one."""
    for trial in common:
        pair = one.records[trial], two.records[trial]
        for name, told in SCENE.items():
            first, second = (getattr(record, name) for record in pair)
            if first not in ("", None, {}) and second not in ("", None, {}) and first != second:
                return trial, told
    return None


def _same_trajectory(one: Record, two: Record) -> bool:
    """Whether two records say that they are of the same trajectory; one that does not say what it took is not."""
    return one.success == two.success and one.trajectory_digest == two.trajectory_digest != ""


def _within(own: RecordSet, shared: Sequence[Place]) -> list[Trial]:
    return [trial for trial in own.records if trial.place in shared]


def _language(own: RecordSet, place: Place) -> str:
    return next(record.language for trial, record in own.records.items() if trial.place == place)


def _outcomes(own: RecordSet, trials: Sequence[Trial], shared: Sequence[Place]) -> Outcomes:
    numbers = {place: number for number, place in enumerate(shared)}
    return outcomes_of(
        [trial.seed for trial in trials],
        [numbers[trial.place] for trial in trials],
        [trial.init_state for trial in trials],
        [trial.repeat for trial in trials],
        [own.records[trial].success for trial in trials],
    )


def _verdict(
    names: tuple[str, str],
    conditions: tuple[Outcomes, Outcomes],
    scope: Scope,
    like: tuple[bool, bool],
    margin: float,
    levels: Levels,
) -> Verdict:
    """``like`` says whether the checkpoints are the same, and whether all trajectories are.

    Equal outcomes alone are no equivalence: two arms that always succeed may still differ elsewhere.
    """
    (one, two), (same_checkpoints, identical) = names, like
    claim = Claim(f"{one} - {two}", "", one, two, one, two, "better", scope, same_checkpoints, margin)
    effect: Effect = contrast(*conditions, scope, same_checkpoints, levels, f"compare {one} {two}")
    word, reason = word_for(effect, claim, identical)
    return Verdict(claim, effect, word, reason, "on its own", identical)


def _unpaired(conditions: tuple[Outcomes, Outcomes], levels: Levels, *, known: bool) -> Unpaired:
    """``known``: whether all initial states are; else some may have come twice, and no p is told."""
    one, two = ((int(each.success.sum()), len(each)) for each in conditions)
    episodes = one[1], two[1]
    if not mixed_alike(*conditions):
        return Unpaired(stratified_difference(*conditions, levels.confidence), None, episodes, stratified=True)
    interval = hybrid(*(success_rate(each, levels.confidence) for each in conditions))
    repeated = not known or any(len(scenes(each)[0]) < len(each) for each in conditions)
    return Unpaired(interval, None if repeated else fisher_p(one, two), episodes, stratified=False)


def task_names(comparison: Comparison) -> dict[int, str]:
    """What a reader calls each task, by its number in the outcomes."""
    places = comparison.places
    short = short_names(dict(places.values()))
    several = len(comparison.suites) > 1
    return {
        number: f"{short[place]} ({place[0]})" if several else short[place] for number, (place, _) in places.items()
    }


def as_data(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as JSON-serialisable data; fractions, never percent."""
    names = task_names(comparison)
    rates = [
        {
            "set": name,
            "task": None if task is None else names[task],
            "successes": int(own.success.sum()),
            "episodes": len(own),
            "planned": len(own),
            **limits(success_rate(own)),
        }
        for name, condition in zip(comparison.names, comparison.conditions, strict=True)
        for task in (*condition.tasks, None)
        for own in [condition if task is None else condition.of_task(task)]
    ]
    unpaired = comparison.unpaired
    return {
        "sets": list(comparison.names),
        "suites": list(comparison.suites),
        "rates": rates,
        "withheld": comparison.withheld,
        "verdicts": [_told(verdict, comparison.withheld) for verdict in comparison.verdicts],
        "tasks": [
            {
                "task": names[each.task],
                **effect_limits(each.checkpoint),
                "p_holm": probability(each.checkpoint_p),
                "shrunk": rounded(each.shrunk),
            }
            for each in comparison.tasks
        ],
        "unpaired": None
        if unpaired is None
        else {
            **limits(unpaired.interval),
            "p": None if unpaired.p is None else probability(unpaired.p),
            "episodes": unpaired.episodes,
            "stratified": unpaired.stratified,
        },
        "warnings": list(comparison.warnings),
    }


def _no_verdict(withheld: str) -> str:
    """The sentence that stands where a verdict would."""
    return f"No verdict, since {withheld}."


def _told(verdict: Verdict, withheld: str) -> dict[str, Any]:
    effect = verdict.effect
    return {
        "scope": effect.scope,
        "word": WITHHELD if withheld else verdict.word,
        "reason": withheld or verdict.reason,
        "sentence": _no_verdict(withheld) if withheld else sentence(verdict),
        **effect_limits(effect),
        "confidence": rounded(effect.levels.confidence),
        "margin": verdict.claim.margin,
        "p_greater": probability(effect.p_greater),
        "p_less": probability(effect.p_less),
        "detectable": rounded(effect.detectable),
        "method": effect.method,
        "episodes": effect.episodes,
        "scenes": effect.clusters,
        "seeds": effect.seeds,
    }


def render_comparison(comparison: Comparison) -> str:
    """Rates by task, the differences, the sentences in both scopes, warnings; no trailing newline."""
    data = as_data(comparison)
    parts = [", ".join(data["suites"]), *grid(_rates(data))]
    if comparison.unpaired is not None:
        found = data["unpaired"]
        told = "" if found["p"] is None else f", Fisher's {p_told(found['p'])}"
        how = "not paired, mean over tasks" if found["stratified"] else "not paired"
        parts += ["", f"{_difference(data)}  {points_text(found)} points  {how}{told}"]
    if comparison.withheld:
        gaps = [f"{points_text(each)} points  {SCOPES[each['scope']]}" for each in data["verdicts"]]
        parts += ["", *(f"{_difference(data)}  {gap}" for gap in gaps), _no_verdict(comparison.withheld)]
    else:
        for told_once in dict.fromkeys(sentence(verdict) for verdict in comparison.verdicts):
            parts += ["", told_once]
    return "\n".join([*parts, *(["", *(f"note: {each}" for each in data["warnings"])] if data["warnings"] else [])])


def _difference(data: Mapping[str, Any]) -> str:
    return " - ".join(data["sets"])


def _rates(data: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """A header, a row per task, and all tasks; with the paired difference of each where there is one."""
    names = list(dict.fromkeys(rate["task"] for rate in data["rates"] if rate["task"] is not None))
    cells = {(rate["set"], rate["task"]): rate_text(rate) for rate in data["rates"]}
    gaps = {each["task"]: f"{points_text(each)}, {p_told(each['p_holm'])}" for each in data["tasks"]}
    header = ["", *data["sets"], *([f"{_difference(data)}, p by Holm"] if gaps else [])]
    rows = [[name or OVERALL, *(cells.get((each, name), "") for each in data["sets"])] for name in (*names, None)]
    return [header, *([*row, *([gaps.get(row[0], "")] if gaps else [])] for row in rows)]
