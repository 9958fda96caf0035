"""What the rules need of Snakemake's own objects. The only part of the library that knows them.

Snakemake is imported where it is needed, so that `wm` starts without it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from world_modality.cli.parts import words_asked
from world_modality.cli.profiles import place_of_command
from world_modality.cli.queue_jobs import job_prefix, keeps_accounts
from world_modality.cli.workflow import Machine, Workflow, has_processes, open_workflow, reopen_workflow
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES, targets
from world_modality.redaction import redacted
from world_modality.store.devices import TOLD_VARIABLE, visible_gpus
from world_modality.store.fetched import use_fetched
from world_modality.store.layout import ASKED_VARIABLE
from world_modality.store.room import storage_sentence
from world_modality.study.outline import outline_of
from world_modality.study.targets import select

TERSE_VARIABLE = "WORLD_MODALITY_TERSE"
"""Set for Snakemake: only its warnings and errors go to the terminal, beside the stages' own progress."""

NO_NEWS = (
    *("CalledProcessError", "were not present when the DAG was created"),
    *("At least one job did not complete successfully", "Cancelling snakemake on user request"),
)
"""What Snakemake says of jobs that failed, and of a run that was stopped."""


def open_study(workflow: Any) -> Workflow:
    """The study of a ``snakemake.workflow.Workflow``: planned in the main process, read in its jobs' processes.

    There is no ``configfile:`` in the rules on purpose: it would merge the default study's keys into the one that
    --configfile names. A mistake in the study, or ``--config``, ends the process with one sentence: a setting that is
    in no file would be in no key.
    """
    if not workflow.is_main_process:
        return reopen_workflow()
    given = dict(workflow.config_settings.config)
    if given:
        sys.exit(f"--config {' '.join(given)}: a study is one file; set it there, and name the file with --configfile")
    default = repository(workflow) / "config.yaml"
    cores, dry_run = workflow.resource_settings.cores, workflow.output_settings.dryrun
    try:
        use_fetched()
        return open_workflow(workflow.overwrite_configfiles, default, cores, dry_run, sys.argv[1:])
    except (UserError, OSError) as error:
        sys.exit(_told(error))


def asked_of(study: Workflow, workflow: Any) -> Workflow:
    """The study with the words of the command line that name parts of it, such as ``train:E2``, if there are any.

    Snakemake knows a target by a rule of its name or by a file. So the Snakefile has a rule for each of these words;
    all of them, and the kinds of stages beside them, ask for what they name together. Ends the process with one
    sentence if a word can only be meant so and names nothing.
    """
    if not workflow.is_main_process:
        return study
    outline = outline_of(study.graph)
    asked = words_asked(outline, sys.argv[1:])
    os.environ.pop(ASKED_VARIABLE, None)
    if not set(asked) - set(targets()):
        return study
    try:
        select(outline, asked)
    except UserError as error:
        sys.exit(str(error))
    os.environ[ASKED_VARIABLE] = " ".join(asked)
    return replace(study, asked=asked)


def parts_asked(study: Workflow, known: Iterable[str]) -> list[str]:
    """Words that need rules of their own, beside those with ``known`` names."""
    return [word for word in dict.fromkeys(study.asked) if word not in {*targets(), *known}]


def input_of_target(study: Workflow, name: str) -> Callable[[Any], list[str]]:
    """The input function of a target; nobody waits for thousands of names that are not asked for."""
    return lambda _wildcards: _asked(lambda: study.target(name))


def repository(workflow: Any) -> Path:
    """The top of this repository, whichever of its Snakefiles was named: the one there, or the catalogue's."""
    base = Path(workflow.basedir)
    return base.parent if base.name == "workflow" else base


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message says more than the stage itself, which reports its own failure, or that another job made it,
    and more than `wm run`, which tells of the end."""
    text = record.getMessage()
    return not any(known in text for known in NO_NEWS)


def speak_rarely(handlers: Iterable[logging.Handler]) -> None:
    """Where `wm run` asks for it, let Snakemake speak up on the terminal only when something is wrong."""
    if os.environ.get(TERSE_VARIABLE):
        for handler in handlers:
            if handler.name == "DefaultStreamHandler":
                handler.setLevel(logging.WARNING)
                handler.addFilter(is_news)


def hide_jobs_of_dry_run(output_settings: Any) -> None:
    """Let the plan that was just told replace a dry run's list of jobs, unless ``-p`` or ``--quiet`` says otherwise."""
    from snakemake.settings.enums import Quietness

    if output_settings.dryrun and not (output_settings.quiet or output_settings.printshellcmds):
        output_settings.quiet = {Quietness.RULES, Quietness.PROGRESS}


def inputs_of(study: Workflow, stage: str, workflow: Any) -> Callable[[Any], list[str]]:
    """The input function of one kind of stage; Snakemake's own error for ``--touch``.

    It also names the jobs of a queue after their results tree, by which `wm resume` finds them. Only while Snakemake
    builds its graph are its executor's settings there and not yet read: when ``onstart`` comes, they have been.
    """
    prefix = job_prefix(study.root)

    def inputs(wildcards: Any) -> list[str]:
        if hasattr(workflow.executor_settings, "jobname_prefix"):
            workflow.executor_settings.jobname_prefix = prefix
        if workflow.touch:
            raise UserError(
                "--touch makes no result, and none counts by its age: leave it out, and what is there stays as it is"
            )
        return study.upstream(stage, wildcards.key)

    return lambda wildcards: _asked(lambda: inputs(wildcards))


