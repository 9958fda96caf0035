"""What was published comes back: sealed stages into a results tree, under their keys and with their digests.

Nothing that a repository says is believed before it was compared: names must stay below their folders, a record's key
must follow from its contents, and every file must have the digest that it was sealed with.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.publishing.bundle import PLANS, Laid, Place, read_laid
from world_modality.publishing.bundle import STAGES as STAGES_FILE
from world_modality.publishing.names import safe_name
from world_modality.store.done import DoneFile, content_digest
from world_modality.store.files import empty_folder, file_digest, link_or_copy, sync_tree, write_atomically
from world_modality.store.hub import RepoType, fetch, is_repository, resolve_commit
from world_modality.store.index import sealed_done
from world_modality.store.layout import names_folder, sealed_plans_folder, stage_folder
from world_modality.store.links import link_stage
from world_modality.store.lock import exclusive
from world_modality.store.seal import clean

_KEY, _PLAN = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{16}-[0-9]{8}T[0-9]{6}Z\.json")
DATASETS = "datasets/"


@dataclass(frozen=True)
class Published:
    """A repository at a commit."""

    repo_id: str
    repo_type: RepoType
    commit: str

    @property
    def named(self) -> str:
        """As `wm fetch-published` takes it: the hub knows no shorter form of a commit."""
        return f"{DATASETS if self.repo_type == 'dataset' else ''}{self.repo_id}@{self.commit}"

    def folder(self, names: Sequence[str]) -> Path:
        """A folder that holds these of its files, downloaded as far as they lack."""
        return fetch(self.repo_id, self.commit, self.repo_type, patterns=[glob.escape(name) for name in names])


def fetch_published(root: Path, name: str) -> Iterator[str]:
    """Take up every stage of a repository (``NAMESPACE/NAME`` of a model, ``datasets/NAMESPACE/NAME``, either with
    ``@REVISION``) that the results tree lacks; lines that tell of it.

    Raises:
        UserError: there is no such repository, it holds nothing of ours, or what it holds is not what it says.
    """
    published = find(name)
    text = published.folder([STAGES_FILE]) / STAGES_FILE
    if not text.is_file():
        raise UserError(
            f"{name} on the hub holds no results of this package (no {STAGES_FILE}): name a repository that "
            "`wm publish` made"
        )
    stages = read_laid(text.read_text(), published.named)
    for laid in stages:
        _require_consistent(laid, published.named)
    lacking = [laid for laid in stages if not _is_here(root, laid, published)]
    source = published.folder(sorted({place.file for laid in lacking for place in laid.places.values()}))
    taken = sum(_take_up(root, source, laid, published) for laid in lacking)
    for laid in stages:
        _link(root, laid)
    plans = _take_plans(root, published, {laid.study for laid in stages})
    studies = ", ".join(dict.fromkeys(laid.study for laid in stages))
    here = len(stages) - taken
    yield f"fetched      {published.named}: {taken} of {len(stages)} stages of {studies}, {here} were here"
    if plans:
        yield f"plans        {plans} sealed plan{'s' * (plans > 1)} of {studies}"
    yield from (f"             {place}" for place in _shown(root, stages))


def find(name: str) -> Published:
    """The repository that someone names; a model unless it begins with ``datasets/``."""
    repo_type: RepoType = "dataset" if name.startswith(DATASETS) else "model"
    repo_id, _, revision = name.removeprefix(DATASETS).removeprefix("models/").partition("@")
    if not is_repository(repo_id):
        raise UserError(f"{name} is no repository of the hub: give NAMESPACE/NAME or {DATASETS}NAMESPACE/NAME")
    return Published(repo_id, repo_type, resolve_commit(repo_id, revision or "main", repo_type, now=True))


def _require_consistent(laid: Laid, where: str) -> None:
    """UserError unless the record is one that sealing could have written, and says where each of its files lies."""
    record = laid.record
    sound = (
        record.stage in STAGES.names
        and _KEY.fullmatch(record.key)
        and record.expected_key() == record.key
        and record.content_digest == content_digest(record.files)
        and laid.places.keys() == record.files.keys()
        and all(place.offset >= 0 for place in laid.places.values())
        and all(name.startswith(STAGES[record.stage].links) for name in laid.names)
    )
    if not sound:
        raise UserError(
            f"{where}: what it says of {record.stage}/{record.key[:16]} contradicts itself, or is of another version "
            "of this package: nothing is taken from it; ask whoever published it"
        )


def _is_here(root: Path, laid: Laid, published: Published) -> bool:
    """Whether a stage is sealed here; UserError if another result is, under the same key."""
    folder = stage_folder(root, laid.record.stage, laid.record.key)
    here = sealed_done(folder)
    if here is not None and here.content_digest != laid.record.content_digest:
        raise UserError(
            f"{folder.path} holds {here.content_digest}, and {published.named} another result under the same key, "
            f"{laid.record.content_digest}: equal keys hold equal results only on processors that round alike; fetch "
            "it into another results tree (docs/keys.md)"
        )
    return here is not None


def _take_up(root: Path, source: Path, laid: Laid, published: Published) -> bool:
    """Seal one stage here with what was published of it; False if someone else did meanwhile.

    UserError if a file is not what it was sealed with; then nothing is sealed.
    """
    record, folder = laid.record, stage_folder(root, laid.record.stage, laid.record.key)
    with exclusive(folder.lock, lambda: None):
        if _is_here(root, laid, published):
            return False
        empty_folder(folder.artifact)
        for name, place in laid.places.items():
            _write(source / place.file, place, folder.artifact / name, record, name, published)
        sync_tree(folder.artifact)
        if laid.run is not None:
            write_atomically(folder.run, (laid.run.model_dump_json(indent=1) + "\n").encode())
        data = (record.model_dump_json(indent=1) + "\n").encode()
        write_atomically(folder.seal, data)
        write_atomically(folder.done, data)
        clean(folder)
    return True


def _link(root: Path, laid: Laid) -> None:
    """Names for people where the tree has none: a study of this tree keeps its own, and nothing lands in an artifact
    that another name leads to."""
    folder = names_folder(root, laid.study)
    for name in laid.names:
        place = folder / name
        below = place.parent.resolve().is_relative_to(folder.resolve())
        if below and not place.is_symlink() and not place.exists():
            link_stage(root, laid.study, name, laid.record.stage, laid.record.key)


def _write(source: Path, place: Place, target: Path, record: DoneFile, name: str, published: Published) -> None:
    """One file of an artifact; a hard link to the hub's cache where the file is whole there."""
    entry = record.files[name]
    if not source.is_file():
        raise UserError(f"{published.named} lacks {place.file}: it was changed since it was published; ask who did")
    target.parent.mkdir(parents=True, exist_ok=True)
    if place.offset == 0 and source.stat().st_size == entry.size:
        link_or_copy(source, target)
    else:
        with source.open("rb") as whole, target.open("wb") as own:
            whole.seek(place.offset)
            own.write(whole.read(entry.size))
    if target.stat().st_size != entry.size or file_digest(target) != entry.sha256:
        target.unlink()
        raise UserError(
            f"{place.file} of {published.named} is not what {record.label} was sealed with (sha256 "
            f"{entry.sha256[:16]}): it was changed on the hub, or the hub's cache here is damaged; remove it from the "
            "cache and fetch it again"
        )


def _take_plans(root: Path, published: Published, studies: set[str]) -> int:
    """Keep the sealed plans of a repository beside those of this tree; how many came."""
    file = published.folder([PLANS]) / PLANS
    if not file.is_file():
        return 0
    count = 0
    for line in file.read_text().splitlines():
        try:
            plan = json.loads(line)
            name, text, study = str(plan["name"]), str(plan["text"]), json.loads(plan["text"])["plan"]["study"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{published.named}: {PLANS} is damaged: ask whoever published it") from error
        if not _PLAN.fullmatch(name) or study not in studies:
            raise UserError(f"{published.named}: {PLANS} names a plan {name[:60]!r} that is none of its study's")
        target = sealed_plans_folder(root, safe_name(study, published.named)) / name
        if not target.exists():
            write_atomically(target, text.encode())
            count += 1
    return count


def _shown(root: Path, stages: Sequence[Laid]) -> Iterator[str]:
    """Where someone looks for what was fetched: a few links for people."""
    links = [f"{root}/by-name/{laid.study}/{name}" for laid in stages for name in laid.names]
    yield from links[:5]
    if len(links) > 5:
        yield f"and {len(links) - 5} more below {root}/by-name"
