"""The JSON schema of a study, for editors."""

from __future__ import annotations

import json
from typing import Any

from world_modality.study.study import TAKEN_OVER, Study


def study_schema() -> str:
    """The schema's text, ending in a newline. It names the rows of other distributions too, as they are here."""
    schema = Study.model_json_schema()
    for section in TAKEN_OVER:
        choices = schema["$defs"]["Arm"]["properties"][section]["anyOf"]
        choices.append(_without_source(schema, choices[0]["discriminator"]["mapping"].values()))
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2) + "\n"


def _without_source(schema: dict[str, Any], members: Any) -> dict[str, Any]:
    """Any keys of the models that ``members`` refer to, but for their source."""
    keys: dict[str, Any] = {}
    for member in members:
        keys |= schema["$defs"][member.rpartition("/")[2]]["properties"]
    del keys["source"]
    return {"type": "object", "properties": keys, "additionalProperties": False}
