from snakemake.logging import logger

from world_modality.cli import snakefile
from world_modality.facts.stages import STAGES, targets
from world_modality.store.layout import (
    RESULTS_VARIABLE,
    SHARE_VARIABLE,
    SNAPSHOT_VARIABLE,
)

ENVIRONMENT = str(snakefile.repository(workflow) / "envs" / "world_modality.yaml")

snakefile.speak_rarely(logger.handlers)
study = snakefile.asked_of(snakefile.open_study(workflow), workflow)
snakefile.share_out_gpus(workflow)
snakefile.hide_jobs_of_dry_run(workflow.output_settings)
pretrained = snakefile.input_of_export(study)


envvars:
    RESULTS_VARIABLE,
    SHARE_VARIABLE,
    SNAPSHOT_VARIABLE,


wildcard_constraints:
    key="[0-9a-f]{16}",


onstart:
    snakefile.start(study, workflow)
    snakefile.ask_who_answers(workflow)


onsuccess:
    study.table()
