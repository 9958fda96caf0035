# Every rule below has one output: the record that its stage is sealed. The stage itself resumes and locks.
rule demos_stage:
    input:
        upstream("demos"),
    output:
        "results/demos/{key}/DONE.json",
    log:
        "results/demos/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage demos {wildcards.key} --cores {threads}"


rule relabel_stage:
    input:
        upstream("relabel"),
    output:
        "results/relabel/{key}/DONE.json",
    log:
        "results/relabel/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage relabel {wildcards.key} --cores {threads}"


rule dataset_stage:
    input:
        upstream("dataset"),
    output:
        "results/dataset/{key}/DONE.json",
    log:
        "results/dataset/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage dataset {wildcards.key} --cores {threads}"
