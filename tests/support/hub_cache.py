"""The Hugging Face hub's cache on disk, as its client would have left it, and a hub that answers or does not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

COMMITS = tuple(digit * 40 for digit in "abcdef")


@dataclass
class Hub:
    """A cache folder, and the commits that the hub itself would name; what is in neither place is out of reach."""

    root: Path
    commits: dict[tuple[str, str], str] = field(default_factory=dict)  # (repository, revision) -> commit
    asked: list[str] = field(default_factory=list)

    def add(
        self,
        repo_id: str,
        commit: str,
        files: Mapping[str, str] | Path,
        *,
        repo_type: str = "model",
        ref: str | None = "main",
    ) -> Path:
        """Put a repository's files at a commit into the cache, and note that ``ref`` is this commit; its folder."""
        repository = self.root / f"{repo_type}s--{repo_id.replace('/', '--')}"
        snapshot = repository / "snapshots" / commit
        if isinstance(files, Path):
            shutil.copytree(files, snapshot)
        else:
            for name, text in files.items():
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (snapshot / name).write_text(text)
        if ref is not None:
            (repository / "refs").mkdir(parents=True, exist_ok=True)
            (repository / "refs" / ref).write_text(commit)
        return snapshot

    def answer(self, repo_id: str, revision: str) -> Any:
        """What the hub says about a repository."""
        self.asked.append(f"{repo_id}@{revision}")
        if (repo_id, revision) not in self.commits:
            raise ConnectionError("no route to the hub")
        return SimpleNamespace(sha=self.commits[repo_id, revision])


def use_hub(root: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Let the hub's client work with ``root`` as its cache and with the returned hub, instead of the network."""
    hub = Hub(root)

    def repo_info(_: Any, repo_id: str, *, revision: str, **__: Any) -> Any:
        return hub.answer(repo_id, revision)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    return hub
