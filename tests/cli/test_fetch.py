"""All that a study takes from a network, fetched beforehand; and the study without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.data_stages import encoder_spec
from support.hub_server import running_hub
from support.small_study import edited
from support.tiny_checkpoints import plain_checkpoint
from support.tiny_dataset import build_tiny_dataset

from world_modality.cli.fetch import fetch_wheels, take_cached, torch_weights
from world_modality.cli.needed import HubPart
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.store.files import file_digest, files_below
from world_modality.store.packages import PackagedFiles
from world_modality.study.load import load_study
from world_modality.study.sources import Sources

TESTS = Path(__file__).parents[1]
SCRIPTED = """\
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9}
  relabel: {per_task: 1, init_states: 0-9}
"""
STUDY = edited(
    ("policy: {source: scratch}", "policy: {source: hub, repo_id: someone/policy, revision: main}"),
    ("source: embedded, frames", "source: hub, repo_id: someone/encoder, revision: main, frames"),
    (SCRIPTED, "  {source: hub, repo_id: someone/data, revision: main}\n"),
    ("{assets: package, ", "{camera_size: 64, "),
)
STAND_INS = TESTS / "stand_ins" / "assets"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub holds."""
    place = tmp_path_factory.mktemp("content")
    plain_checkpoint(place / "models" / "someone" / "policy", pixels=64)
    build_embedded_encoder(encoder_spec(image_size=64), place / "models" / "someone" / "encoder")
    build_tiny_dataset(place / "datasets" / "someone" / "data", size=64)
    return place


