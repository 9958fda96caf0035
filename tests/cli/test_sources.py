"""Content addresses of what lies outside the study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.earlier_checkpoints import earlier_checkpoint
from support.given_inputs import edit_json
from support.hub_cache import COMMITS, Hub, use_hub
from support.small_study import edited
from support.tiny_dataset import build_tiny_dataset

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.cli import sources as sources_module
from world_modality.cli.explain import explain, survey
from world_modality.cli.planning import plan_study
from world_modality.cli.sources import resolve_sources
from world_modality.data.hub import ENCODER, POLICY, copy_folder
from world_modality.errors import UserError
from world_modality.study.graph import build_graph
from world_modality.study.load import StudyFile, load_study
from world_modality.study.sources import Assets, PolicySource, Source, Sources

SCRATCH = "policy: {source: scratch}"
SCRIPTED = """\
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9}
  relabel: {per_task: 1, init_states: 0-9}
"""
ENCODED = "source: embedded, frames"
VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
POLICY_COMMIT, VLM_COMMIT, DATA_COMMIT, ENCODER_COMMIT, ASSETS_COMMIT, LATER = COMMITS
FROM_HUB = (
    (SCRATCH, "policy: {source: hub, repo_id: lerobot/smolvla_base, revision: main}"),
    (ENCODED, "source: hub, repo_id: facebook/vjepa2, revision: main, frames"),
    (SCRIPTED, "  {source: hub, repo_id: HuggingFaceVLA/libero, revision: v3.0}\n"),
    ("assets: package", "assets: hub"),
)


def dataset_info(height: int, width: int) -> str:
    """meta/info.json of a data set; its second camera is described as some older data sets do."""
    cameras = {
        "observation.images.image": ([height, width, 3], ["height", "width", "channel"]),
        "observation.images.image2": ([3, height, width], ["channels", "height", "width"]),
        "observation.images.overview": ([480, 640, 3], ["height", "width", "channels"]),
    }
    features = {name: {"dtype": "video", "shape": shape, "names": names} for name, (shape, names) in cameras.items()}
    numbers = {"observation.state": 8, "action": 7}
    features |= {name: {"dtype": "float32", "shape": [size], "names": None} for name, size in numbers.items()}
    paths = {"data_path": "{chunk_index}/{file_index}.parquet", "video_path": "{video_key}/{file_index}.mp4"}
    return json.dumps({"codebase_version": "v3.0", "fps": 10, "features": features, **paths})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return use_hub(tmp_path / "hub", monkeypatch)


@pytest.fixture
def full_hub(hub: Hub) -> Hub:
    """A cache with everything that the study FROM_HUB names, as far as planning reads it."""
    config = json.dumps({"type": "smolvla", "chunk_size": 50, "vlm_model_name": VLM})
    hub.add("lerobot/smolvla_base", POLICY_COMMIT, {"config.json": config})
    hub.add(VLM, VLM_COMMIT, {"config.json": "{}"})
    info = {"meta/info.json": dataset_info(256, 256)}
    hub.add("HuggingFaceVLA/libero", DATA_COMMIT, info, repo_type="dataset", ref="v3.0")
    hub.add("facebook/vjepa2", ENCODER_COMMIT, {"config.json": "{}"})
    hub.add(ASSETS.repository, ASSETS_COMMIT, STAND_INS, repo_type="dataset")
    return hub


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"type": "smolvla", "chunk_size": 10}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def study(tmp_path: Path, *edits: tuple[str, str]) -> StudyFile:
    path = tmp_path / "study.yaml"
    path.write_text(edited(*edits))
    return load_study(path)


def resolve(tmp_path: Path, *edits: tuple[str, str]) -> Sources:
    return resolve_sources(study(tmp_path, *edits), tmp_path / "results")


def policy_of(sources: Sources) -> PolicySource:
    (policy,) = sources.policies.values()
    return policy


def encoder_of(sources: Sources) -> Source:
    (encoder,) = sources.encoders.values()
    return encoder


def test_embedded_parts(tmp_path: Path) -> None:
    found = resolve(tmp_path)
    (assets,) = found.assets.items()
    assert (assets[0], assets[1].source, len(assets[1].digest)) == ("libero_spatial", "package", 16)
    assert policy_of(found) == PolicySource("smolvla", "smolvla-tiny")
    assert (encoder_of(found), found.dataset) == (Source("vjepa2-small"), Source("local/libero_spatial"))


def test_a_policy_folder_is_its_content_but_for_what_is_about_it(tmp_path: Path, policy: Path) -> None:
    edit = (SCRATCH, f"policy: {{source: folder, path: {policy}}}")
    before = policy_of(resolve(tmp_path, edit)).revision
    (policy / "README.md").write_text("about")
    (policy / "provenance.json").write_text("{}")
    assert policy_of(resolve(tmp_path, edit)).revision == before
    (policy / "model.safetensors").write_bytes(b"other weights")
    assert policy_of(resolve(tmp_path, edit)).revision != before


def test_the_embedded_base_policy(tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = (SCRATCH, "policy: {source: embedded}")
    monkeypatch.setattr(sources_module, "BASE_POLICY", policy)
    assert len(policy_of(resolve(tmp_path, edit)).revision) == 16
    too_many = ("num_steps: 5", "num_steps: 5\n  n_action_steps: 11")
    with pytest.raises(UserError, match=r"study.yaml:24: rollouts.n_action_steps: 11 exceeds .* chunk of 10 actions"):
        resolve(tmp_path, edit, too_many)
    monkeypatch.setattr(sources_module, "BASE_POLICY", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"study.yaml:11: policy.source: the embedded base policy is missing; make it"):
        resolve(tmp_path, edit)


def test_the_trained_encoder_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = (ENCODED, "source: embedded, name: vjepa2-libero, frames")
    monkeypatch.setattr(sources_module, "TRAINED_ENCODER", tmp_path)
    with pytest.raises(UserError, match=r"study.yaml:\d+: encoder.name: this copy of the package has no trained encod"):
        resolve(tmp_path, edit)
    (tmp_path / "config.json").write_text("{}")
    (source,) = resolve(tmp_path, edit).encoders.values()
    assert source == Source("vjepa2-libero", ENCODER.digest(tmp_path))
    (tmp_path / "provenance.json").write_text("{}")  # tells where it comes from, and is not what it is
    assert ENCODER.digest(tmp_path) == source.revision


def test_an_encoder_of_another_kind_than_its_folder_s_is_told_when_a_study_is_planned(tmp_path: Path) -> None:
    folder = tmp_path / "dino"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "dinov2", "hidden_size": 8, "patch_size": 16}')
    with pytest.raises(
        UserError, match=r"study.yaml:\d+: encoder.kind: the encoder in .*dino is of kind dinov2, not vjepa2"
    ):
        resolve(tmp_path, (ENCODED, f"source: folder, path: {folder}, frames"))


def test_the_hubs_parts_are_named_by_their_commits(tmp_path: Path, full_hub: Hub) -> None:
    found = resolve(tmp_path, *FROM_HUB)
    assets = Assets(
        f"hub@{ASSETS_COMMIT}", ASSETS.digest(f"hub@{ASSETS_COMMIT}"), own=False
    )  # other files than LIBERO's
    assert found.assets == {"libero_spatial": assets}
    assert policy_of(found) == PolicySource("smolvla", "lerobot/smolvla_base", POLICY_COMMIT, f"{VLM}@{VLM_COMMIT}")
    assert found.dataset == Source("HuggingFaceVLA/libero", DATA_COMMIT)
    assert encoder_of(found) == Source("facebook/vjepa2", ENCODER_COMMIT)
    assert full_hub.asked == []
    assert found.unresolved == ()


@pytest.mark.parametrize(
    ("repo_id", "kind", "changed"),
    [
        ("HuggingFaceVLA/libero", "dataset", {"dataset", "latents", "train", "rollout", "report"}),
        ("facebook/vjepa2", "model", {"encoder", "latents", "train", "rollout", "report"}),
        ("lerobot/smolvla_base", "model", {"policy", "train", "rollout", "report"}),
        (VLM, "model", {"policy", "train", "rollout", "report"}),
    ],
)
def test_another_commit_is_another_key(
    tmp_path: Path, full_hub: Hub, repo_id: str, kind: str, changed: set[str]
) -> None:
    """Machines whose branches stand for different commits must not take each other's results for their own."""
    (tmp_path / "study.yaml").write_text(edited(*FROM_HUB))

    def keys() -> dict[str, set[str]]:
        graph = plan_study(tmp_path / "study.yaml", tmp_path / "results").graph
        assert all(name not in str(request.address) for request in graph.stages.values() for name in ("main", "v3.0"))
        return {stage: {request.key for request in graph.of(stage)} for stage in ("policy", "encoder", *changed)}

    before = keys()
    (repository,) = full_hub.root.glob(f"{kind}s--{repo_id.replace('/', '--')}")
    (commit,) = (repository / "snapshots").iterdir()
    commit.rename(commit.with_name(LATER))
    (ref,) = (repository / "refs").iterdir()
    ref.write_text(LATER)
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == changed


