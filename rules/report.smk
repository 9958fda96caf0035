# What Snakemake's own report shows. Copies: Snakemake marks folders that it was told of, and sealed ones stay as they are.
rule figures_for_snakemake:
    input:
        "results/report/{key}/DONE.json",
    output:
        page=report(
            "results/report/{key}/for-snakemake/report.html",
            caption="../workflow/report/page.rst",
            category="Report",
            labels={"part": "whole report"},
        ),
        figures=report(
            directory("results/report/{key}/for-snakemake/figures"),
            patterns=["{section}.{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            subcategory="{section}",
            labels={"figure": "{figure}"},
        ),
    log:
        "results/report/{key}/for-snakemake.log",
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "{{ cp results/report/{wildcards.key}/artifact/report.html {output.page} &&"
        " cp -R results/report/{wildcards.key}/artifact/figures {output.figures}; }} > {log} 2>&1"
