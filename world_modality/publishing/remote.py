"""The hub, as far as publishing asks it: what a repository holds, and one commit that adds what is not there yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from world_modality.errors import UserError
from world_modality.publishing.bundle import RepoFile
from world_modality.publishing.privacy import told
from world_modality.store.hub import RepoType

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Held:
    """What a repository holds now."""

    commit: str
    private: bool
    digests: Mapping[str, str]  # by path: sha256 of a large file, git's own digest of any other

    def lacks(self, file: RepoFile) -> bool:
        """Whether the file is not there, or is another one."""
        return self.digests.get(file.name) not in file.digests


class Remote:
    """The hub that the environment names (``HF_ENDPOINT``), with the user's own login."""

    def __init__(self) -> None:
        from huggingface_hub import HfApi

        self._api: HfApi = HfApi()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return str(self._api.endpoint)

    def look(self, repo_id: str, repo_type: RepoType) -> Held | None:
        """What a repository holds; None if there is none that this user may see. UserError if the hub is away."""
        from huggingface_hub import RepoFile as Listed
        from huggingface_hub.errors import RepositoryNotFoundError

        with _refusals(repo_id):
            try:
                info = self._api.repo_info(repo_id, repo_type=repo_type)
            except RepositoryNotFoundError:
                return None
            commit = str(info.sha)
            tree = self._api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=repo_type)
            files = [each for each in tree if isinstance(each, Listed)]
        digests = {each.path: each.lfs.sha256 if each.lfs else each.blob_id for each in files}
        return Held(commit, bool(info.private), digests)

    def create(self, repo_id: str, repo_type: RepoType, *, private: bool) -> Held:
        """Make an empty repository, private unless said otherwise."""
        with _refusals(repo_id):
            self._api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        held = self.look(repo_id, repo_type)
        if held is None:
            raise UserError(f"{repo_id} was made, but the hub does not show it: give a token that may read it, too")
        return held

    def add(self, repo_id: str, repo_type: RepoType, files: Sequence[RepoFile], before: Held, message: str) -> str:
        """Add files in one commit on top of what was seen; the commit. Large content that is there is not sent again.

        UserError if the hub refuses, or someone else committed meanwhile.
        """
        from huggingface_hub import CommitOperationAdd

        operations = [
            CommitOperationAdd(file.name, str(file.path) if file.path else b"".join(file.chunks())) for file in files
        ]
        wanted: dict[str, Any] = {"repo_id": repo_id, "repo_type": repo_type, "parent_commit": before.commit}
        with _refusals(repo_id):
            done = self._api.create_commit(operations=operations, commit_message=message, **wanted)
        return str(done.oid)


@contextmanager
def _refusals(repo_id: str) -> Iterator[None]:
    """What goes wrong with the hub, in one sentence without any secret."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (HfHubHTTPError, ValueError, RuntimeError, ConnectionError, httpx.TransportError) as error:
        raise UserError(
            f"{repo_id} could not be published on the Hugging Face hub ({told(error)}): check the network, "
            "HF_HUB_OFFLINE and `hf auth login` with a token that may write; the same command goes on where this one "
            "ended"
        ) from None