def test_a_study_of_commits_is_planned_without_network(tmp_path: Path, full_hub: Hub) -> None:
    for refs in full_hub.root.glob("*/refs"):
        shutil.rmtree(refs)
    pins = {
        "revision: main}": f"revision: {POLICY_COMMIT}, backbone_revision: {VLM_COMMIT}}}",
        "revision: main, frames": f"revision: {ENCODER_COMMIT}, frames",
        "revision: v3.0": f"revision: {DATA_COMMIT}",
        "assets: hub": f"assets: hub@{ASSETS_COMMIT}",
    }
    pinned = edited(*pins.items(), text=edited(*FROM_HUB))
    (tmp_path / "study.yaml").write_text(pinned)
    found = resolve_sources(load_study(tmp_path / "study.yaml"), tmp_path / "results")
    assert policy_of(found).backbone == f"{VLM}@{VLM_COMMIT}"
    assert found.assets["libero_spatial"].source == f"hub@{ASSETS_COMMIT}"
    assert full_hub.asked == []


def test_out_of_reach_only_stops_a_real_run(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "study.yaml").write_text(edited(*FROM_HUB))
    file = load_study(tmp_path / "study.yaml")
    with pytest.raises(
        UserError, match=r"study.yaml:4: simulator.assets: which commit of the dataset lerobot/libero-ass"
    ):
        resolve_sources(file, tmp_path / "results")
    hub.add(ASSETS.repository, ASSETS_COMMIT, STAND_INS, repo_type="dataset")
    with pytest.raises(
        UserError, match=r"study.yaml:\d+: policy.revision: which commit of the model lerobot/smolvla_base"
    ):
        resolve_sources(file, tmp_path / "results")
    planned = plan_study(tmp_path / "study.yaml", tmp_path / "results", lenient=True)
    assert planned.unresolved == ("data", "policy", "the policy's backbone", "encoder")
    told = explain(tmp_path / "results", survey(tmp_path / "results", planned), None)
    assert told[1].startswith("unresolved   data, policy, the policy's backbone, encoder: the hub is out of reach")


