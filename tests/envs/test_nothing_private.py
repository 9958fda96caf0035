"""No tracked file holds an address, a place on somebody's machine, or a secret."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PATTERNS = {
    "address": re.compile(r"(?<![\w.])(?<!==)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"),
    # But for a container's own cache, which is on nobody's machine.
    "home": re.compile(r"(?<![\w.])/(?:home|root|Users|mnt|scratch)/(?!somebody|(?<=:/root/)\.cache[\"' ])[\w.-]+"),
    "token": re.compile(
        r"(?<!\w)(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|AKIA[A-Z0-9]{16}|sk-[\w-]{20,})"
    ),
    "key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "login": re.compile(r"https?://[^\s/:@]+:[^\s/@]+@|(?<![\w.])(?:root|ubuntu|ec2-user)@[\w.-]+"),
}
HARMLESS = ("127.0.0.1", "0.0.0.0")
OWN = {"tests/envs/test_nothing_private.py"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    names = [name for name in listed.stdout.decode().split("\0") if name and name not in OWN]
    if not names:
        pytest.skip("not a checkout")
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def findings(text: str) -> list[str]:
    found = []
    for kind, pattern in PATTERNS.items():
        for hit in pattern.findall(text):
            if kind == "address" and (hit in HARMLESS or not is_address(hit)):
                continue
            found.append(f"{kind}: {hit}")
    return found


def is_address(text: str) -> bool:
    """Whether the numbers are those of an address that a stranger could reach."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


@pytest.mark.defect("B28")
def test_no_tracked_file_holds_anything_private() -> None:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:4096]:
            found += [f"{path.relative_to(REPOSITORY)}: {each}" for each in findings(content.decode(errors="replace"))]
    assert found == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("rsync root@134.199.200.5:/data .", "address"),
        ("HOST = '134.199.200.5'", "address"),
        ("sys.path.append('/home/" + "ubuntu/LIBERO')", "home"),
        ("open('/Users/" + "anna/notes.txt')", "home"),
        ("rm -r /root/" + ".cache", "home"),
        ("token=hf_" + "abcdefghijABCDEFGHIJ0123", "token"),
        ("ghp_" + "abcdefghijABCDEFGHIJ0123456789", "token"),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "key"),
        ("https://" + "me:secret@host.example/simple", "login"),
        ("ssh ubuntu" + "@vm7", "login"),
    ],
)
def test_what_is_private_is_found(text: str, kind: str) -> None:
    assert kind in {each.partition(":")[0] for each in findings(text)}


@pytest.mark.parametrize(
    "text",
    [
        "numpy==1.26.4.post1",
        "$HOME/.cache:/root/.cache ",
        "bind 127.0.0.1",
        "version 3.12.1",
        "a/home/page",
        "e@mail.org",
    ],
)
def test_what_is_not_private_is_left(text: str) -> None:
    assert findings(text) == []
