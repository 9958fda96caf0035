import csv
import json

import pyarrow.parquet as parquet

from world_modality.report.record_files import write_records
from world_modality.report.results import load_results
from world_modality.rollout.records import CONTENT


def test_parquet_and_csv_hold_every_field_of_every_record(toy, tmp_path):
    spec, rollouts, _ = toy.write()
    results = load_results(spec, rollouts)
    write_records(results, tmp_path)
    rows = parquet.read_table(tmp_path / "records.parquet").to_pylist()
    expected = [
        (condition, trial.seed, record)
        for condition in results.conditions
        for trial, record in results.records[condition].items()
    ]
    assert len(rows) == len(expected) == 40
    for row, (condition, seed, record) in zip(rows, expected, strict=True):
        assert (row["condition"], row["seed"]) == (condition, seed)
        own = {name: getattr(record, name) for name in CONTENT}
        for name in ("settled", "distances"):
            assert json.loads(row.pop(name)) == own.pop(name)
        assert row["versions"] == ", ".join(
            f"{name} {version}" for name, version in sorted(own.pop("versions").items())
        )
        assert {name: row[name] for name in own} == own
    with (tmp_path / "records.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [row["trajectory_digest"] for row in written] == [row["trajectory_digest"] for row in rows]
    assert [row["success"] == "true" for row in written] == [row["success"] for row in rows]


def test_what_a_source_did_not_say_is_null(toy, tmp_path):
    toy.edit = lambda condition, values: values.update(steps=None, environment_seed=None, versions={})
    spec, rollouts, _ = toy.write()
    write_records(load_results(spec, rollouts), tmp_path)
    row = parquet.read_table(tmp_path / "records.parquet").to_pylist()[0]
    assert (row["steps"], row["environment_seed"], row["versions"]) == (None, None, "")


def test_files_are_written_in_parts_without_a_trace(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("world_modality.report.record_files.ROWS", 7)
    spec, rollouts, _ = toy.write()
    (tmp_path / "out").mkdir()
    write_records(load_results(spec, rollouts), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["records.csv", "records.parquet"]
    assert parquet.read_metadata(tmp_path / "out" / "records.parquet").num_rows == 40