def test_given_checkpoints_that_only_the_hub_knows_are_planned_and_nothing_is_said_of_them(
    tmp_path: Path, hub: Hub
) -> None:
    path = Path(__file__).parents[2] / "workflow" / "studies" / "given_checkpoints.yaml"
    planned = plan_study(path, tmp_path / "results", lenient=True)
    assert planned.unresolved == ("simulator.assets", "policy", "the policy's backbone")
    conditions = {request.address["memory"] for request in planned.graph.of("rollout")}
    assert {"zero", "pred", "signflip"} <= conditions
    assert not list(planned.graph.of("encoder"))
    with pytest.raises(UserError, match=r"given_checkpoints\.yaml:11: simulator\.assets: which commit"):
        plan_study(path, tmp_path / "results")


def test_a_policy_folders_backbone_is_named_by_its_commit(tmp_path: Path, policy: Path, hub: Hub) -> None:
    edit = (SCRATCH, f"policy: {{source: folder, path: {policy}, backbone_revision: v1}}")
    hub.commits[VLM, "v1"] = VLM_COMMIT
    backbones = {VLM: f"{VLM}@{VLM_COMMIT}", f"{VLM}@{LATER}": f"{VLM}@{LATER}", "embedded:x": "", str(policy): ""}
    for name, expected in backbones.items():
        (policy / "config.json").write_text(json.dumps({"type": "smolvla", "chunk_size": 10, "vlm_model_name": name}))
        assert policy_of(resolve(tmp_path, edit)).backbone == expected
    assert hub.asked == [f"{VLM}@v1"]


def test_pictures_of_another_size_than_the_simulators_are_refused(tmp_path: Path, full_hub: Hub) -> None:
    data = tmp_path / "data"
    (data / "meta").mkdir(parents=True)
    edit = (SCRIPTED, f"  {{source: folder, path: {data}}}\n")
    with pytest.raises(UserError, match=r"study.yaml:\d+: data: .*data is no LeRobotDataset v3"):
        resolve(tmp_path, edit)
    shutil.rmtree(data)
    build_tiny_dataset(data, episodes=1, frames=2, size=256)
    assert resolve(tmp_path, edit).dataset.name == str(data)
    smaller = ("horizon: 220", "horizon: 220, camera_size: 128")
    message = (
        r"study.yaml:4: simulator.camera_size: is 128, but the pictures of observation.images.image in .* 256x256 pix"
    )
    with pytest.raises(UserError, match=message):
        resolve(tmp_path, edit, smaller)
    with pytest.raises(UserError, match=message):
        resolve(tmp_path, *FROM_HUB, smaller)
    resolve(tmp_path, smaller)  # demonstrations are made at the simulator's size


