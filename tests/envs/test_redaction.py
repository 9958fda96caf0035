"""What counts as a secret, and a log's writer that keeps them out of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from world_modality import redaction
from world_modality.errors import UserError
from world_modality.redaction import copy, is_secret, redacted, secrets

TOKEN = "planted-token-of-the-test"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("WANDB_API_KEY", True),
        ("AWS_ACCESS_KEY_ID", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("RCLONE_CONFIG_BOX_PASS", True),
        ("openai_key", True),
        ("HF_TOKEN_PATH", False),
        ("SSH_AUTH_SOCK", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("PATH", False),
        ("WORLD_MODALITY_RESULTS", False),
    ],
)
def test_variables_are_told_by_their_names(name: str, secret: bool) -> None:
    assert is_secret(name) == secret


def test_values_are_found_wherever_they_are_held(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_of_login\n")
    environment = {
        "MY_TOKEN": "a/b+c=d",
        "SHORT_TOKEN": "abc",
        "HTTPS_PROXY": "ws://me:word-of-proxy@proxy.example:3128",
        "HF_HOME": str(tmp_path),
    }
    assert secrets(environment) == {
        "me%3Aword-of-proxy": "HTTPS_PROXY",
        "me:word-of-proxy": "HTTPS_PROXY",
        "a%2Fb%2Bc%3Dd": "MY_TOKEN",
        "word-of-proxy": "HTTPS_PROXY",
        "hf_of_login": "HF_TOKEN",
        "a/b+c=d": "MY_TOKEN",
    }


def test_errors_for_people_quote_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    assert str(UserError(f"the hub refused {TOKEN}: log in")) == "the hub refused [MY_TOKEN]: log in"
    assert f"{UserError('ws://me:word@host:1 is no address')}" == "ws://[secret]@host:1 is no address"
    assert redacted("someone/model@main and hub@main stay") == "someone/model@main and hub@main stay"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_secret_that_comes_in_pieces_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    text = f"before {TOKEN} after\n" + f"progress {TOKEN}\r" * 40 + f"\u00e9 ws://me:word@host\nlast {TOKEN}"
    log, (out, into), (ready, told) = tmp_path / "log.txt", os.pipe(), os.pipe()
    writer = threading.Thread(target=copy, args=(out, log, b"MARK", told))
    writer.start()
    data = text.encode() + b"MARK" + b"afterwards\n"
    for start in range(0, len(data), step):
        os.write(into, data[start : start + step])
    assert os.read(ready, 1) == b"."
    os.close(into)
    writer.join(timeout=10)
    expected = text.replace(TOKEN, "[MY_TOKEN]").replace("me:word", "[secret]") + "afterwards\n"
    assert log.read_bytes().decode() == expected
    for handle in (out, ready, told):
        os.close(handle)


def test_the_writer_outlives_whoever_writes_and_a_log_that_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", redaction.__file__, str(tmp_path / "gone" / "log.txt"), "MARK"]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.communicate(b"lost\nMARK", timeout=20)[0] == b"."
    assert writer.returncode == 0
