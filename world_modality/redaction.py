"""Secrets of the environment, kept out of everything that is written or shown.

Run as a program, ``python redaction.py LOG MARK``, it appends what it reads to a log with every secret replaced by the
name of its variable. It reads until nobody writes any more, so nothing is lost when the writer is killed. It needs
nothing but Python, so that it starts at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

SHORTEST = 6
"""Characters of a secret: a shorter value is a word that may stand anywhere."""
WORDS = frozenset({"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "CREDENTIAL", "CREDENTIALS", "APIKEY", "AUTH"})
BEFORE_KEY = frozenset({"API", "ACCESS", "SECRET", "PRIVATE"})
PLACES = frozenset({"PATH", "FILE", "DIR", "FOLDER", "URL", "URI", "HOST", "SOCK"})
"""Last words of variables that say where a secret is, or what it is for."""
IN_ADDRESS = re.compile(r"(?<=://)[^/\s@\"'<>]+(?=@)")
"""USER:PASSWORD, or a token, of an address."""


def secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Secret -> the name of its variable, of the environment and of the Hugging Face hub's login; longest first."""
    environment = os.environ if environment is None else environment
    found = {
        value.strip(): name for name, value in environment.items() if is_secret(name) and len(value.strip()) >= SHORTEST
    }
    for name, value in environment.items():
        for part in IN_ADDRESS.findall(value):
            found |= {each: name for each in (part, part.partition(":")[2]) if len(each) >= SHORTEST}
    found |= dict.fromkeys(_of_login(environment), "HF_TOKEN")
    spelt = {quote(secret, safe=""): name for secret, name in found.items()} | found
    return dict(sorted(spelt.items(), key=lambda each: -len(each[0])))


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret: HF_TOKEN, WANDB_API_KEY, AWS_SECRET_ACCESS_KEY, ..."""
    words = name.upper().split("_")
    if words[-1] in PLACES:
        return False
    keys = any(word == "KEY" and before in BEFORE_KEY for before, word in pairwise(words))
    return keys or words[-1] == "KEY" or not WORDS.isdisjoint(words)


def holds_password(address: str) -> bool:
    """Whether an address bears a password before its host: ``//USER:PASSWORD@HOST``."""
    return any(":" in part for part in IN_ADDRESS.findall(address))


def redacted(text: str, known: Mapping[str, str] | None = None) -> str:
    """The text with every secret replaced by ``[NAME]`` of its variable, and what an address holds before its host.

    ``known``: of :func:`secrets`, if they were looked up already.
    """
    for secret, name in (secrets() if known is None else known).items():
        text = text.replace(secret, f"[{name}]")
    return IN_ADDRESS.sub("[secret]", text)


def _of_login(environment: Mapping[str, str]) -> Iterator[str]:
    home = environment.get("HF_HOME") or Path(environment.get("HOME", "/"), ".cache", "huggingface")
    try:
        token = Path(environment.get("HF_TOKEN_PATH") or Path(home, "token")).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return
    if len(token) >= SHORTEST:
        yield token


def copy(source: int, log: Path, mark: bytes, told: int) -> None:
    """Append what is read to ``log`` without secrets, until the end; at every ``mark`` in it write a byte to ``told``.

    What cannot be written, because the disk is full or gone, is dropped: whoever works must not stop for its log.
    """
    known = secrets()
    hold = max([256, *(len(secret.encode()) for secret in known)])
    rest = b""
    while chunk := os.read(source, 1 << 16):
        rest += chunk
        while mark in rest:
            before, _, rest = rest.partition(mark)
            _append(log, _clean(before, known))
            os.write(told, b".")
        rest = _clean(rest, known)
        whole = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
        ready = max(whole, len(rest) - hold)  # a secret has no line end, and may be half read
        _append(log, rest[:ready])
        rest = rest[ready:]
    _append(log, rest)


def _clean(data: bytes, known: Mapping[str, str]) -> bytes:
    return redacted(data.decode(errors="surrogateescape"), known).encode(errors="surrogateescape")


def _append(log: Path, data: bytes) -> None:
    with suppress(OSError):
        if data:
            with log.open("ab", buffering=0) as file:
                file.write(data)


if __name__ == "__main__":
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)  # it ends when those who write have ended
    with suppress(BrokenPipeError):
        copy(0, Path(sys.argv[1]), sys.argv[2].encode(), 1)