def test_a_hubs_dataset_is_judged_under_the_names_that_the_study_gives(tmp_path: Path, full_hub: Hub) -> None:
    """Before any of its frames are fetched, by its meta/info.json alone."""
    info = dataset_info(256, 256).replace("images.image2", "images.wrist").replace("images.image", "images.front")
    full_hub.add("me/data", LATER, {"meta/info.json": info}, repo_type="dataset")

    def edits(rename: str) -> list[tuple[str, str]]:
        data = f"  {{source: hub, repo_id: me/data, revision: {LATER}{rename}}}\n"
        return [*FROM_HUB[:2], (SCRIPTED, data), FROM_HUB[3]]

    proposed = "rename: {front: image, wrist: image2}"
    with pytest.raises(
        UserError, match=rf"study.yaml:\d+: data: .*no observation.images.image, .* write data.{proposed}"
    ):
        resolve(tmp_path, *edits(""))
    right = edits(f", {proposed}")
    sources = resolve(tmp_path, *right)
    (dataset,) = build_graph(study(tmp_path, *right).study, sources).of("dataset")
    assert dataset.spec.rename == (("front", "image"), ("wrist", "image2"))
    with pytest.raises(
        UserError, match=r"simulator.camera_size: is 128, but the pictures of observation.images.image in"
    ):
        resolve(tmp_path, *right, ("horizon: 220", "horizon: 220, camera_size: 128"))


def test_what_stages_copy_is_what_was_addressed(tmp_path: Path, policy: Path) -> None:
    """The digests of a plan are those that the stages find in their copies."""
    (policy / "notes.bin").write_bytes(b"not a part of it")
    (policy / "provenance.json").write_text("{}")
    found = resolve(
        tmp_path,
        (SCRATCH, f"policy: {{source: folder, path: {policy}}}"),
        (ENCODED, f"source: folder, path: {policy}, frames"),
    )
    copies = {"policy.path": (POLICY, policy_of(found).revision), "encoder.path": (ENCODER, encoder_of(found).revision)}
    for setting, (content, digest) in copies.items():
        copy_folder(policy, tmp_path / setting, setting=setting, content=content, digest=digest)
        with pytest.raises(UserError, match=f"{setting}: the content of .* when the study was planned"):
            copy_folder(policy, tmp_path / setting, setting=setting, content=content, digest="0" * 16)


def test_missing_folders_are_errors_at_their_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study.yaml:11: policy.path: nowhere is not a folder"):
        resolve(tmp_path, (SCRATCH, "policy: {source: folder, path: nowhere}"))
    with pytest.raises(
        UserError,
        match=r"study.yaml:4: simulator.assets: the LIBERO .* does not exist: set .* to package or to hub",
    ):
        resolve(tmp_path, ("assets: package", "assets: nowhere"))


def test_what_is_no_policy(tmp_path: Path, policy: Path) -> None:
    (policy / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"is not a LeRobot checkpoint .*give its pretrained_model folder"):
        resolve(tmp_path, (SCRATCH, f"policy: {{source: folder, path: {policy}}}"))


def test_arms_start_from_the_smolvla_of_an_earlier_checkpoint(tmp_path: Path) -> None:
    """Its own world memory has another form, so that a study's arms are those of any SmolVLA."""
    folder = earlier_checkpoint(tmp_path / "e2")
    own = (SCRATCH, f"policy: {{source: folder, path: {folder}}}")
    assert policy_of(resolve(tmp_path, own)).family == "smolvla"
    edit_json(folder / "config.json", lambda config: config.update(world_prefix_tokens=8))
    with pytest.raises(UserError, match=r"study.yaml:11: policy.path: .*world_prefix_tokens is 8 \(F3a\)"):
        resolve(tmp_path, own)


def given_latents(place: object) -> tuple[str, str]:
    return ENCODED, f"{ENCODED.replace(', frames', '')}, latents: {{image: {place}}}, frames"


def test_latents_that_are_there_already_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "set"
    cache.mkdir(parents=True)
    (cache / "train_world_latents_vjepa_m4.fp16.npy").write_bytes(b"rows")

    def key(place: Path) -> str:
        file = study(tmp_path, given_latents(place))
        graph = build_graph(file.study, resolve_sources(file, tmp_path / "results"))
        (latents,) = graph.of("latents")
        return latents.key

    made_here = key(cache)
    assert key(Path(shutil.copytree(cache, tmp_path / "moved"))) == made_here
    (cache / "train_world_latents_vjepa_m4.fp16.npy").write_bytes(b"other rows")
    assert key(cache) != made_here


def test_latents_that_cannot_be_found_or_are_of_a_camera_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"encoder\.latents\.image: there is no file .*nowhere"):
        resolve(tmp_path, given_latents(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"encoder\.latents\.image: .* holds none of a cache's files of latents"):
        resolve(tmp_path, given_latents(tmp_path))
    other = given_latents("x.npy")[1].replace("{image:", "{image2:")
    with pytest.raises(UserError, match=r"encoder\.latents\.image2: no latents of image2 are read; choose image"):
        study(tmp_path, (ENCODED, other))
