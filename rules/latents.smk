rule encoder_stage:
    input:
        upstream("encoder"),
    output:
        "results/encoder/{key}/DONE.json",
    log:
        "results/encoder/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage encoder {wildcards.key} --cores {threads}"


rule latents_stage:
    input:
        upstream("latents"),
    output:
        "results/latents/{key}/DONE.json",
    log:
        "results/latents/{key}/log.txt",
    conda:
        ENVIRONMENT
    threads: ALL_CORES
    shell:
        "python -m world_modality.cli.main stage latents {wildcards.key} --cores {threads}"
