"""`wm plan`: what a study registers, what it can find, and what would be enough."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from world_modality.checks.demonstrations import demonstration_findings
from world_modality.cli.explain import unresolved_lines
from world_modality.cli.planning import plan_study
from world_modality.errors import UserError
from world_modality.evidence.plan import Plan
from world_modality.evidence.planning import Costs
from world_modality.facts.noise import RUN_NOISE
from world_modality.report.claims import judged_cells, plan_of
from world_modality.report.collect import collect
from world_modality.report.judgement import conditions_of
from world_modality.report.offline_plan import offline_lines, planned_claims
from world_modality.report.plan_power import Priced, outlook, outlook_lines
from world_modality.report.sealed_plans import first_start, read_seals
from world_modality.rollout.episodes import episodes_of
from world_modality.store.done import Run, read_run
from world_modality.store.files import write_atomically, write_json
from world_modality.store.index import sealed_done
from world_modality.store.layout import names_folder, stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.load import load_study
from world_modality.study.specs import RolloutSpec
from world_modality.study.study import Study

ASSUMED_STEP, ASSUMED_EPISODE = 0.343, 20.0
"""Seconds of a training step and of an episode, where neither the study nor the results tree knows better: said so
wherever they are used. Where they come from is in docs/plan.md."""


def plan_lines(study_file: Path, root: Path) -> list[str]:
    """The plan for a terminal; also writes plan.json and plan.md below ``results/by-name/<study>/plan``. Seals nothing.

    UserError when the study is not valid, or compares nothing.
    """
    planned = plan_study(study_file, root, lenient=True)
    study, graph = load_study(study_file).study, planned.graph
    material = collect(root, graph)
    plan = plan_of(material.spec)
    if plan is None:
        *others, last = study.arms
        todo = f"no arm is compared with another one; say of one what it is held against, as {last}: {{against: "
        told = f"{todo}{others[0]}, ...}}" if others else "one arm makes no comparison; add a second arm"
        raise UserError(f"{study_file}: arms: there is nothing to plan, since {told}")
    conditions = conditions_of(material.spec, material.results)
    families = {str(request.address.get("family", "")) for request in graph.of("policy")}
    published = [row for row in RUN_NOISE if row.family in families]
    data = outlook(plan, conditions, _priced(study, root, graph), len(study.rollouts.init_states), published)
    seal = next((each for each in read_seals(root, plan.study) if each.digest == plan.digest), None)
    started = first_start(stage_folder(root, "rollout", cell.rollout) for cell in judged_cells(material.spec))
    lines = outlook_lines(data, _sealing(seal.sealed_at if seal else "", started))
    cut = [f"data         {each.where}: {each.message}" for each in demonstration_findings(study)]
    lines += [line for part in (list(offline_lines(graph)), cut) if part for line in ("", *part)]
    folder = names_folder(root, plan.study) / "plan"
    asked = [{"claim": f"{each.treated} < {each.control}", "asks": each.claim.asks} for each in planned_claims(graph)]
    write_json(folder / "plan.json", {**data, "offline": asked, "sealed_at": seal.sealed_at if seal else None})
    write_atomically(folder / "plan.md", _markdown(plan, lines).encode())
    return [*unresolved_lines(planned), *lines, "", f"written      {folder}/plan.md, plan.json"]


def _sealing(sealed_at: str, started: str) -> str:
    """When the plan was or will be sealed, and whether that is in time; both in ISO 8601, "" for not yet."""
    if sealed_at:
        late = f", after its first rollout started ({started}): no verdict" if "" < started < sealed_at else ""
        return f"sealed {sealed_at}{late}"
    if started:
        return (
            f"not sealed, and a rollout that it counts started at {started}: too late for a verdict, since outcomes "
            "were there before it; take other rollouts.init_states"
        )
    return "not sealed yet, the run seals it before its first rollout"


def _markdown(plan: Plan, lines: Iterable[str]) -> str:
    return f"# Plan of {plan.study}\n\n```\n" + "\n".join(lines) + "\n```\n"


def _priced(study: Study, root: Path, graph: Graph) -> Priced:
    """Hours as the study says, or else as the results tree knows, or else as assumed."""
    hours, arms = study.evidence.hours, len(study.trained)
    conditions = len(study.arms) + sum(len(arm.ablations) for arm in study.arms.values())
    steps = study.training.steps if study.training is not None else 0
    told = f"assumed, {steps} steps of {ASSUMED_STEP:g} s; say it in evidence.hours" if steps else "nothing is trained"
    training = _hours(hours.training, _seconds_per_training(root, graph), steps * ASSUMED_STEP, told)
    told = "assumed; say it in evidence.hours"
    rollout = _hours(hours.rollout, _seconds_per_episode(root, graph), ASSUMED_EPISODE, told)
    return Priced(Costs(training[0], rollout[0], arms, conditions), training[1], rollout[1])


def _hours(stated: float | None, measured: list[float], assumed: float, told: str) -> tuple[float, str]:
    """Hours of one, and where they come from; ``measured`` and ``assumed`` are seconds."""
    if stated is not None:
        return stated, "as the study says"
    if measured:
        return statistics.median(measured) / 3600, f"median of {len(measured)} sealed here"
    return assumed / 3600, told


def _seconds_per_training(root: Path, graph: Graph) -> list[float]:
    runs = (_sealed_run(root, request) for request in graph.of("train"))
    return [run.wall_seconds for run in runs if run]


def _seconds_per_episode(root: Path, graph: Graph) -> list[float]:
    found = []
    for request in graph.of("rollout"):
        run = _sealed_run(root, request)
        if run and isinstance(request.spec, RolloutSpec):
            found.append(run.wall_seconds / len(episodes_of(request.spec)))
    return found


def _sealed_run(root: Path, request: StageRequest) -> Run | None:
    folder = stage_folder(root, request.stage, request.key)
    return read_run(folder.run) if sealed_done(folder) else None