def cores_of(study: Workflow, stage: str, workflow: Any) -> Callable[[Any], int]:
    """How many cores a job of one kind of stage is given, here or in a queue."""
    return lambda wildcards: _asked(lambda: study.cores(stage, wildcards.key, _here(workflow)))


def resources_of(study: Workflow, stage: str, workflow: Any) -> dict[str, Any]:
    """What else a job of one kind of stage asks for: megabytes, minutes and GPUs, here or in a queue.

    The processes of a training share one node's GPUs. SLURM's executor would ask for a task per GPU, which SLURM may
    spread over nodes, so it is told of one node and, by 0 tasks per GPU, to ask for no more than one task.
    """
    needs = STAGES[stage].needs
    asked: dict[str, Any] = {
        "mem_mb": lambda wildcards: _asked(lambda: study.memory_mb(stage, wildcards.key)),
        "runtime": needs.minutes,
        "gpu": lambda wildcards: _asked(lambda: study.gpus(stage, wildcards.key, _here(workflow))),
    }
    return asked | ({"nodes": 1, "tasks_per_gpu": 0} if has_processes(stage) else {})


def share_out_gpus(workflow: Any) -> None:
    """Let jobs that run here at once take no more GPUs than there are, unless ``--resources gpu=N`` says otherwise.

    Of a machine whose drivers do not show that is how many there are, which its jobs are told.
    """
    if workflow.is_main_process:
        told = workflow.global_resources.get("gpu")
        os.environ[TOLD_VARIABLE] = "" if told is None or _is_queued(workflow) else str(told.value)
    here = _here(workflow)
    if here is not None and here.gpus and "gpu" not in workflow.global_resources:
        workflow.global_resources["gpu"] = here.gpus


def ask_who_answers(workflow: Any) -> None:
    """Before the first job, let SLURM be asked what becomes of jobs by a command that answers.

    The executor takes `sacct` if it is installed, also where SLURM keeps no accounts: then it waits forever.
    """
    settings = workflow.executor_settings
    if getattr(settings, "status_command", None) == "sacct" and not keeps_accounts():
        settings.status_command = "squeue"


def _is_queued(workflow: Any) -> bool:
    return bool(workflow.remote_exec or workflow.non_local_exec)


def _here(workflow: Any) -> Machine | None:
    """This machine, if jobs run on it; None if they wait in a queue for another."""
    if _is_queued(workflow):
        return None
    gpus = len(visible_gpus().gpus)
    if "gpu" in workflow.global_resources:
        gpus = min(gpus, int(workflow.global_resources["gpu"].value))
    return Machine(workflow.resource_settings.cores or 1, gpus)


def priority_of(stage: str) -> int:
    """What trainings need, and they, come before rollouts: then there are several of those for one job to run.

    Snakemake adds up priorities, so one job of 1 comes before any number of 0.
    """
    return int(STAGES.names.index(stage) <= STAGES.names.index("train"))


def options_here(workflow: Any) -> Callable[[Any, Any], str]:
    """The options of a job on this machine: it goes on with further stages, and takes hold of GPUs.

    None in a queue, where its time is counted, and which hands out GPUs.
    """
    return lambda _wildcards, resources: "" if _is_queued(workflow) else f"--together --gpus {resources.gpu}"


def input_of_export(study: Workflow) -> Callable[[Any], list[str]]:
    """The input function of ``embedded_base``: the training that it exports."""
    return lambda _wildcards: _asked(study.pretrained)


def start(study: Workflow, workflow: Any) -> None:
    """Before the first job of a real run. If another run works here, ends the process with one sentence."""
    by_wm = TERSE_VARIABLE in os.environ  # which says by itself where the study is run
    executor = workflow.executor_plugin.name
    try:
        place = None if by_wm else place_of_command(sys.argv, os.environ, executor)
        targets = tuple(sorted(set(workflow.dag_settings.targets) - {"all"}))
        study.start(place and replace(place, targets=targets))
    except (UserError, OSError) as error:
        sys.exit(_told(error))
    except KeyboardInterrupt:  # while simulators' assets are looked at, say; in here it would be told at length
        os._exit(128 + signal.SIGINT)


def _told(error: UserError | OSError) -> str:
    """The sentence of an error that is one, or that a disk brought about; any other error goes on."""
    told = storage_sentence(error) if isinstance(error, OSError) else str(error)
    if told is None:
        raise error
    return redacted(told)


def _asked[T](question: Callable[[], T]) -> T:
    """The answer, or Snakemake's own error, which it prints without a traceback. Asked thousands of times."""
    try:
        return question()
    except UserError as error:
        from snakemake.exceptions import WorkflowError

        raise WorkflowError(str(error)) from None
