rule report_stage:
    input:
        upstream("report"),
    output:
        done="results/report/{key}/DONE.json",
        page=report(
            "results/report/{key}/artifact/report.html",
            caption="../workflow/report/page.rst",
            category="Report",
            labels={"part": "whole report"},
        ),
        figures=report(
            directory("results/report/{key}/artifact/figures"),
            patterns=["{section}.{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            subcategory="{section}",
            labels={"figure": "{figure}"},
        ),
    log:
        "results/report/{key}/log.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m world_modality.cli.main stage report {wildcards.key} --cores {threads}"
