"""A report's table in words: the cells, lines and sentences that files, page and terminal share.

Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.points import found_text, points

Table = Mapping[str, Any]

OVERALL = "all tasks"
WITHHELD = "withheld"
MARKS = {True: "passed", False: "FAILED", None: "open"}
SCOPES = {"checkpoint": "these checkpoints", "recipe": "across trainings"}
"""How a reader is told what an effect speaks about."""
SUITE_HEADER = "suite, all its tasks"
TASK_HEADER = (
    *("claim", "task", "points [interval], these checkpoints", "p (Holm)", "could find", "shrunk"),
    *("points [interval], across trainings", "p (Holm)", "could find"),
)


def condition_title(condition: Table) -> str:
    """The condition's name, with the memory it was rolled out with where the name does not tell: ``E2 pred``."""
    name, memory = str(condition["name"]), str(condition["memory"])
    return name if memory == "disabled" or memory in name else f"{name} {memory}"


def count_text(rate: Table) -> str:
    """``3/4``: successes of episodes; ``2/3 of 4`` where episodes are missing."""
    missing = f" of {rate['planned']}" if rate["episodes"] < rate["planned"] else ""
    return f"{rate['successes']}/{rate['episodes']}{missing}" if rate["episodes"] else f"missing{missing}"


def rate_text(rate: Table) -> str:
    """``3/4 [30-95]``: successes, episodes, the interval in percent; ``2/3 [21-94] of 4`` where some are missing."""
    if not rate["episodes"]:
        return count_text(rate)
    counts, _, missing = count_text(rate).partition(" ")
    return f"{counts} [{100 * rate['low']:.0f}-{100 * rate['high']:.0f}]{f' {missing}' if missing else ''}"


def points_text(difference: Table) -> str:
    """``+8.3 [-12.0, +28.1]`` in percentage points; without the interval where nothing is known about it."""
    estimate = points(difference["estimate"], signed=True)
    if difference["low"] is None:
        return f"{estimate} [no interval]"
    low, high = (points(difference[limit], signed=True) for limit in ("low", "high"))
    return f"{estimate} [{low}, {high}]"


def detectable_text(verdict: Table) -> str:
    """The smallest detectable difference in points: "none" if only one above 100 is; empty where that is not known."""
    smallest = verdict["detectable"]
    if smallest is None:
        return ""
    return points(smallest) if smallest <= 1 else "none"


def p_text(p: float | None) -> str:
    """``0.031``, and ``< 1e-06`` for anything below; empty where p is not known."""
    if p is None:
        return ""
    return "< 1e-06" if p < 1e-6 else f"{p:.2g}"


def p_told(p: float) -> str:
    """``p = 0.031`` or ``p < 1e-06``."""
    told = p_text(p)
    return f"p {told}" if told.startswith("<") else f"p = {told}"


def basis(table: Table) -> str:
    """``3 seeds, 24 episodes per condition``: what the study's answer can rest on."""
    seeds, episodes = len(table["seeds"]), table["trials_per_condition"]
    return f"{_several(seeds, 'seed')}, {_several(episodes, 'episode')} per condition"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def verdict_word(table: Table) -> str:
    """The study's answer in a word or two: yes, no, cannot tell, no verdict, or one arm."""
    judgement = table["judgement"]
    if not judgement:
        return "one arm"
    if judgement["withheld"]:
        return "no verdict"
    return {True: "yes", False: "no", None: "cannot tell"}[judgement["accepted"]]


def answer_text(table: Table) -> str:
    """What became of the decision rule, to stand after the word."""
    judgement = table["judgement"]
    if not judgement:
        return "nothing is compared"
    if judgement["withheld"]:
        return f"this does not hold: {judgement['withheld']}"
    parts = {state: [item["part"] for item in judgement["rule"] if item["passed"] is state] for state in MARKS}
    if judgement["accepted"]:
        return f"{', '.join(parts[True])}"
    if parts[False]:
        return f"refuted that {' and that '.join(parts[False])}"
    told = f"whether {' or whether '.join(parts[None])}"
    lacking = [need for item in judgement["rule"] for need in item.get("not_asked", ())]
    return f"{told}; not asked: {', '.join(lacking)}" if lacking else told


