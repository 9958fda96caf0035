"""From records to numbers: the comparison table, over all tasks, by task and by suite, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from world_modality.evidence.gates import Gate
from world_modality.evidence.outcomes import Outcomes, clusters_of, common_episodes
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.plan import Plan
from world_modality.evidence.rates import success_rate
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.report.claims import task_number
from world_modality.report.judgement import conditions_of, gate_row, judged, limits
from world_modality.report.results import Place, Results
from world_modality.report.robustness import drops
from world_modality.study.looks import scenes_per_task
from world_modality.study.specs import ReportCondition, ReportSpec

Table = dict[str, Any]


def build_table(spec: ReportSpec, results: Results, plan: Plan | None, gates: Sequence[Gate]) -> Table:
    """The whole table: rates, judgement, gates and what they rest on. Fractions, never percent.

    ``judgement`` is None for a study that compares nothing. A cell without episodes has no estimate.
    """
    outcomes = conditions_of(spec, results)
    judgement = judged(plan, outcomes, gates) if plan else None
    table: Table = {
        "study": spec.study,
        "label": spec.label,
        "sources": [list(pair) for pair in spec.sources],
        "conditions": [_condition(condition) for condition in spec.conditions],
        "seeds": list(results.seeds),
        "tasks": _tasks(results),
        "episodes_per_task": scenes_per_task(spec) * spec.repeats,
        "scenes": len({trial.scene for trial in results.trials}),
        "trials_per_condition": len(results.trials),
        "episodes": sum(len(records) for records in results.records.values()),
        "complete": not any(results.missing(condition) for condition in results.conditions),
        "confidence": spec.evidence.confidence,
        "rates": [
            rate
            for condition in results.conditions
            for rate in _rates(spec, condition, outcomes.get(condition), results)
        ],
        "suites": suite_figures(spec, outcomes, _compared(plan)),
        "robustness": drops(spec, outcomes),
        "judgement": judgement,
        "gates": judgement["gates"] if judgement else [gate_row(gate) for gate in gates],
    }
    table["headline"] = judgement["headline"] if judgement else f"{spec.label}: one arm, nothing is compared."
    table["notes"] = [*_notes(table), *record_notes(results), *start_notes(results)]
    table["seeds_note"] = _seeds_note(plan, judgement, outcomes)
    return table


def _seeds_note(plan: Plan | None, judgement: Mapping[str, Any] | None, conditions: Mapping[str, Outcomes]) -> str:
    """Which seeds everything but the verdicts rests on, where the verdicts rest on fewer; else empty.

    At a look the verdicts are those of complete seeds, and one that an earlier look decided is that look's.
    """
    if plan is None or judgement is None or judgement["withheld"]:
        return ""
    held = tuple(sorted({seed for outcomes in conditions.values() for seed in outcomes.seeds}))
    looks = [plan.seeds[:count] for count in sorted({verdict["seeds"] for verdict in judgement["verdicts"]})]
    if all(set(seeds) == set(held) for seeds in looks):
        return ""
    told = " or ".join(", ".join(map(str, seeds)) for seeds in looks)
    which = "rest on seeds" if len(looks) == 1 else "rest, each as the look that decided it, on seeds"
    return f"All episodes so far, of training seeds {', '.join(map(str, held))}; the verdicts {which} {told}."


def record_notes(results: Results) -> list[str]:
    """What the records of a condition say must be known of them, once each."""
    said = dict.fromkeys((name, record.note) for name, own in results.records.items() for record in own.values())
    return [f"{name}: {note}." for name, note in said if note]


def start_notes(results: Results) -> list[str]:
    """The tasks of which episodes did not start as they should, a sentence each with the first such episode's fault."""
    faults: dict[tuple[str, int], list[str]] = {}
    for own in results.records.values():
        for trial, record in own.items():
            faults.setdefault(trial.place, []).append(record.start_fault)
    return [
        f"{suite} task {task}, {sum(map(bool, found))} of {len(found)} episodes: {next(filter(None, found))}."
        for (suite, task), found in faults.items()
        if any(found)
    ]


