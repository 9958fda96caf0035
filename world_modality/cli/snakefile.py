"""What the rules need of Snakemake's own objects. The only part of the library that knows them.

Snakemake is imported where it is needed, so that `wm` starts without it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from world_modality.cli.workflow import Workflow, open_workflow, reopen_workflow
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.redaction import redacted
from world_modality.store.fetched import use_fetched
from world_modality.store.room import storage_sentence

TERSE_VARIABLE = "WORLD_MODALITY_TERSE"
"""Set for Snakemake: only its warnings and errors go to the terminal, beside the stages' own progress."""


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
        return open_workflow(workflow.overwrite_configfiles, default, cores, dry_run)
    except (UserError, OSError) as error:
        sys.exit(_told(error))


def repository(workflow: Any) -> Path:
    """The top of this repository, whichever of its Snakefiles was named: the one there, or the catalogue's."""
    base = Path(workflow.basedir)
    return base.parent if base.name == "workflow" else base


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message says more than the stage itself, which reports its own failure, or that another job made it."""
    text = record.getMessage()
    return not any(known in text for known in ("CalledProcessError", "were not present when the DAG was created"))


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
    """The input function of one kind of stage; Snakemake's own error for ``--touch``."""

    def inputs(wildcards: Any) -> list[str]:
        if workflow.touch:
            raise UserError(
                "--touch makes no result, and none counts by its age: leave it out, and what is there stays as it is"
            )
        return study.upstream(stage, wildcards.key)

    return lambda wildcards: _asked(lambda: inputs(wildcards))


def cores_of(study: Workflow, stage: str, workflow: Any) -> Callable[[Any], int]:
    """How many cores a job of one kind of stage is given, here or in a queue."""

    def cores(wildcards: Any) -> int:
        queued = workflow.remote_exec or workflow.non_local_exec
        return study.cores(stage, wildcards.key, None if queued else workflow.resource_settings.cores or 1)

    return lambda wildcards: _asked(lambda: cores(wildcards))


def priority_of(stage: str) -> int:
    """What trainings need, and they, come before rollouts: then there are several of those for one job to run.

    Snakemake adds up priorities, so one job of 1 comes before any number of 0.
    """
    return int(STAGES.names.index(stage) <= STAGES.names.index("train"))


def together(workflow: Any) -> str:
    """The option with which a job goes on with further stages; not in a queue, where its time is counted."""
    return "" if workflow.remote_exec or workflow.non_local_exec else "--together"


def input_of_export(study: Workflow) -> Callable[[Any], list[str]]:
    """The input function of ``embedded_base``: the training that it exports."""
    return lambda _wildcards: _asked(study.pretrained)


def start(study: Workflow) -> None:
    """Before the first job of a real run. If another run works here, ends the process with one sentence."""
    try:
        study.start()
    except (UserError, OSError) as error:
        sys.exit(_told(error))


def _told(error: UserError | OSError) -> str:
    """The sentence of an error that is one, or that a disk brought about; any other error goes on."""
    told = storage_sentence(error) if isinstance(error, OSError) else str(error)
    if told is None:
        raise error
    return redacted(told)


def _asked[T](question: Callable[[], T]) -> T:
    """The answer, or Snakemake's own error, which it prints without a traceback."""
    from snakemake.exceptions import WorkflowError

    try:
        return question()
    except UserError as error:
        raise WorkflowError(str(error)) from None