def answer(table: Table) -> str:
    """The study's answer in one line: the label, the word, and what became of the decision rule."""
    colon = "" if verdict_word(table) == "cannot tell" else ":"
    return f"{table['label']}: {verdict_word(table)}{colon} {answer_text(table)}"


def sentences(table: Table) -> list[str]:
    """The rule's verdicts, a sentence each; none where nothing is compared or the verdict is withheld."""
    judgement = table["judgement"]
    return [] if not judgement or judgement["withheld"] else list(judgement["sentences"])


def verdicts(table: Table) -> list[Table]:
    """Every claim's verdict in the scope in which it is decided, then the others; empty where nothing is compared.

    Their word is "withheld" where a gate has failed: "cannot tell" is what data say.
    """
    judgement = table["judgement"]
    if not judgement:
        return []
    return [each | {"word": WITHHELD} if judgement["withheld"] else each for each in judgement["verdicts"]]


def primary(table: Table) -> list[Table]:
    """The verdicts of the decision rule, each in the scope in which it is decided."""
    return [each for each in verdicts(table) if each["primary"] and each["part"]]


def why_unknown(verdict: Table) -> str:
    """Why a difference has no interval, in a clause; empty where it has one."""
    return "" if verdict["low"] is not None else str(verdict["problem"])


def stopping_line(table: Table) -> str:
    """How many looks the verdicts of a study that may stop early rest on, a sentence; empty of any other study."""
    found = table["stopping"]
    if found is None:
        return ""
    where = f"{found['scenes']:,} of {found['planned_scenes']:,} scenes"
    if not found["looks"]:
        return f"No look of {found['of']} is whole yet."
    if found["looks"] == found["of"]:
        return f"All {found['of']} looks are made ({where}); the test is valid at each."
    left = "what is left of the plan was not rolled out" if table["complete"] else "the next one is not whole yet"
    return f"After look {found['looks']} of {found['of']} ({where}), by a test that is valid at every look; {left}."


def could_find(table: Table) -> list[tuple[str, str]]:
    """Per claim of the decision rule the smallest difference that this study would have found, in words."""
    told = []
    for each in primary(table):
        found = found_text(each["detectable"]) or f"no difference: {why_unknown(each)}"
        told.append((each["claim"], "equal, proven episode by episode" if each["identical"] else found))
    return told


def could_find_line(table: Table) -> str:
    """The same in one line; empty where nothing is compared."""
    told = "; ".join(f"{claim} {found}" for claim, found in could_find(table))
    power = table["judgement"]["power"] if told else 0
    return f"could find with {100 * power:.0f}% power: {told}" if told else ""


def rule(table: Table) -> list[Table]:
    """The decision rule's parts; empty where nothing is compared."""
    return list(table["judgement"]["rule"]) if table["judgement"] else []


def rule_title(table: Table) -> str:
    """What the decision rule asks, as a heading: about a memory, or in a study without any about a policy."""
    memories = any(condition["memory"] != "disabled" for condition in table["conditions"])
    return "Is the content used?" if memories else "Does it beat its control?"


def part_lines(table: Table, item: Table) -> list[str]:
    """What the claims of one part of the rule found, a sentence each, and what was not asked."""
    told = [each["sentence"] for each in primary(table) if each["part"] == item["part"]]
    if table["judgement"]["withheld"] or not told:
        return [item["detail"]]
    return [*told, *(f"Not asked: {need}." for need in item["not_asked"])]


def rate_rows(table: Table, *, intervals: bool = True) -> list[list[str]]:
    """A row per task, then all tasks: its name and one cell per condition; all tasks always with intervals."""
    found = {(rate["condition"], rate["suite"], rate["task"]): rate for rate in table["rates"]}
    names = [condition["name"] for condition in table["conditions"]]
    told = rate_text if intervals else count_text
    rows = [
        [task["name"], *(told(found[name, task["suite"], task["task"]]) for name in names)] for task in table["tasks"]
    ]
    return [*rows, [OVERALL, *(rate_text(found[name, None, None]) for name in names)]]


