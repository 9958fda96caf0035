"""Every name of LeRobot, LIBERO and robosuite that the project relies on is still what it was written for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.contract import ROOT, complaint, missing_from, reach, sentence
from support.relied_on import DATASET_PARTS, EPISODE_COLUMNS, PI0_PARTS, POLICY, POLICY_PARTS, RELIED_ON
from support.tiny_policy import TinyWorld

from world_modality.benchmarks.libero.quiet import import_libero
from world_modality.training.checkpoints import Saving
from world_modality.training.launch import Hooks, durable
from world_modality.training.metrics import MetricsLog

MODEL_FILE = "lerobot_policy_world_modality/adapters/smolvla.py"


@pytest.fixture(autouse=True, scope="module")
def libero() -> None:
    """Else whatever imports it first would ask on stdin for its folders."""
    import_libero()


@pytest.mark.parametrize("file", RELIED_ON)
def test_what_a_file_relies_on_is_there(file: str) -> None:
    assert (ROOT / file).is_file()
    assert [text for name, expected in RELIED_ON[file].items() if (text := complaint(file, name, expected))] == []


def test_everything_that_is_used_is_in_its_files_table() -> None:
    """Imports, what is taken from them, and what is overridden.

    If not: add what is printed to tests/support/relied_on.py, of a class what is used of it.
    """
    assert missing_from(RELIED_ON) == []


@pytest.mark.parametrize("path", POLICY_PARTS)
def test_the_policys_parts_are_where_they_are_hooked(tiny: TinyWorld, path: str) -> None:
    found, file = type(reach(tiny.stock(), path)).__name__, "lerobot_policy_world_modality/adapters/smolvla.py"
    assert sentence(f"SmolVLA's {path}", POLICY_PARTS[path], found, file, "lerobot") is None


@pytest.mark.parametrize("path", PI0_PARTS)
def test_pi0s_parts_are_where_they_are_hooked(tiny_pi0_world: TinyWorld, path: str) -> None:
    found, file = type(reach(tiny_pi0_world.stock(), path)).__name__, "lerobot_policy_world_modality/adapters/pi0.py"
    assert sentence(f"pi0's {path}", PI0_PARTS[path], found, file, "lerobot") is None


@pytest.mark.parametrize("path", DATASET_PARTS)
def test_the_datasets_parts_are_where_they_are_read(tiny: TinyWorld, path: str) -> None:
    found = type(reach(tiny.dataset, path)).__name__
    file = "world_modality/training/frames.py"
    assert sentence(f"LeRobotDataset's {path}", DATASET_PARTS[path], found, file, "lerobot") is None


def test_the_episode_table_has_its_columns(tiny: TinyWorld) -> None:
    assert set(tiny.metadata.episodes.column_names) >= EPISODE_COLUMNS


class Moved:
    """A SmolVLA of another release."""

    def forward(self, batch: dict[str, Any], noise: Any = None, reduction: str = "mean", *, time: Any = None) -> None:
        """An argument has another place."""


def test_a_moved_argument_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    expected = RELIED_ON[MODEL_FILE][f"{POLICY}.forward"]
    assert complaint(MODEL_FILE, f"{POLICY}.forward", expected) is None
    monkeypatch.setattr(SmolVLAPolicy, "forward", Moved.forward)
    told = complaint(MODEL_FILE, f"{POLICY}.forward", expected)
    assert told is not None
    assert "lerobot 0.6.1's lerobot.policies.smolvla.modeling_smolvla:SmolVLAPolicy.forward was (self, batch" in told
    assert "it is (self, batch, noise=None, reduction='mean', *, time=None)" in told
    assert f"{MODEL_FILE} relies on it" in told


def test_a_name_that_is_gone_and_a_value_that_changed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
    from lerobot.utils import constants

    monkeypatch.delattr(SmolVLAPolicy, "_get_action_chunk")
    assert "it is gone" in str(complaint(MODEL_FILE, f"{POLICY}._get_action_chunk", "(self)"))
    assert "it is gone" in str(complaint(MODEL_FILE, "lerobot.no_such_module:name", "()"))
    monkeypatch.setattr(constants, "ACTION", "actions")
    assert "was 'action'" in str(complaint(MODEL_FILE, "lerobot.utils.constants:ACTION", "'action'"))


def test_an_import_without_an_entry_is_told(tmp_path: Path) -> None:
    (tmp_path / "world_modality").mkdir()
    lines = [
        "import numpy",
        "def f():",
        "    from lerobot.utils.constants import ACTION, DONE",
        "    import libero.libero",
    ]
    (tmp_path / "world_modality" / "new.py").write_text("\n".join(lines))
    table = {"world_modality/new.py": {"lerobot.utils.constants:ACTION": "'action'"}}
    assert missing_from(table, tmp_path) == [
        'world_modality/new.py: "lerobot.utils.constants:DONE": "\'next.done\'"',
        'world_modality/new.py: "libero.libero:": "gone"',
    ]


def test_what_is_taken_from_an_import_and_what_is_overridden_without_an_entry_is_told(tmp_path: Path) -> None:
    (tmp_path / "world_modality").mkdir()
    lines = [
        "from lerobot.scripts import lerobot_eval as script",
        "from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy",
        "class Own(SmolVLAPolicy):",
        "    name = 'own'",
        "    def reset(self): ...",
        "    def from_pretrained(self): ...",
        "    def of_its_own(self): ...",
        "script.main()",
    ]
    (tmp_path / "world_modality" / "new.py").write_text("\n".join(lines))
    base = {"lerobot.policies.pretrained:PreTrainedPolicy.from_pretrained": "", POLICY: "class"}
    policy = "lerobot.policies.smolvla.modeling_smolvla:SmolVLAPolicy"
    table = {"world_modality/new.py": {**base, "lerobot.scripts:lerobot_eval": "module"}}
    assert missing_from(table, tmp_path) == [
        f'world_modality/new.py: "{policy}.name": "\'smolvla\'"',
        f'world_modality/new.py: "{policy}.reset": "(self)"',
        'world_modality/new.py: "lerobot.scripts.lerobot_eval:main": "()"',
    ]


def test_every_name_of_lerobots_script_that_is_replaced_is_in_the_table() -> None:
    """They are looked up by text, which no import shows."""
    from lerobot.scripts import lerobot_train

    saving = Saving(seconds=1)
    hooks = Hooks(MetricsLog(Path(), Path(), lambda _: None), saving, {}, 1)
    named = {entry.split(":")[1].split(".")[0] for entry in RELIED_ON["world_modality/training/launch.py"]}
    assert {*hooks.replacements(lerobot_train), *durable(lerobot_train)} <= named
