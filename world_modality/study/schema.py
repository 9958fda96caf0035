"""The study as a JSON schema, for editors. Generated from the types, so it cannot say anything else than they do."""

from __future__ import annotations

import json

from world_modality.study.study import Study


def study_schema() -> str:
    """The schema's text, ending in a newline."""
    schema = Study.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2) + "\n"
