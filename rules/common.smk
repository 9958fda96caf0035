import logging
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from world_modality.cli.workflow import open_workflow, reopen_workflow
from world_modality.errors import UserError
from world_modality.store.layout import PLAN_VARIABLE


def is_news(record):
    """Whether a message says more than the stage itself, which reports its own failure."""
    return "CalledProcessError" not in record.getMessage()


# Asked for by `wm run`: stages tell their own progress, so Snakemake only speaks up when something is wrong.
if os.environ.get("WORLD_MODALITY_TERSE"):
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.setLevel(logging.WARNING)
            handler.addFilter(is_news)

ENVIRONMENT = str(Path(workflow.basedir) / "envs" / "world_modality.yaml")
CORES = workflow.resource_settings.cores

# There is no `configfile:` on purpose: it would merge the default study's keys into the one
# that --configfile names. Studies are read, checked and planned by the library.
if workflow.is_main_process:
    try:
        study = open_workflow(
            workflow.overwrite_configfiles,
            Path(workflow.basedir) / "config.yaml",
            CORES,
            workflow.output_settings.dryrun,
        )
    except UserError as error:
        sys.exit(str(error))
else:
    study = reopen_workflow()

ALL_CORES = CORES or 1

# The plan that was just told replaces the list of jobs; `-p` brings the list back.
if workflow.output_settings.dryrun and not (
    workflow.output_settings.quiet or workflow.output_settings.printshellcmds
):
    workflow.output_settings.quiet = {Quietness.RULES, Quietness.PROGRESS}


envvars:
    PLAN_VARIABLE,


wildcard_constraints:
    key="[0-9a-f]{16}",


def upstream(stage):
    """The inputs of one kind of stage."""

    def inputs(wildcards):
        try:
            return study.upstream(stage, wildcards.key)
        except UserError as error:
            raise WorkflowError(str(error))

    return inputs


def pretrained(wildcards):
    """The training that `embedded_base` exports."""
    try:
        return study.pretrained()
    except UserError as error:
        raise WorkflowError(str(error))


onsuccess:
    study.table()
