"""What a study's arms come to once their sources are known: their memories, their controls, and what is rolled out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from world_modality.facts.memory import MODES
from world_modality.study.sources import Sources
from world_modality.study.specs import ReportCondition
from world_modality.study.study import Arm, Study


def memories_of(study: Study, sources: Sources, name: str) -> tuple[str, str]:
    """What an arm's memory holds in training and in its own rollouts; a given checkpoint says both itself."""
    arm = study.arms[name]
    if isinstance(arm, Arm):
        return arm.memory, arm.rollout or MODES[arm.memory].rollout
    first = sources.checkpoints[name][0]
    return first.trained, arm.rollout or first.rolled


def control_of(study: Study, sources: Sources, name: str) -> str | None:
    """The arm that an arm is compared with; None if there is none.

    Of given checkpoints with a memory, or aligned ones, it is by default the first given arm of the same policy that is
    neither.
    """
    found = study.control_of(name)
    if found is not None or name not in study.given or _is_plain(sources, name):
        return found
    family = sources.checkpoints[name][0].policy.family
    plain = (other for other in study.given if _is_plain(sources, other))
    return next((other for other in plain if sources.checkpoints[other][0].policy.family == family), None)


def is_aligned(study: Study, sources: Sources, name: str) -> bool:
    """Whether an arm's hidden states are, or were, taught to foretell latents."""
    arm = study.arms[name]
    return study.aligns(arm) if isinstance(arm, Arm) else sources.checkpoints[name][0].aligned


def _is_plain(sources: Sources, name: str) -> bool:
    """Whether a given arm's checkpoints have no memory and were taught to foretell nothing."""
    first = sources.checkpoints[name][0]
    return first.trained == "disabled" and not first.aligned


def conditions_of(study: Study, sources: Sources) -> tuple[ReportCondition, ...]:
    """Every arm, its ablations, and what it was at earlier steps.

    An arm is compared with its control, an ablation with its own arm, an earlier step with the control's of that step.
    """
    found: list[ReportCondition] = []
    for name, arm in study.arms.items():
        trained, rolled = memories_of(study, sources, name)
        control = control_of(study, sources, name) or ""
        given = len(sources.checkpoints.get(name, ()))
        for condition, mode, against in (
            (name, rolled, control),
            *((f"{name}-{mode}", mode, name) for mode in arm.ablations),
        ):
            found.append(
                ReportCondition(name=condition, arm=name, trained=trained, rolled=mode, against=against, given=given)
            )
    return (*found, *(early for step in study.early_steps for early in _early(study, found, step)))


def _early(study: Study, conditions: Sequence[ReportCondition], step: int) -> Iterator[ReportCondition]:
    """The arms that are trained here as they were after ``step``, each compared with its control as that was then."""
    for each in conditions:
        if each.name in study.trained:
            against = f"{each.against}-step{step}" if each.against in study.trained else ""
            yield each.model_copy(update={"name": f"{each.name}-step{step}", "against": against, "step": step})


def compared_with(condition: str, conditions: tuple[ReportCondition, ...]) -> tuple[str, ...]:
    """The conditions that a condition is compared with, from either side, so that both show the episodes they disagree
    on."""
    return tuple(
        each.against if each.name == condition else each.name
        for each in conditions
        if each.against and condition in (each.name, each.against)
    )


def n_action_steps_of(study: Study, sources: Sources) -> int:
    """Actions that every rollout executes before it queries the policy again.

    As the study says, or else as the trainings are told, or else as the given checkpoints say, which agree: that was
    checked when the sources were looked up.
    """
    if study.rollouts.n_action_steps is not None:
        return study.rollouts.n_action_steps
    if study.trained:
        return study.recipe.training.n_action_steps
    return next(each.n_action_steps for found in sources.checkpoints.values() for each in found)
