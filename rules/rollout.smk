rule rollout_stage:
    input:
        upstream("rollout"),
    output:
        "results/rollout/{key}/DONE.json",
    log:
        "results/rollout/{key}/log.txt",
    conda:
        ENVIRONMENT
    threads: ALL_CORES
    shell:
        "python -m world_modality.cli.main stage rollout {wildcards.key} --cores {threads}"
