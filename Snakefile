from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/latents.smk"
include: "rules/training.smk"
include: "rules/rollout.smk"
include: "rules/report.smk"


localrules:
    all,
    data,
    latents,
    train,
    rollouts,
    films,
    report,
    figures,
    figures_for_snakemake,
    embedded_base,


rule all:
    default_target: True
    input:
        study.target("report"),


rule data:
    input:
        study.target("data"),


rule latents:
    input:
        study.target("latents"),


rule train:
    input:
        study.target("train"),


rule rollouts:
    input:
        study.target("rollouts"),


rule films:
    input:
        study.target("films"),


rule report:
    input:
        study.target("report"),


# For `snakemake figures --report own.zip`, after `snakemake figures --cores 1`.
rule figures:
    input:
        study.shown_by_snakemake(),


rule embedded_base:
    input:
        pretrained,
    log:
        "results/embedded_base.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main export-base > {log} 2>&1"
