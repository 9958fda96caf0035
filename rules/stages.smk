# One rule per kind of stage, read off the table of kinds (world_modality/facts/stages.py): what its job asks of a machine is in
# the row, and `--set-threads`, `--set-resources` or a profile say otherwise. Its one output is the record that the stage is
# sealed. The stage itself resumes and locks.
for kind in STAGES:

    rule:
        name:
            f"{kind.name}_stage"
        input:
            snakefile.inputs_of(study, kind.name, workflow),
        output:
            f"{study.root}/{kind.name}/{{key}}/DONE.json",
        log:
            f"{study.root}/{kind.name}/{{key}}/log.txt",
        priority: snakefile.priority_of(kind.name)
        conda:
            ENVIRONMENT
        threads: snakefile.cores_of(study, kind.name, workflow)
        resources:
            **snakefile.resources_of(study, kind.name, workflow),
        params:
            kind=kind.name,
            here=snakefile.options_here(workflow),
        shell:
            "python -m world_modality.cli.main stage {params.kind} {wildcards.key} --cores {threads} {params.here}"