def _compared(plan: Plan | None) -> list[tuple[str, str]]:
    """The conditions that claims are about, also where the verdict is withheld."""
    return [(claim.treated, claim.control) for claim in plan.claims] if plan else []


def _condition(condition: ReportCondition) -> dict[str, str]:
    return {
        "name": condition.name,
        "arm": condition.arm,
        "trained_memory": condition.trained,
        "memory": condition.rolled,
    }


def task_names(spec: ReportSpec, results: Results) -> dict[int, str]:
    """What a reader calls each task, by its number in the plan."""
    return {task_number(spec, task["suite"], task["task"]): task["name"] for task in _tasks(results)}


def _tasks(results: Results) -> list[dict[str, Any]]:
    told = {trial.place: record.language for held in results.records.values() for trial, record in held.items()}
    unknown = {place: f"task {place[1]}" for place in results.places}
    languages, names = unknown | told, unknown | short_names(told)
    several = len({suite for suite, _ in results.places}) > 1
    return [
        {
            "suite": suite,
            "task": task,
            "language": languages[suite, task],
            "name": f"{names[suite, task]} ({suite})" if several else names[suite, task],
        }
        for suite, task in results.places
    ]


def _rates(spec: ReportSpec, condition: str, outcomes: Outcomes | None, results: Results) -> list[dict[str, Any]]:
    """One row per task and, with task None, one over all tasks."""
    own = {place: outcomes.of_task(task_number(spec, *place)) if outcomes else None for place in results.places}
    planned = len(results.trials) // len(results.places)
    rows = [_rate(spec, condition, place, own[place], planned) for place in results.places]
    return [*rows, _rate(spec, condition, (None, None), outcomes, len(results.trials))]


def _rate(
    spec: ReportSpec, condition: str, place: Place | tuple[None, None], outcomes: Outcomes | None, planned: int
) -> dict[str, Any]:
    suite, task = place
    episodes = len(outcomes) if outcomes else 0
    found = {"condition": condition, "suite": suite, "task": task, "episodes": episodes, "planned": planned}
    if outcomes is None or not episodes:
        return {**found, "successes": 0, "estimate": None, "low": None, "high": None}
    rate = success_rate(outcomes, spec.evidence.confidence)
    return {**found, "successes": int(outcomes.success.sum()), **limits(rate)}


def _notes(table: Mapping[str, Any]) -> list[str]:
    """What the numbers can and cannot say, in sentences."""
    seeds, percent = len(table["seeds"]), f"{100 * table['confidence']:.4g}%"
    checkpoints = "this checkpoint" if seeds == 1 else f"these {seeds} checkpoints"
    notes = []
    if "(assets " in table["label"]:
        suites = dict.fromkeys(task["suite"] for task in table["tasks"] if task["suite"] in SUITES)
        scores = " or ".join(dict.fromkeys(SUITES[suite].benchmark for suite in suites)) or "published"
        notes.append(f"The simulator's assets are not the benchmark's own: no rate here is a {scores} score.")
    if not table["complete"]:
        notes.append("The study is not complete: rates and differences are those of the episodes that are there.")
    ahead = [each["name"] for each in table["conditions"] if _looks_ahead(each["memory"])]
    if ahead:
        notes.append(
            f"The memory of {' and '.join(ahead)} holds frames that really come, seen by looking ahead in the "
            "simulator: the future of a continuation that the policy need not take. It is a reference, not an upper "
            "bound."
        )
    notes.append(
        f"Success rates have Wilson's {percent} intervals, at the effective number of episodes where scenes repeat; "
        f"they speak about {checkpoints} per arm on scenes like these."
    )
    if table["judgement"]:
        notes.append(
            f"A difference speaks about {checkpoints} per arm on scenes like these, or across trainings: about what "
            "training anew with another seed would do. A claim is decided in one of the two; the other is secondary."
        )
        notes.append("A difference is called by one of four words: helps, hurts, equivalent or cannot tell.")
    return notes


