from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/stages.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        study.target("report"),
    localrule: True


# data, latents, train, rollouts, videos, report: all stages of some kinds.
for target in targets():

    rule:
        name:
            target
        input:
            study.target(target),
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
