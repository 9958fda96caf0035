# Training takes every core, so that it never runs beside a simulation: on two cores that made it 15 times slower.
rule policy_stage:
    input:
        upstream("policy"),
    output:
        "results/policy/{key}/DONE.json",
    log:
        "results/policy/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage policy {wildcards.key} --cores {threads}"


rule train_stage:
    input:
        upstream("train"),
    output:
        "results/train/{key}/DONE.json",
    log:
        "results/train/{key}/log.txt",
    conda:
        ENVIRONMENT
    threads: ALL_CORES
    shell:
        "python -m world_modality.cli.main stage train {wildcards.key} --cores {threads}"