def suite_rate_rows(table: Table) -> list[list[str]]:
    """A row per suite, empty for one: its name and a cell per condition."""
    rows = []
    for figures in table["suites"]:
        cells = {rate["condition"]: rate_text(rate) for rate in figures["rates"]}
        rows.append([figures["suite"], *(cells.get(condition["name"], "missing") for condition in table["conditions"])])
    return rows


def suite_difference_rows(table: Table) -> list[list[str]]:
    """A row per suite and difference: what of what, points with interval, paired episodes."""
    return [
        [
            f"{d['treated']} - {d['control']}, {figures['suite']}",
            f"{points_text(d)} points",
            f"{d['pairs']} paired episodes",
        ]
        for figures in table["suites"]
        for d in figures["differences"]
    ]


ROBUSTNESS_HEADER = ["perturbed", "condition", "without", "with", "change in points [interval]"]


def robustness_rows(table: Table) -> list[list[str]]:
    """The rows under ``ROBUSTNESS_HEADER``: what of which suite is perturbed, and what became of the rate."""
    return [
        [
            f"{row['base']}: {row['perturbation']}",
            row["condition"],
            rate_text(row["base_rate"]),
            rate_text(row["rate"]),
            points_text(row),
        ]
        for row in table["robustness"]
    ]


def task_table(rows: Sequence[Table]) -> list[list[str]]:
    """The differences task by task under ``TASK_HEADER``; an empty cell where nothing is known."""
    return [
        [row["claim"], row["task"], *_told(row), points(row["shrunk"], signed=True), *_told(row["recipe"])]
        for row in rows
    ]


def _told(numbers: Table) -> list[str]:
    return [points_text(numbers), p_text(numbers["p_holm"]), detectable_text(numbers)]


def missing_row(cell: Table) -> list[str]:
    """A cell that lacks episodes: its place, how many it has, how far it is."""
    place = [str(cell[name]) for name in ("condition", "seed", "suite", "task")]
    return [*place, f"{cell['episodes']} of {cell['planned']}", cell["state"]]


def plan_line(plan: Table) -> str:
    """The plan's digest and whether it was sealed."""
    return f"Plan {plan['digest']}, {'sealed' if plan['sealed'] else 'never sealed'}"


def deviations(plan: Table) -> list[str]:
    """One sentence per other plan that the study registered."""
    return [
        f"Another plan of this study, {other['digest']}, was sealed {other['sealed']}; from it to this one: "
        f"{'; '.join(other['changed'])}."
        for other in plan["others"]
    ]


def spans(numbers: Sequence[int]) -> str:
    """``1-3, 6``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)


def mark_word(passed: bool | None) -> str:
    """How a gate ended, in a word."""
    return {True: "passed", False: "FAILED", None: "does not apply"}[passed]


def offline_rows(found: Table) -> list[list[str]]:
    """The memory, then ``loss / error`` per training; an empty cell where there is none, a hyphen for what could not
    be measured."""
    return [
        [
            "no memory" if row["memory"] == "disabled" else str(row["memory"]),
            *(
                "" if pair == (None, None) else " / ".join("-" if each is None else f"{each:.4f}" for each in pair)
                for pair in zip(row["flow_loss"], row["action_rmse"], strict=True)
            ),
        ]
        for row in found["rows"]
    ]


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of plain text, padded to their widest cell, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def margin_header(rows: Sequence[Table]) -> list[str]:
    """Of the table of the Prophet's differences from baselines, without the column of names."""
    return ["arm", *(f"k = {k}" for k in range(1, 1 + max(len(row["texts"]) for row in rows)))]


def margin_rows(rows: Sequence[Table]) -> list[list[str]]:
    """Its rows."""
    return [[f"{row['arm']}: {row['words']}, minus {row['baseline']}", *row["texts"]] for row in rows]
