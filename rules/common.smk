from pathlib import Path

from snakemake.logging import logger

from world_modality.cli import snakefile
from world_modality.store.layout import PLAN_VARIABLE

ENVIRONMENT = str(Path(workflow.basedir) / "envs" / "world_modality.yaml")
ALL_CORES = workflow.resource_settings.cores or 1

snakefile.speak_rarely(logger.handlers)
study = snakefile.open_study(workflow)
snakefile.hide_jobs_of_dry_run(workflow.output_settings)
pretrained = snakefile.input_of_export(study)


envvars:
    PLAN_VARIABLE,


wildcard_constraints:
    key="[0-9a-f]{16}",


def upstream(stage):
    """The inputs of one kind of stage."""
    return snakefile.inputs_of(study, stage)


onstart:
    snakefile.start(study)


onsuccess:
    study.table()
