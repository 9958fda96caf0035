"""Names on the way out, of repositories, and on the way back, of files: nothing may leave its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass

from world_modality.errors import UserError
from world_modality.store.hub import is_repository

LONGEST = 96  # characters of a repository's name that the hub takes
_OTHER = re.compile(r"[^A-Za-z0-9._]+")
_PART = re.compile(r"[^\x00-\x1f\x7f/\\:]{1,200}")


@dataclass(frozen=True)
class Destination:
    """Whose repositories are made, and what their names begin with."""

    namespace: str
    prefix: str

    def repository(self, *parts: str) -> str:
        """``NAMESPACE/PREFIX-part-part``; UserError if the hub would not take such a name."""
        name = plain("-".join((self.prefix, *parts)))
        repo_id = f"{self.namespace}/{name}"
        if not name or len(name) > LONGEST or name.endswith(".git") or not is_repository(repo_id):
            raise UserError(
                f"{repo_id} is no name that the Hugging Face hub takes (1 to {LONGEST} letters, digits, - . _): give "
                "NAMESPACE/PREFIX with another prefix"
            )
        return repo_id


def destination(text: str, study: str) -> Destination:
    """What someone names as ``NAMESPACE`` or ``NAMESPACE/PREFIX``; the study's name is the prefix by default."""
    namespace, slash, prefix = text.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", namespace) or "/" in prefix or (slash and not plain(prefix)):
        raise UserError(f"{text} is no NAMESPACE or NAMESPACE/PREFIX: give a user or organization of the hub")
    return Destination(namespace, prefix or study)


def plain(text: str) -> str:
    """A text as the hub's names may hold it: other signs become single hyphens, none at either end."""
    return re.sub(r"\.{2,}", ".", _OTHER.sub("-", text)).strip("-.")


def safe_name(name: str, where: str) -> str:
    """A relative path as it is, if it stays below the folder that it is joined to and hides nothing.

    Raises:
        UserError: it does not; ``where`` says who gave it.
    """
    parts = name.split("/")
    if not all(_PART.fullmatch(part) and not part.startswith(".") for part in parts):
        raise UserError(
            f"{where} names a file {name[:80]!r}, which would not stay below its folder: nothing is taken from it; ask "
            "whoever published it"
        )
    return name
