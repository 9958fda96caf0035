import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.hub_cache import COMMITS, use_hub
from support.sim_specs import sim_spec

from world_modality.benchmarks.contract import open_assets
from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.errors import UserError
from world_modality.store import files as store_files
from world_modality.store.files import folder_digest


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STAND_INS, tmp_path / "assets"))


def test_a_copy_elsewhere_has_the_same_digest(copy: Path) -> None:
    assert ASSETS.digest(str(copy)) == ASSETS.digest(str(STAND_INS))
    assert ASSETS.folder(str(copy)) == copy


def test_what_libero_pro_added_to_the_tree_does_not_count(copy: Path) -> None:
    """So that the packages' tree, which holds both benchmarks' objects, is LIBERO's own."""
    before = ASSETS.digest(str(copy))
    added = copy / "stable_scanned_objects" / "yellow_plate" / "yellow_plate.xml"
    added.parent.mkdir()
    added.write_text("<mujoco/>")
    (copy / "articulated_objects" / "yellow_cabinet.xml").write_text("<mujoco/>")
    assert ASSETS.digest(str(copy)) == before
    (copy / "stable_scanned_objects" / "blue_plate.xml").write_text("<mujoco/>")
    assert ASSETS.digest(str(copy)) != before


@pytest.mark.parametrize("change", ["content", "name", "new", "gone", "moved"])
def test_every_change_changes_the_digest(copy: Path, change: str) -> None:
    before = folder_digest(copy)
    file = copy / "stable_scanned_objects" / "plate" / "plate.xml"
    if change == "content":
        file.write_text(file.read_text().replace("plate", "disch", 1))
    elif change == "name":
        file.rename(file.with_name("dish.xml"))
    elif change == "new":
        (copy / "empty.txt").touch()
    elif change == "gone":
        file.unlink()
    else:  # the same names and contents, paired otherwise
        other = copy / "articulated_objects" / "flat_stove.xml"
        text, other_text = file.read_text(), other.read_text()
        file.write_text(other_text)
        other.write_text(text)
    assert folder_digest(copy) != before


def test_what_is_hidden_does_not_count(copy: Path) -> None:
    (copy / ".DS_Store").touch()
    (copy / ".git").mkdir()
    (copy / ".git" / "HEAD").write_text("ref")
    assert ASSETS.digest(str(copy)) == ASSETS.digest(str(STAND_INS))


def test_a_folder_that_has_not_changed_is_read_once(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "digests.json"
    first = ASSETS.digest(str(copy), cache)
    monkeypatch.setattr(store_files, "file_digest", lambda path: pytest.fail(f"{path} was read again"))
    assert ASSETS.digest(str(copy), cache) == first


def test_assets_that_changed_since_the_plan_are_refused(copy: Path) -> None:
    spec = sim_spec().model_copy(update={"assets": str(copy), "assets_digest": ASSETS.digest(str(copy))})
    assert open_assets(spec) == copy
    assert open_assets(spec.model_copy(update={"assets": str(STAND_INS)})) == STAND_INS
    (copy / "scenes" / "new.xml").write_text("<mujoco/>")
    with pytest.raises(UserError, match=rf"folder .* but it was {spec.assets_digest} when this was planned"):
        open_assets(spec)


def test_jobs_read_the_commit_that_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    old, new, other = COMMITS[:3]
    planned = hub.add(ASSETS.repository, old, STAND_INS, repo_type="dataset")
    source = ASSETS.pin("hub")
    assert source == f"hub@{old}"
    digest = ASSETS.digest(source)
    assert digest == ASSETS.digest(str(STAND_INS))  # where it came from does not count
    uploaded = hub.add(ASSETS.repository, new, STAND_INS, repo_type="dataset")  # and somebody downloads it
    (uploaded / "scenes" / "new.xml").write_text("<mujoco/>")
    hub.commits[ASSETS.repository, "main"] = other
    spec = sim_spec().model_copy(update={"assets": source, "assets_digest": digest})
    assert open_assets(spec) == planned
    assert hub.asked == []
    with pytest.raises(UserError, match="when this was planned"):
        open_assets(spec.model_copy(update={"assets": f"hub@{new}"}))


def test_a_commit_needs_no_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    assert ASSETS.pin(f"hub@{COMMITS[0]}") == f"hub@{COMMITS[0]}"
    assert hub.asked == []


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        ASSETS.folder(str(tmp_path / "nowhere"))


def test_a_wrong_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / ASSETS.folders[0]).mkdir()
    with pytest.raises(UserError, match=ASSETS.folders[1]):
        ASSETS.digest(str(tmp_path))


def run_offline(code: str, hub_home: Path) -> str:
    env = {"PATH": "", "HF_HUB_OFFLINE": "1", "HF_HOME": str(hub_home)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_hub_offline_is_one_sentence_unless_it_is_known(tmp_path: Path) -> None:
    refs = tmp_path / "hub" / "datasets--lerobot--libero-assets" / "refs"
    refs.mkdir(parents=True)
    (refs / "seen").write_text("fedcba9876543210" + "0" * 24)
    code = """
from world_modality.errors import UserError
from world_modality.benchmarks.libero.assets import ASSETS
print(ASSETS.pin("hub@seen"))
pinned = "hub@0123456789abcdef0123456789abcdef01234567"
for act, source in ((ASSETS.folder, "hub"), (ASSETS.digest, "hub"), (ASSETS.folder, pinned)):
    try:
        act(source)
    except UserError as error:
        assert "lerobot/libero-assets" in str(error) and "network" in str(error), error
    else:
        raise SystemExit("no error")
"""
    assert run_offline(code, tmp_path).strip() == "hub@fedcba9876543210" + "0" * 24


def test_importing_assets_is_light() -> None:
    code = (
        "import sys, world_modality.benchmarks.libero.assets as a; a.ASSETS.digest('package')\n"
        "heavy = {'numpy', 'torch', 'mujoco', 'robosuite', 'libero', 'lerobot', 'huggingface_hub'} & set(sys.modules)\n"
        "raise SystemExit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
