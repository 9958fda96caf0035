rule report_stage:
    input:
        upstream("report"),
    output:
        "results/report/{key}/DONE.json",
    log:
        "results/report/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage report {wildcards.key} --cores {threads}"
