"""A study's results tree with real small checkpoints, latents and a report, and the hub that it is published on."""

from __future__ import annotations

import io
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars
from support.data_stages import encoder_spec
from support.hub_server import running_hub
from support.recorded_study import write_results
from support.results_tree import SHORT_STUDY
from support.small_study import edited
from support.tiny_checkpoints import plain_checkpoint, world_checkpoint

from world_modality.cli.planning import link_names, plan_study
from world_modality.latents.cache import write_cache
from world_modality.publishing.names import destination
from world_modality.publishing.publication import Publication
from world_modality.report.stage import run as make_report
from world_modality.store.execute import execute
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph

STUDY = edited(("  E2: {memory: pred}\n", "  E2: {memory: pred, ablations: [zero]}\n"), text=SHORT_STUDY)
"""Two arms, one seed, one task, four episodes: E0, E2 and E2-zero."""
ROOT = Path("results")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Meanwhile ``folder`` is the working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def write_study(folder: Path) -> None:
    """The study's file in ``folder``, and everything sealed below ``results``, the report too."""
    checkpoints = folder / "checkpoints"
    plain = plain_checkpoint(checkpoints / "disabled")
    world_checkpoint(checkpoints / "pred", plain, "pred")
    (folder / "study.yaml").write_text(STUDY)
    with inside(folder):
        graph = plan_study(Path("study.yaml"), ROOT).graph
        write_results(ROOT, graph, fill=partial(_fill, checkpoints))
        execute(ROOT, graph.report, make_report, cores=1, stream=io.StringIO())
        link_names(ROOT, graph)
    shutil.rmtree(checkpoints)


def _fill(checkpoints: Path, request: StageRequest, artifact: Path) -> None:
    if request.stage == "train":
        shutil.copytree(checkpoints / request.spec.memory, artifact / "pretrained_model")
        (artifact / "training_state").mkdir()
        (artifact / "training_state" / "optimizer_state.safetensors").write_bytes(bytes(range(256)) * 40)
        (artifact / "metrics.jsonl").write_text('{"step": 10, "loss": 1.0}\n')
    if request.stage == "latents":
        (artifact / "result.json").unlink()
        rows = np.random.default_rng(0).normal(size=(30, 1, 4)).astype(np.float16)
        write_cache(artifact, [rows], rows.shape, camera="image", encoder=encoder_spec(), dataset_fingerprint="abc")


def publication(endpoint: str, target: str = "someone", **more: Any) -> Publication:
    """The study of the working folder."""
    graph: Graph = plan_study(Path("study.yaml"), ROOT).graph
    return Publication(ROOT, graph, destination(target, graph.study), endpoint, **more)


@dataclass
class RunningHub:
    """A hub in a process of its own, and what a test asks of it."""

    environment: dict[str, str]

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self.environment["HF_ENDPOINT"]

    def log(self) -> dict[str, list[str]]:
        """Uploads, commits and refused requests so far."""
        with urllib.request.urlopen(f"{self.endpoint}/test/log") as answer:
            told: dict[str, list[str]] = json.load(answer)
        return told

    def hold(self, uploads: int | None) -> None:
        """Let uploads hang once there were so many; None lets all through again."""
        self._post(f"/test/hold/{'' if uploads is None else uploads}", b"")

    def spoil(self, repository: str, name: str, content: bytes) -> None:
        """Replace a file, of ``models/USER/NAME`` or ``datasets/USER/NAME``, as somebody with access might."""
        self._post(f"/test/spoil/{repository}/{name}", content)

    def files(self, repository: str, token: bool = True) -> dict[str, Any]:
        """What the hub says of a repository, to somebody with the token or without."""
        request = urllib.request.Request(f"{self.endpoint}/api/{repository}")
        if token:
            request.add_header("Authorization", f"Bearer {self.environment['HF_TOKEN']}")
        with urllib.request.urlopen(request) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def use(self, patch: Any) -> None:
        """Lead the hub's client in this process here."""
        patch.setattr(constants, "ENDPOINT", self.endpoint)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        patch.setattr(constants, "HF_HUB_CACHE", self.environment["HF_HUB_CACHE"])
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        disable_progress_bars()
        patch.setenv("HF_TOKEN", self.environment["HF_TOKEN"])

    def _post(self, path: str, body: bytes) -> None:
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + path, data=body, method="POST")):
            pass


@contextmanager
def hub_at(cache: Path) -> Iterator[RunningHub]:
    """A hub, with the client's cache in ``cache``."""
    with running_hub(cache) as environment:
        yield RunningHub(environment)
