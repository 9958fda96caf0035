rule rollout_stage:
    input:
        upstream("rollout"),
    output:
        "results/rollout/{key}/DONE.json",
    log:
        "results/rollout/{key}/log.txt",
    conda:
        ENVIRONMENT
    threads: snakefile.rollout_cores(study, ALL_CORES)
    shell:
        "python -m world_modality.cli.main stage rollout {wildcards.key} --cores {threads}"


rule films_stage:
    input:
        upstream("films"),
    output:
        "results/films/{key}/DONE.json",
    log:
        "results/films/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage films {wildcards.key} --cores {threads}"
