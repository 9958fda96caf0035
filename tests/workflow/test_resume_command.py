"""`wm resume` after whatever a dead machine left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.results_tree import SHORT_STAGES, Tree

from world_modality.cli.last_place import Place, last_place


def test_a_damaged_result_is_set_aside_and_made_again(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    (dataset,) = tree.results.glob("dataset/*/artifact/result.json")
    dataset.write_text(dataset.read_text().replace("digest", "dijest"))
    for once in (tree.results / "finished-episodes").glob(f"{dataset.parts[-3]}-*"):
        once.unlink()  # else the stand-in takes it for a mistake that they are finished again
    resumed = tree.wm("resume", "--cores", "2").stderr
    assert f"damaged      results/dataset/{dataset.parts[-3]} (" in resumed
    assert "artifact/result.json changed: same size, other contents; moved to results/damaged/dataset-" in resumed
    assert f"verified     {SHORT_STAGES} sealed stages, 1 damaged" in resumed
    assert "10 stages: 9 done, 1 to run" in resumed
    assert "0 damaged" in tree.verify()
    assert len(list((tree.results / "damaged").iterdir())) == 1
    assert tree.report() == complete.report()


def test_a_torn_record_is_restored_and_nothing_runs(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    for done in tree.results.glob("*/*/DONE.json"):
        done.write_bytes(done.read_bytes()[:100])
    resumed = tree.wm("resume").stderr
    assert f"verified     {SHORT_STAGES} sealed stages, 0 damaged" in resumed
    assert tree.attempts() == complete.attempts()
    assert not (tree.results / "damaged").exists()


def test_who_does_not_verify_takes_what_is_there(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    (dataset,) = tree.results.glob("dataset/*/artifact/result.json")
    dataset.write_text(dataset.read_text().replace("digest", "dijest"))
    assert "verified" not in tree.wm("resume", "--no-verify").stderr
    assert tree.attempts() == complete.attempts()


@pytest.mark.slow
def test_only_a_target_can_be_resumed(tree: Tree) -> None:
    (tree.results / "snapshots").mkdir(parents=True)  # all that is left of a run that died before its first job
    tree.wm("resume", "data", "--cores", "2")
    again = tree.wm("resume", "--cores", "2").stderr
    assert "target       data, as in the run before; all of it: `wm resume all`" in again
    assert {name.partition("/")[0] for name in tree.done()} >= {"demos", "dataset"}
    assert not any(name.startswith(("train", "latents")) for name in tree.done())


def test_what_was_not_begun_or_is_gone_is_not_begun_anew(tree: Tree) -> None:
    (tree.folder / "config.yaml").write_text((tree.folder / "study.yaml").read_text())
    bare = tree.wm_without_study("resume", check=False)  # of a run whose results lie elsewhere
    assert (bare.returncode, bare.stdout) == (1, "")
    assert bare.stderr.startswith("nothing was run in results: name the folder of the results with --results, or begin")
    (tree.folder / "unmounted").mkdir()  # where a disk was mounted
    told = tree.wm("resume", "--results", "unmounted", check=False)
    assert told.returncode == 1
    assert told.stderr.startswith(
        "the results folder unmounted is gone, or nothing was run there: mount its disk again"
    )
    assert {path.name for path in tree.folder.rglob("*")} == {"config.yaml", "study.yaml", "unmounted"}


@pytest.mark.slow
def test_a_profile_is_remembered_and_a_wrong_one_is_one_sentence(tree: Tree) -> None:
    own = tree.folder / "mine"
    shutil.copytree(Path(__file__).parents[2] / "workflow" / "profiles" / "local", own)
    (own / "config.yaml").write_text((own / "config.yaml").read_text() + "default-resources: {mem_mb: 77}\n")
    tree.wm("run", "data", "--profile", "./mine")
    assert last_place(tree.results) == Place(str(own), "local", targets=("data",))
    shutil.rmtree(own)
    lost = tree.wm("resume", check=False)
    assert lost.returncode == 1
    assert lost.stderr.endswith(
        f"--profile {own}: there is no {own}/config.yaml; choose from gpu_node, local, slurm, or name a folder by its "
        "path\n"
    )
    tree.wm("resume", "data", "--profile", "local")
    assert last_place(tree.results) == Place("local", "local", targets=("data",))


@pytest.mark.parametrize(("text", "sentence"), [("- a\n- b\n", "is no Snakemake profile"), ("a: [\n", "is not YAML")])
def test_a_profile_that_is_none_is_one_sentence(tree: Tree, text: str, sentence: str) -> None:
    (tree.folder / "mine").mkdir()
    (tree.folder / "mine" / "config.yaml").write_text(text)
    wrong = tree.wm("run", "--profile", "./mine", check=False)
    assert wrong.returncode == 1
    assert f"mine/config.yaml {sentence}" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
