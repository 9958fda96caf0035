"""The keys of every shipped study, pinned: whatever changes one must be meant to.

A key that changes makes everybody's results anew. Whoever means it adds a line to CHANGES, and then writes the new keys
with ``python tests/study/test_golden_keys.py``. Versions of packages and commits of the hub are fixed here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # also where this file is run by itself

from support.small_study import fixed_sources

from world_modality.store.keys import digest_of
from world_modality.study import rows
from world_modality.study.graph import build_graph
from world_modality.study.load import load_study

CHANGES: tuple[tuple[str, str], ...] = (
    # kinds of stages, and why their keys changed
    ("all", "first pinned: names come from the tables of facts, inputs in the order in which they are read"),
    ("all", "the study's arithmetic is in the key of everything that is computed"),
    ("dataset train rollout report", "files hold no times and no order of a set: new versions; a report knows labels"),
    ("all", "a scratch policy says for which suite it is built, an encoder how many clips it computes at once"),
    ("all", "a scratch policy says how wide its pictures are; the report, which policy an arm starts from"),
    ("report", "its columns are conditions"),
    ("train report", "K is the prediction horizon: an episode has a horizon of its own"),
    ("all", "the embedded assets name the folder of their generator, which has moved"),
    ("report rollout", "given checkpoints; the steps of a flow are by default those that the checkpoint says"),
    ("all", "policies that LeRobot builds anew, and trainings by its presets"),
    ("report rollout", "given_checkpoints.yaml rolls out E1 with zero, and E2 with what its own system called random"),
    ("all", "a policy may have a rename of its cameras"),
    ("train rollout videos report", "a training can be a part of one, and keeps the state to go on from"),
    ("latents train rollout videos report", "latents may be taken over from a file"),
    ("dataset latents train rollout videos report relabel", "a dataset may have its features renamed"),
    ("train rollout report", "config.yaml: 200 steps"),
    ("demos dataset train relabel rollout report", "embedded_base.yaml: more demonstrations and steps"),
    ("rollout report", "robustness.yaml: suites that perturb another one"),
    ("rollout videos report", "records tell how the scene settled and was drawn"),
    ("all", "object models are their content, wherever they come from, and LIBERO's original ones by default"),
    ("policy demos dataset train encoder latents rollout report", "workflow/studies/metaworld.yaml is new"),
    ("all", "LIBERO's control step solves contact forces once per physics step instead of three times, or is exact"),
    (
        "demos relabel dataset latents train rollout videos report",
        "the expert works from the goal: other demonstrations",
    ),
    ("latents train rollout videos report", "latents are summed up stretch by stretch"),
    ("report", "shows the world tokens of a study that asks for some"),
    ("rollout videos report", "records word how a scene settled otherwise anew, and know recorded states that do"),
    ("report", "shows offline evaluations of the discrete line's models, of a study that has any"),
    ("all", "a study of the discrete line's models: workflow/studies/discrete.yaml"),
    ("all", "the discrete study trains 250 steps, so that it takes less than a quarter of an hour"),
    ("report", "a gate: native results come from processors that round alike"),
    ("report", "a report calls a policy without memory so, and says where native results of other processors met"),
    ("report", "a study in which no arm has a memory asks whether a policy beats its control"),
    ("prophet train rollout videos offline report", "the Prophet is a stage of its own, which arms start from"),
    ("report", "run_sd is 0.03 by default; stops early where a study asks for it; tells progress"),
    (
        "prophet train rollout offline report",
        "maps of few frames are found in what those span; discrete.yaml: 200 steps of Prophet",
    ),
    (
        "train rollout videos offline report",
        "trainings record where attention lies, gradients of Prophet and injector, nearest frames, and losses and "
        "actions by episode; the report diagnoses by them",
    ),
    ("rollout videos report", "records hold the distances to the goal's parts, where a simulator tells them"),
    ("report", "knows which arms are aligned, given ones too"),
    ("rollout videos report", "records tell whether control steps were the quicker ones"),
)

REPOSITORY = Path(__file__).parents[2]
STUDIES = [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "workflow" / "studies").glob("*.yaml"))]
GOLDEN = Path(__file__).with_name("golden_keys.json")


def keys_of(path: Path) -> dict[str, str]:
    """Kind of stage -> a digest of the names and keys of all such stages of a study."""
    study = load_study(path).study
    with patch.object(rows, "versions", lambda names: dict.fromkeys(names, "1.0")):
        graph = build_graph(study, fixed_sources(study))
    kinds = dict.fromkeys(request.stage for request in graph.stages.values())
    return {
        kind: digest_of(sorted((name, key) for name, key in graph.names.items() if graph.stages[key].stage == kind))
        for kind in kinds
    }


def golden() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text())["keys"]
    return found


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_keys_are_those_that_were_pinned(path: Path) -> None:
    assert keys_of(path) == golden()[path.stem], "keys changed: see the head of this file"


def test_every_change_has_its_reason() -> None:
    assert json.loads(GOLDEN.read_text())["changes"] == len(CHANGES)
    assert golden().keys() == {path.stem for path in STUDIES}
    assert all(kinds and reason for kinds, reason in CHANGES)


def _differing(keys: dict[str, dict[str, str]], before: dict[str, dict[str, str]]) -> Iterator[str]:
    for study, kinds in keys.items():
        for kind, key in kinds.items():
            if before.get(study, {}).get(kind) != key:
                yield f"{study}: {kind}"


def write() -> None:
    """Write the present keys. Ends with a message if they differ and CHANGES does not say why."""
    keys = {path.stem: keys_of(path) for path in STUDIES}
    before = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"changes": 0, "keys": {}}
    differing = list(_differing(keys, before["keys"]))
    if differing and before["changes"] == len(CHANGES):
        sys.exit("keys differ without a reason in CHANGES: " + ", ".join(differing))
    GOLDEN.write_text(json.dumps({"changes": len(CHANGES), "keys": keys}, indent=1) + "\n")


if __name__ == "__main__":
    write()
