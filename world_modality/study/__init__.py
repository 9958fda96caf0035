"""What is asked: a study as typed, frozen, validated values, and the stages that answer it.

Nothing here imports more than pydantic and PyYAML: keys are computed whenever the DAG is built.
"""