@pytest.fixture(scope="module")
def hub(content: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running_hub(tmp_path_factory.mktemp("cache"), content) as environment:
        yield environment


@pytest.fixture(scope="module")
def fetched(hub: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a study and what it needs in ``fetched``; and what was said."""
    folder = tmp_path_factory.mktemp("fetched")
    (folder / "study.yaml").write_text(f"{STUDY}\n".replace("{camera_size", f"{{assets: {STAND_INS}, camera_size"))
    done = wm(folder, hub, "fetch", "study.yaml")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def wm(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "world_modality.cli.main", *arguments]
    return _run(command, folder, environment)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    paths = {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    found = {**os.environ, "HF_HUB_OFFLINE": "0", **paths, **environment}
    return subprocess.run(command, cwd=folder, env=found, capture_output=True, text=True, check=False)


def without_network(
    folder: Path,
    home: Path,
    *arguments: str,
    program: tuple[str, ...] = ("-m", "world_modality.cli.main"),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """`wm` of another user, in a network that has not even itself."""
    apart = ["unshare", "--net"]
    if not shutil.which("unshare") or _run([*apart, "true"], folder, {}).returncode:
        pytest.skip("no network can be taken away here")
    places = {"HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "HOME": str(home)}
    return _run([*apart, sys.executable, *program, *arguments], folder, places | environment)


PLANS = """
from pathlib import Path
from world_modality.cli.planning import plan_study
from world_modality.store.fetched import use_fetched
use_fetched()
print(plan_study(Path("study.yaml"), Path("results")).snapshot)
"""


def key(said: str) -> str:
    """Of the stage that `wm why` told of."""
    found = re.search(r"\b[0-9a-f]{16}\b", said)
    assert found, said
    return found[0]


def test_a_study_is_fetched_with_sizes_and_is_planned_alike_without_a_network(
    fetched: tuple[Path, str], hub: dict[str, str], tmp_path: Path
) -> None:
    folder, said = fetched
    for part in ("policy someone/policy@", "encoder someone/encoder@", "dataset someone/data@"):
        assert f"fetched      {part}" in said
        assert f"fetch        {part}" in said
    assert "next         bring it to the other machine, and `wm run --study study.yaml --fetched" in said
    note = json.loads((folder / "fetched" / "fetched.json").read_text())
    assert [each["name"].split()[0] for each in note["studies"]["small"]["fetched"]] == ["policy", "dataset", "encoder"]
    assert not (folder / "results").exists()
    with_network = wm(folder, hub, "why", "report", "--study", "study.yaml")
    assert with_network.returncode == 0, with_network.stderr
    moved = shutil.move(folder / "fetched", tmp_path / "brought along")
    try:
        apart = without_network(folder, tmp_path, "why", "report", "--study", "study.yaml", "--fetched", str(moved))
        assert apart.returncode == 0, apart.stderr
        assert "unresolved" not in apart.stdout
        assert key(apart.stdout) == key(with_network.stdout)
        told = without_network(folder, tmp_path, "check", "study.yaml", "--fetched", str(moved)).stdout
        assert "network" not in told
    finally:
        shutil.move(moved, folder / "fetched")


@pytest.mark.slow  # the hub's client tries for a while
def test_without_the_folder_a_check_says_what_lacks_and_what_to_do(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = fetched
    told = without_network(folder, tmp_path, "check", "study.yaml").stdout
    (line,) = (line for line in told.splitlines() if "wm fetch" in line)
    assert line == (
        "unseen   policy someone/policy, dataset someone/data, encoder someone/encoder: not on this machine, which "
        "reaches no network: run `wm fetch study.yaml --to FOLDER` where there is one, and name that folder with "
        "--fetched"
    )
    wrong = without_network(folder, tmp_path, "explain", "--study", "study.yaml", "--fetched", str(tmp_path))
    assert wrong.returncode == 1
    assert f"{tmp_path} is no folder that `wm fetch` filled" in wrong.stderr


@pytest.mark.slow
def test_a_stage_is_made_from_the_folder_without_a_network(fetched: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = fetched
    planned = without_network(folder, tmp_path, program=("-c", PLANS), WORLD_MODALITY_FETCHED="fetched")
    assert planned.returncode == 0, planned.stderr
    plan = folder / planned.stdout.strip()
    encoder = next(each["key"] for each in json.loads(plan.read_text())["stages"] if each["stage"] == "encoder")
    made = without_network(folder, tmp_path, "stage", "encoder", encoder, "--plan", str(plan), "--fetched", "fetched")
    assert made.returncode == 0, made.stderr
    assert (folder / "results" / "encoder" / encoder / "DONE.json").is_file()
    shutil.rmtree(folder / "results")


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(
    fetched: tuple[Path, str], hub: dict[str, str]
) -> None:
    folder, _ = fetched
    weights = next((folder / "fetched" / "hub").glob("models--someone--encoder/snapshots/*/model.safetensors"))
    content = weights.resolve()
    whole, before = content.read_bytes(), content.stat()
    again = wm(folder, hub, "fetch", "study.yaml")
    assert again.stderr.count("there already") == 3
    assert content.stat().st_mtime_ns == before.st_mtime_ns
    content.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # as large as before
    mended = wm(folder, hub, "fetch", "study.yaml")
    assert mended.returncode == 0, mended.stderr
    assert "model.safetensors is damaged, and fetched again" in mended.stderr
    assert weights.resolve().read_bytes() == whole
    content.unlink()  # as an interrupted download leaves it
    assert wm(folder, hub, "fetch", "study.yaml").returncode == 0
    assert weights.resolve().read_bytes() == whole


def test_what_the_users_own_cache_has_is_taken_from_there(fetched: tuple[Path, str], tmp_path: Path) -> None:
    cache = fetched[0] / "fetched" / "hub"
    (place,) = cache.glob("datasets--someone--data/snapshots/*")
    listed = {name: path.stat().st_size for name, path in files_below(place)}
    part = HubPart("dataset", "someone/data", place.name, "dataset")
    hub, other = tmp_path / "hub", {**listed, "meta/info.json": 1, "../../outside.json": 1, "new.json": 1}
    assert take_cached(part, other, hub, cache) == sum(listed.values()) - listed["meta/info.json"]
    assert take_cached(part, listed, hub, cache) == listed["meta/info.json"]
    taken = hub / "datasets--someone--data" / "snapshots" / place.name
    assert {name: file_digest(path) for name, path in files_below(taken)} == {
        name: file_digest(path) for name, path in files_below(place)
    }
    assert all(path.is_symlink() and path.resolve().is_relative_to(hub.resolve()) for _, path in files_below(taken))
    assert take_cached(part, listed, hub, tmp_path / "none") == 0


@pytest.mark.slow
def test_nothing_is_asked_for_that_the_users_own_cache_has(
    fetched: tuple[Path, str], hub: dict[str, str], tmp_path: Path
) -> None:
    folder, cache = fetched[0], fetched[0] / "fetched" / "hub"
    again = wm(folder, hub | {"HF_HUB_CACHE": str(cache)}, "fetch", "study.yaml", "--to", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    told = [line for line in again.stderr.splitlines() if line.startswith("fetch ")]
    assert [line for line in told if f" from {cache}" in line and "to fetch" not in line] == told
    assert len(told) == 3


def test_what_lies_in_no_network_is_named(hub: dict[str, str], content: Path, tmp_path: Path) -> None:
    served = "E9: {checkpoint: {source: remote, address: ws://policies.example:8000, name: a, revision: b}}"
    assert STUDY.count("seeds: [0, 1]") == 1
    text = (
        STUDY.replace(
            "{source: hub, repo_id: someone/policy, revision: main}",
            f"{{source: folder, path: {content}/models/someone/policy}}",
        )
        .replace("  E0: {", f"  {served}\n  E0: {{")
        .replace("seeds: [0, 1]", "seeds: [0]")
    )
    (tmp_path / "study.yaml").write_text(text.replace("{camera_size", f"{{assets: {STAND_INS}, camera_size"))
    done = wm(tmp_path, hub, "fetch", "study.yaml", "--to", "there")
    assert done.returncode == 0, done.stderr
    assert "not fetched  ws://policies.example:8000 serves a policy: it must be reached from where" in done.stdout
    assert f"not fetched  policy {content}/models/someone/policy is a folder of this machine: bring it" in done.stdout


def test_a_repository_cannot_write_outside_of_its_folder(tmp_path: Path) -> None:
    """A name with .. never comes from a hub, but from one that is not what it seems."""
    with running_hub(tmp_path / "cache", _escaping(tmp_path / "content")) as hub:
        command = (
            "from world_modality.store.hub import *; fetch('someone/evil', resolve_commit('someone/evil', 'main'))"
        )
        done = _run([sys.executable, "-c", command], tmp_path, hub)
    assert done.returncode != 0
    assert [path for path in tmp_path.rglob("escaped*") if "content" not in path.parts] == []


def _escaping(place: Path) -> Path:
    """A folder whose only file is called out of the repository, for the server reads names as they are."""
    folder = place / "models" / "someone" / "evil"
    folder.mkdir(parents=True)
    (folder / "..%2F..%2F..%2F..%2Fescaped.json").write_text("{}")
    return place


def test_wheels_of_a_lock_are_files_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _wheel(tmp_path / "index")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{file_digest(made)}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.parent))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    found = fetch_wheels([lock], tmp_path / "wheels")
    assert (found.files, found.size) == (1, made.stat().st_size)
    assert file_digest(tmp_path / "wheels" / made.name) == file_digest(made)
    lock.write_text(f"tiny-thing==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UserError, match=r"--wheels: the packages of .*lock\.txt cannot be had"):
        fetch_wheels([lock], tmp_path / "other")
    with pytest.raises(UserError, match=r"there is no .*none\.txt: run `wm fetch` of a clone"):
        fetch_wheels([tmp_path / "none.txt"], tmp_path / "other")


def _wheel(folder: Path) -> Path:
    import zipfile

    folder.mkdir()
    wheel, about = folder / "tiny_thing-1.0-py3-none-any.whl", "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny_thing.py", "")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return wheel


def test_weights_of_torchvision_are_known_by_what_policies_name(tmp_path: Path) -> None:
    act = edited(("policy: {source: scratch}", "policy: {source: new, type: act}"), (", ablations: [zero, random]", ""))
    arms = "  E0: {memory: disabled}\n"
    text = act[: act.index("arms:\n")] + "arms:\n" + arms + act[act.index("rollouts:\n") :]
    (tmp_path / "study.yaml").write_text(
        text.replace("world: {prophet_layers: 2, prophet_width: 128, prediction_horizon: 8}\n", "")
    )
    sources = Sources(assets={}, policies={}, dataset=None, encoders={})
    assert torch_weights(load_study(tmp_path / "study.yaml"), sources) == ["ResNet18_Weights.IMAGENET1K_V1"]
    own = text.replace("type: act}", "type: act, settings: {pretrained_backbone_weights: null}}")
    (tmp_path / "study.yaml").write_text(own)
    assert torch_weights(load_study(tmp_path / "study.yaml"), sources) == []


def test_packages_are_fetched_into_the_folders_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from world_modality.store.fetched import FETCHED_VARIABLE, FetchedFolder, use_fetched

    folder = FetchedFolder(tmp_path)
    folder.note.write_text("{}")
    for name in (
        "HF_HUB_CACHE",
        "WM_CACHE",
        "TORCH_HOME",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
    ):
        monkeypatch.setenv(name, "before")
    monkeypatch.setenv(FETCHED_VARIABLE, str(tmp_path))
    use_fetched()
    assert (os.environ["HF_HUB_CACHE"], os.environ["HF_HUB_OFFLINE"]) == (str(folder.hub), "1")
    files = PackagedFiles("files", tmp_path / "lock.txt", "below", 1, "")
    (tmp_path / "lock.txt").write_text("")
    assert files.kept.is_relative_to(folder.cache)
