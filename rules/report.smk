# What Snakemake's own report shows. Copies: Snakemake marks folders that it was told of, and sealed ones stay as they are.
rule figures_for_snakemake:
    input:
        f"{study.root}/report/{{key}}/DONE.json",
    output:
        page=report(
            f"{study.root}/report/{{key}}/for-snakemake/report.html",
            caption="../workflow/report/page.rst",
            category="Report",
            labels={"part": "whole report"},
        ),
        figures=report(
            directory(f"{study.root}/report/{{key}}/for-snakemake/figures"),
            patterns=["{section}.{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            subcategory="{section}",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{study.root}/report/{{key}}/for-snakemake.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        artifact=f"{study.root}/report/{{key}}/artifact",
    shell:
        "{{ cp {params.artifact:q}/report.html {output.page:q} &&"
        " cp -R {params.artifact:q}/figures {output.figures:q}; }} > {log:q} 2>&1"