def _looks_ahead(mode: str) -> bool:
    return mode in MODES and bool(MODES[mode].look_ahead)


def suite_figures(
    spec: ReportSpec, conditions: Mapping[str, Outcomes], pairs: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Per suite ``{"suite", "rates", "differences"}``; empty for a study of one suite.

    ``conditions`` are as ``conditions_of`` gives them. A rate is as over all tasks; a difference of (treated, control)
    is of the episodes that both hold, with its interval at the effective number of scenes, and decides nothing: claims
    are about all tasks. A condition or pair without an episode in the suite has no row.
    """
    pairs = list(dict.fromkeys(pairs))
    return [_suite(spec, suite, conditions, pairs) for suite in spec.suites] if len(spec.suites) > 1 else []


def _suite(
    spec: ReportSpec, suite: str, conditions: Mapping[str, Outcomes], pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    tasks = {task_number(spec, cell.suite, cell.task) for cell in spec.cells if cell.suite == suite}
    own = {name: held.where(np.isin(held.task, list(tasks))) for name, held in conditions.items()}
    own = {name: held for name, held in own.items() if len(held)}
    cells = {(cell.seed, cell.task) for cell in spec.cells if cell.suite == suite}
    planned = len(cells) * scenes_per_task(spec) * spec.repeats
    found = [_suite_difference(spec, one, other, own) for one, other in pairs if one in own and other in own]
    return {
        "suite": suite,
        "rates": [_suite_rate(spec, name, held, planned) for name, held in own.items()],
        "differences": [each for each in found if each],
    }


def _suite_rate(spec: ReportSpec, condition: str, held: Outcomes, planned: int) -> dict[str, Any]:
    interval = success_rate(held, spec.evidence.confidence)
    counts = {"successes": int(held.success.sum()), "episodes": len(held), "planned": planned}
    return {"condition": condition, **counts, **limits(interval)}


def _suite_difference(spec: ReportSpec, treated: str, control: str, own: Mapping[str, Outcomes]) -> dict[str, Any]:
    one, other = common_episodes(own[treated], own[control])
    if not len(one):
        return {}
    found = difference_of_clusters(clusters_of(one, other), spec.evidence.confidence)
    return {
        "treated": treated,
        "control": control,
        "pairs": found.pairs,
        "scenes": found.clusters,
        "seeds": len(one.seeds),
        "only_treated": found.only_treated,
        "only_control": found.only_control,
        **limits(found.interval),
    }


def short_names[T: int | tuple[str, int]](languages: Mapping[T, str], longest: int = 40) -> dict[T, str]:
    """Cut the first words and the last clause (from its "and" on) if all instructions share them.

    Tasks of one name (LIBERO-90 gives the same instruction in several scenes) get their number behind it.

    Args:
        languages: task, by number or as (suite, number) -> instruction.
        longest: most characters of a name.

    >>> short_names({0: "pick up the cup on the stove and place it", 1: "pick up the cup in the drawer and place it"})
    {0: 'on the stove', 1: 'in the drawer'}
    """
    texts = dict(languages)
    if len(set(texts.values())) > 1:
        if len({text.rpartition(" and ")[2] for text in texts.values()}) == 1:
            texts = {task: text.rpartition(" and ")[0] or text for task, text in texts.items()}
        shared = _shared_words([text.split() for text in texts.values()])
        texts = {task: " ".join(text.split()[shared:]) or text for task, text in texts.items()}
    cut = {task: text if len(text) <= longest else text[: longest - 3].rstrip() + "..." for task, text in texts.items()}
    often = Counter(cut.values())
    return {task: f"{name} ({_number(task)})" if often[name] > 1 else name for task, name in cut.items()}


def _number(task: int | tuple[str, int]) -> str:
    return f"task {task}" if isinstance(task, int) else f"task {task[1]}"


def _shared_words(lists: list[list[str]]) -> int:
    """How many first words all lists share."""
    count = 0
    for words in zip(*lists, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return count
