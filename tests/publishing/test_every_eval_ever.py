"""Records in the schema of Every Eval Ever 0.3.0, whose two files lie beside this one under their own licence, MIT."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.command_line import wm
from support.published_study import ROOT, publication

from world_modality.errors import UserError
from world_modality.evidence.rates import wilson
from world_modality.publishing.every_eval_ever import Evaluator, export
from world_modality.publishing.instance_level import SCHEMA_VERSION
from world_modality.report.record_sets import read_set

SCHEMAS = Path(__file__).with_name("every_eval_ever")
AGGREGATE, INSTANCE = "eval.schema.json", "instance_level_eval.schema.json"


def schema(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((SCHEMAS / name).read_text()))


@pytest.fixture
def exported(study: Path) -> Path:
    told = wm("export", "every-eval-ever", "--study", "study.yaml", "--output", "eee", "--organization", "A Lab")
    assert told.accepted, told.said
    assert told.printed.splitlines()[0] == "written      eee: 3 evaluations, 12 episodes, schema 0.3.0"
    return study / "eee"


def logs(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    read = [(path, json.loads(path.read_text())) for path in sorted(folder.rglob("*.json"))]
    return {log["source_metadata"]["additional_details"]["condition"]: (path, log) for path, log in read}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.with_name(f"{path.stem}_samples.jsonl").read_text().splitlines()]


def test_everything_is_valid(exported: Path) -> None:
    assert json.loads((SCHEMAS / AGGREGATE).read_text())["version"] == SCHEMA_VERSION
    assert json.loads((SCHEMAS / INSTANCE).read_text())["version"] == SCHEMA_VERSION
    for path, log in logs(exported).values():
        assert not list(schema(AGGREGATE).iter_errors(log))
        for line in lines_of(path):
            assert not list(schema(INSTANCE).iter_errors(line))
    _, log = logs(exported)["E2"]
    assert list(schema(AGGREGATE).iter_errors({**log, "model_info": {}})), "the schema can refuse"


def test_episodes_and_aggregates_belong_together(exported: Path) -> None:
    for condition, (path, log) in logs(exported).items():
        samples = path.with_name(f"{path.stem}_samples.jsonl").read_bytes()
        said = log["detailed_evaluation_results"]
        assert said["checksum"] == hashlib.sha256(samples).hexdigest()
        assert said["file_path"] == path.with_name(f"{path.stem}_samples.jsonl").relative_to(exported).as_posix()
        assert uuid.UUID(path.stem).version == 4
        lines = lines_of(path)
        assert said["total_rows"] == len(lines) == 4
        assert {line["evaluation_id"] for line in lines} == {log["evaluation_id"]}
        assert {line["model_id"] for line in lines} == {log["model_info"]["id"]}
        results = {each["evaluation_result_id"]: each for each in log["evaluation_results"]}
        assert list(results) == ["libero_spatial", "libero_spatial.task0"]
        assert Counter(line["evaluation_result_id"] for line in lines) == {"libero_spatial.task0": 4}
        score = results["libero_spatial.task0"]["score_details"]["score"]
        assert score == sum(line["evaluation"]["score"] for line in lines) / 4
        assert log["model_info"]["id"] == f"A-Lab/small-{condition.partition('-')[0]}-seed0"
        assert path.parent == exported / "data" / "world-modality-small" / log["model_info"]["id"]


def test_every_episode_is_the_record_of_it(exported: Path) -> None:
    path, log = logs(exported)["E2-zero"]
    records = list(read_set(ROOT / "by-name/small/rollouts/E2-zero").records.values())
    for line, record in zip(lines_of(path), records, strict=True):
        outcome = "success" if record.success else "failure"
        assert line["input"] == {"raw": record.language, "reference": ["success"]}
        assert line["evaluation"] == {"score": float(record.success), "is_correct": record.success}
        assert line["output"]["raw"] == [f"{outcome} after {record.steps} control steps"]
        assert line["sample_id"] == f"libero_spatial/task0/init{record.init_state}/repeat0"
        assert line["metadata"]["trajectory_digest"] == record.trajectory_digest
        assert line["metadata"]["memory"] == record.memory
        text = json.dumps({"raw": record.language, "reference": ["success"]}, sort_keys=True, separators=(",", ":"))
        assert line["sample_hash"] == hashlib.sha256(text.encode()).hexdigest()
    wins = sum(record.success for record in records)
    told = log["evaluation_results"][0]["score_details"]
    interval = wilson(wins, 4)
    assert told["uncertainty"]["confidence_interval"]["lower"] == pytest.approx(interval.low)
    assert told["uncertainty"]["confidence_interval"]["upper"] == pytest.approx(interval.high)
    assert told["uncertainty"]["standard_error"]["value"] == pytest.approx(math.sqrt(wins / 4 * (1 - wins / 4) / 4))
    settings = log["evaluation_results"][0]["generation_config"]["additional_details"]
    assert (settings["memory_mode"], settings["trained_memory"], settings["horizon"]) == ("zero", "pred", "220")


def test_the_same_episodes_give_the_same_evaluations(exported: Path, study: Path) -> None:
    export(publication(""), study / "again", Evaluator("A Lab", "A Lab", "1.000"))
    first, second = ({path.relative_to(it) for path in it.rglob("*.json*")} for it in (exported, study / "again"))
    assert first == second
    for path in exported.rglob("*.jsonl"):
        assert path.read_bytes() == (study / "again" / path.relative_to(exported)).read_bytes()
    with pytest.raises(UserError, match="exists already and is never overwritten"):
        export(publication(""), study / "again", Evaluator("A Lab", "A Lab", "1.000"))
