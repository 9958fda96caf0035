import json

import pytest

from world_modality.report.results import load_results
from world_modality.report.trainings import scalars, to_tensorboard, to_wandb, tracked_runs
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder


@pytest.fixture
def runs(toy):
    toy.seeds = (0, 1)
    spec, rollouts, trainings = toy.write()
    labels = {artifact.parent.name: sealed_done(StageFolder(artifact.parent)).label for artifact in trainings}
    return tracked_runs(trainings, load_results(spec, rollouts), labels)


def test_every_training_is_a_run_with_its_own_columns(runs):
    assert [run.name for run in runs] == [f"{arm}-seed{seed}" for arm in ("E0", "E1", "E2") for seed in (0, 1)]
    assert set(runs[0].success) == {"E0"}
    assert set(runs[-1].success) == {"E2", "E2-zero", "E2-random"}
    assert runs[0].success["E0"] == 4 / 8


def test_the_last_step_has_the_success_rates(runs):
    *lines, (step, final) = scalars(runs[0])
    assert step == lines[-1][0] == 400
    assert final == {"rollouts/success/E0": 0.5}
    assert lines[0][1].keys() == {"train/flow_loss"}


def test_tensorboard_reads_back_what_was_written_and_a_second_export_adds_nothing(runs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        to_tensorboard(runs, tmp_path)
    written = EventAccumulator(str(tmp_path / "E2-seed1"))
    written.Reload()
    events = written.Scalars("train/flow_loss")
    assert [event.step for event in events] == [line["step"] for line in runs[-1].lines]
    assert [event.value for event in events] == pytest.approx([line["flow_loss"] for line in runs[-1].lines])
    assert written.Scalars("rollouts/success/E2-zero")[0].value == pytest.approx(runs[-1].success["E2-zero"])


def test_an_export_leaves_what_else_is_in_its_folder(runs, tmp_path):
    notes = tmp_path / runs[0].name / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    to_tensorboard(runs[:1], tmp_path)
    assert notes.read_text() == "mine"
    assert len(list(notes.parent.iterdir())) == 2


def test_a_run_is_called_what_this_study_calls_it(toy):
    spec, rollouts, trainings = toy.write()
    names = [f"mine{number}-seed4" for number in range(len(trainings))]
    labels = {artifact.parent.name: f"train mine{number}/4" for number, artifact in enumerate(trainings)}
    assert [run.name for run in tracked_runs(trainings, load_results(spec, rollouts), labels)] == names


def test_wandb_keeps_offline_runs_with_the_trainings_keys(runs, tmp_path, monkeypatch):
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "300")  # seconds until its process answers, on a busy machine
    to_wandb(runs[:1], "toy", tmp_path, offline=True)
    (file,) = tmp_path.glob(f"wandb/offline-run-*-{runs[0].key}/run-{runs[0].key}.wandb")
    store, rows = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    losses = [row["train/flow_loss"] for row in rows if "train/flow_loss" in row]
    assert losses == pytest.approx([line["flow_loss"] for line in runs[0].lines])
