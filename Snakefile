from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/stages.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        snakefile.input_of_target(study, "report"),
    localrule: True


# data, latents, train, rollouts, videos, report: all stages of some kinds.
for target in targets():

    rule:
        name:
            target
        input:
            snakefile.input_of_target(study, target),
        localrule: True


# train:E2, E2-zero, seed=1: what words of the command line name beside these (docs/watching.md).
for word in snakefile.parts_asked(study, known=("all", "figures", "embedded_base")):

    rule:
        name:
            word
        input:
            snakefile.input_of_target(study, word),
        localrule: True


# For `snakemake figures --report own.zip`, after `snakemake figures --cores 1`.
rule figures:
    input:
        study.shown_by_snakemake(),
    localrule: True


rule embedded_base:
    input:
        pretrained,
    log:
        f"{study.root}/embedded_base.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        tool=snakefile.repository(workflow) / "workflow" / "tools" / "base_policy.py",
    shell:
        "python {params.tool:q} > {log:q} 2>&1"
