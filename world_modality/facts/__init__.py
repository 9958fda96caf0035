"""What exists: one table of facts per contract, read by planning, validation, schema, messages, report and docs.

No module here imports more than the standard library. Code is named as ``module:object`` and imported where it runs.
"""
