"""A study on the hub: dry run, one commit per repository, and nothing that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from world_modality.errors import UserError
from world_modality.publishing.bundle import Bundle, What
from world_modality.publishing.collecting import bundles_of, with_card
from world_modality.publishing.notes import notes_of, write_note
from world_modality.publishing.privacy import private_places, require_no_secret
from world_modality.publishing.publication import Publication
from world_modality.publishing.remote import Remote

Say = Callable[[str], None]


def gathered(publication: Publication, what: Sequence[What]) -> tuple[Bundle, ...]:
    """All repositories with their cards; cards name those of this call and those that were published before.

    UserError if nothing is sealed, a sealed file is damaged, or one holds a secret.
    """
    bare = bundles_of(publication, what)
    if not bare:
        raise UserError(
            f"nothing of {', '.join(what)} is sealed in the study {publication.graph.study}: run it first, or look "
            "with `wm status`"
        )
    before = {note.repo_id for note in notes_of(publication.root, publication.graph.study)}
    told = replace(publication, there=frozenset(before | {bundle.repo_id for bundle in bare}))
    bundles = tuple(with_card(told, bundle) for bundle in bare)
    for bundle in bundles:
        require_no_secret(bundle)
    return bundles


def dry_run(publication: Publication, what: Sequence[What], *, public: bool) -> Iterator[str]:
    """What would be published, a line per repository and file. The hub is not asked and nothing is written."""
    bundles = gathered(publication, what)
    seen = "public" if public else "private"
    for bundle in bundles:
        yield f"{bundle.repo_type:<8} {bundle.repo_id}   {seen}, {bundle.label}, {size_text(bundle.size)}"
        yield from (f"         {size_text(file.size):>10}  {file.name}" for file in bundle.files)
        yield from warnings(bundle)
    files, size = sum(len(bundle.files) for bundle in bundles), sum(bundle.size for bundle in bundles)
    yield f"in all   {len(bundles)} repositories, {files} files, {size_text(size)}; nothing was sent"


def publish(hub: Remote, publication: Publication, what: Sequence[What], say: Say, *, public: bool) -> int:
    """Bring every repository up to what is sealed, one commit each; how many commits that took.

    Killed anywhere, the next call goes on: a repository is whole or as it was, and large content that was sent before
    is not sent again.

    Raises:
        UserError: nothing is sealed, a result is damaged or holds a secret, or the hub is away or refuses.
    """
    commits = 0
    for bundle in gathered(publication, what):
        for line in warnings(bundle):
            say(line)
        held = hub.look(bundle.repo_id, bundle.repo_type)
        if held is not None and not held.private and not public:
            raise UserError(
                f"{bundle.repo_id} is public already, and what is published is private unless you say --public: say "
                "it, or give NAMESPACE/PREFIX with another prefix"
            )
        if held is None:
            held = hub.create(bundle.repo_id, bundle.repo_type, private=not public)
        lacking = [file for file in bundle.files if held.lacks(file)]
        commit = held.commit
        if lacking:
            message = f"{bundle.label} of {publication.graph.study}"
            commit = hub.add(bundle.repo_id, bundle.repo_type, lacking, held, message)
            commits += 1
        note = write_note(publication.root, publication.graph.study, bundle, commit, private=held.private)
        seen = "private" if held.private else "public"
        sent = f"{len(lacking)} of {len(bundle.files)} files, {size_text(sum(file.size for file in lacking))}"
        say(f"{bundle.what:<12} {note.named}   {seen}, {sent if lacking else 'all there already'}")
    return commits


def warnings(bundle: Bundle) -> Iterator[str]:
    """What someone should look at before others can."""
    places = tuple(private_places(bundle))
    if places:
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        yield f"warning      {bundle.repo_id}: folders of this machine are named in {', '.join(places[:3])}{more}"


def size_text(size: int) -> str:
    """``12.3 MB``; sizes below a kilobyte in bytes."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{size} B"
