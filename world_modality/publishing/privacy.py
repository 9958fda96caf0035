"""Nothing secret leaves: what files that are published must not hold, and what is told of an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from world_modality import redaction
from world_modality.errors import UserError, in_one_line
from world_modality.publishing.bundle import Bundle, RepoFile

_TEXTS = (".json", ".jsonl", ".md", ".yaml", ".csv", ".tex", ".html", ".txt", ".svg")
_TOKENS = re.compile(rb"hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16}|PRIVATE KEY-----")
HIDDEN = "(hidden)"


def secrets() -> dict[str, str]:
    """What no file that is published may hold: value -> variable, as in logs. But for values that are places here."""
    return {value: name for value, name in redaction.secrets().items() if not _is_place(value)}


def _is_place(value: str) -> bool:
    """Whether a variable such as ``HF_TOKEN_PATH`` says where the secret lies, which is none itself."""
    return len(value) < 256 and Path(value).exists()


def told(error: BaseException) -> str:
    """What an error says, in one line and without any secret."""
    text = in_one_line(error)
    for value in secrets():
        text = text.replace(value, HIDDEN)
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def require_no_secret(bundle: Bundle) -> None:
    """UserError if a text among a repository's files holds a secret; the message does not."""
    known = {value.encode(errors="surrogateescape"): name for value, name in secrets().items()}
    for file in _texts(bundle.files):
        content = b"".join(file.chunks())
        name = next((name for value, name in known.items() if value in content), None)
        if name is None and _TOKENS.search(content):
            name = "a token or key"
        if name is not None:
            raise UserError(
                f"{file.path or file.name} holds the value of {name}, so {bundle.label} is not published: take it out "
                "of what wrote the file, and make the result anew"
            )


def private_places(bundle: Bundle) -> Iterator[str]:
    """Files of a repository that name this person's home or working folder."""
    own = {str(place).encode() for place in (Path.home(), Path.cwd()) if len(place.parts) > 2}
    for file in _texts(bundle.files):
        content = b"".join(file.chunks())
        if any(place in content for place in own):
            yield file.name


def _texts(files: Iterable[RepoFile]) -> Iterator[RepoFile]:
    return (file for file in files if file.name.endswith(_TEXTS))
