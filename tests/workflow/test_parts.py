"""Parts of a study as targets, of `wm run` and of plain Snakemake."""

from __future__ import annotations

import re

import pytest
from support.fake_stages import EPISODES, finished_episodes
from support.results_tree import SHORT_STAGES, Tree


def kinds(tree: Tree) -> list[str]:
    return sorted(name.split("/")[0] for name in tree.done())


@pytest.mark.slow
def test_a_part_is_made_with_what_it_needs_and_nothing_else(tree: Tree) -> None:
    trained = ["dataset", "demos", "encoder", "latents", "policy", "train"]
    run = tree.wm("run", "--cores", "2", "train:E2")
    assert "target       train:E2: 1 stage, 6 to run with all that it needs\n" in run.stderr
    assert "plan         6 of 10 stages, train:E2 and all that it needs: 0 done, 6 to run\n" in run.stderr
    assert not re.search("^  (rollout|report) ", run.stderr, re.M)
    assert run.stdout.splitlines()[-3:] == [
        "done         train:E2: 6 stages made",
        "in           results/by-name/small/train/E2-seed0",
        "next         `wm resume all` makes the rest, 4 stages; `wm report` shows what there is",
    ]
    assert kinds(tree) == trained
    # Plain Snakemake: of all trainings and rollouts those of E0, with the training that they need.
    tree.snakemake("--cores", "2", "rollouts", "train", "arm=E0")
    assert kinds(tree) == sorted([*trained, "rollout", "train"])
    assert finished_episodes(tree.results) == 8 * EPISODES
    status = tree.wm("status").stdout
    assert re.search(r"^rollout +1 +- +1 ", status, re.M)
    assert re.search(r"^report +- +- +1 ", status, re.M)


def test_wrong_words_end_with_a_sentence_and_others_are_snakemakes(tree: Tree) -> None:
    refused = tree.snakemake("-n", "train:E9", check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "there is no arm or condition E9 (train:E9); did you mean train:E2, train:E0?"
    )
    dry = tree.snakemake("-n", "seed=0")
    whole = SHORT_STAGES - 1  # all but the report
    assert re.search(rf"^total +{whole + 1}$", dry.stdout + dry.stderr, re.M)
