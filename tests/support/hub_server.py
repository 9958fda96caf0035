"""A small Hugging Face hub on this machine, for its real client: ``python -m support.hub_server`` prints its address.

``python -m support.hub_server FOLDER`` holds what lies in FOLDER/models/USER/NAME and FOLDER/datasets/USER/NAME.

It holds in memory what is uploaded, by commits: repositories, private or not, large files, commits, listings and
downloads, as far as the client asks for them. ``HF_ENDPOINT`` and ``HF_HUB_DISABLE_XET`` lead a process to it. A test
may ask what happened (``/test/log``), let uploads hang from the n-th on (``/test/hold/n``), and change a file behind
everybody's back (``/test/spoil/REPOSITORY/NAME``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORIES: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
"""``datasets/USER/NAME``, ``models/USER/NAME`` -> commits, each with its files."""
PRIVATE: set[str] = set()
"""Those that nobody sees without the token."""
LARGE: dict[str, bytes] = {}
"""Uploaded content by its sha256."""
LOG: dict[str, list[str]] = {"uploads": [], "commits": [], "refused": []}
"""sha256 of what was sent, repositories that were committed to, and requests without the token."""
HOLD: list[int] = []
"""How many uploads there may be before one hangs; empty: any number."""
TOKEN = "hf_of_the_test"


class Hub(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if path.startswith("/test/"):
            self._control(path.removeprefix("/test/"), body)
        elif not self._trusted():
            LOG["refused"].append(path)
            self._answer({"error": "Invalid credentials in Authorization header"}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer({"warnings": [], "errors": []})
        elif path.endswith("/objects/batch"):
            asked = json.loads(body)["objects"]
            link = f"http://{self.headers['Host']}/large/"
            objects = [
                each if each["oid"] in LARGE else {**each, "actions": {"upload": {"href": link + each["oid"]}}}
                for each in asked
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif "/preupload/" in path:
            held = self._found(path.removeprefix("/api/").partition("/preupload/")[0], "main")[1]
            files = json.loads(body)["files"]
            self._answer({"files": [self._mode(each["path"], held.get(each["path"])) for each in files]})
        elif "/commit/" in path:
            self._commit(path.removeprefix("/api/").partition("/commit/")[0], body)
        else:
            self._answer({"error": path}, 404)

    def do_PUT(self) -> None:
        body = self._body()
        while HOLD and len(LOG["uploads"]) >= HOLD[0]:
            time.sleep(0.02)
        LARGE[hashlib.sha256(body).hexdigest()] = body
        LOG["uploads"].append(hashlib.sha256(body).hexdigest())
        self._answer({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/test/log":
            self._answer(LOG)
        elif "/resolve/" in path:
            repository, _, rest = path.strip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(repository if repository.startswith("datasets/") else f"models/{repository}", revision, name)
        elif path.startswith(("/api/models/", "/api/datasets/")):
            self._told(path.removeprefix("/api/"))
        else:
            self._answer({"error": path}, 404)

    def _told(self, path: str) -> None:
        """About a repository, or what is in it."""
        part = next((part for part in ("/revision/", "/tree/") if part in path), "/revision/")
        repository, _, revision = path.partition(part)
        commit, files = self._found(repository, revision or "main")
        if commit is None:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif part == "/tree/":
            self._answer([{"type": "file", "path": name, **_known(name, data)} for name, data in sorted(files.items())])
        else:
            siblings = [{"rfilename": name} for name in sorted(files)]
            said = {"id": repository.partition("/")[2], "sha": commit, "private": repository in PRIVATE}
            self._answer({**said, "siblings": siblings})

    def _control(self, asked: str, body: bytes) -> None:
        what, _, rest = asked.partition("/")
        if what == "hold":
            HOLD[:] = [int(rest)] if rest else []
        elif what == "spoil":
            repository, name = "/".join(rest.split("/")[:3]), "/".join(rest.split("/")[3:])
            commit, files = REPOSITORIES[repository][-1]
            REPOSITORIES[repository].append((hashlib.sha1(commit.encode() + body).hexdigest(), {**files, name: body}))
        self._answer({})

    def _trusted(self) -> bool:
        return bool(self.headers.get("Authorization") == f"Bearer {TOKEN}")

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('type') or 'model'}s/{asked.get('organization')}/{asked['name']}"
        known = name in REPOSITORIES
        if not known and asked.get("visibility") == "private":
            PRIVATE.add(name)
        REPOSITORIES.setdefault(name, [("0" * 40, {})])
        self._answer({"url": f"http://{self.headers['Host']}/{name}"}, 409 if known else 200)

    def _commit(self, repository: str, body: bytes) -> None:
        files = dict(REPOSITORIES[repository][-1][1])
        for line in body.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if (
                item["key"] == "header"
                and value.get("parentCommit", REPOSITORIES[repository][-1][0]) != (REPOSITORIES[repository][-1][0])
            ):
                self._answer({"error": "A commit has happened since."}, 412)
                return
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = LARGE[value["oid"]]
        commit = hashlib.sha1(body + str(len(REPOSITORIES[repository])).encode()).hexdigest()
        REPOSITORIES[repository].append((commit, files))
        LOG["commits"].append(repository)
        link = f"http://{self.headers['Host']}/{repository}/commit/{commit}"
        self._answer({"commitUrl": link, "commitOid": commit, "success": True})

    def _file(self, repository: str, revision: str, name: str) -> None:
        commit, files = self._found(repository, revision)
        if commit is None or name not in files:
            self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        known = {"ETag": f'"{hashlib.sha256(files[name]).hexdigest()}"', "X-Repo-Commit": commit}
        self._send(files[name], 200, {**known, "Content-Type": "application/octet-stream"})

    def _found(self, repository: str, revision: str) -> tuple[str | None, dict[str, bytes]]:
        if repository in PRIVATE and not self._trusted():
            return None, {}
        for commit, files in reversed(REPOSITORIES.get(repository, [])):
            if revision in ("main", commit):
                return commit, files
        return None, {}

    @staticmethod
    def _mode(name: str, held: bytes | None) -> dict[str, Any]:
        known = {} if held is None else _known(name, held)
        oid = known["lfs"]["oid"] if "lfs" in known else known.get("oid")
        mode = "lfs" if _is_large(name) else "regular"
        return {"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def take(folder: Path) -> None:
    """Let the hub hold repositories that lie in a folder, each as one commit."""
    for repository in folder.glob("*/*/*"):
        files = {
            unquote(path.relative_to(repository).as_posix()): path for path in repository.rglob("*") if path.is_file()
        }
        held = {name: path.read_bytes() for name, path in sorted(files.items())}
        commit = hashlib.sha1(repr(held).encode()).hexdigest()
        REPOSITORIES[repository.relative_to(folder).as_posix()] = [("0" * 40, {}), (commit, held)]


def _is_large(name: str) -> bool:
    return not name.endswith((".json", ".jsonl", ".md", ".yaml"))


def _known(name: str, data: bytes) -> dict[str, Any]:
    if _is_large(name):
        pointer = {"size": len(data), "oid": hashlib.sha256(data).hexdigest(), "pointerSize": 130}
        return {"size": len(data), "oid": hashlib.sha1(data).hexdigest(), "lfs": pointer}
    return {"size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}


@contextmanager
def running_hub(cache: Path, content: Path | None = None) -> Iterator[dict[str, str]]:
    """A hub in a process of its own, which holds what lies in ``content``; the environment that leads the client to it,
    with its cache in ``cache``."""
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "support.hub_server", *([] if content is None else [str(content)])],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tests)},
    )
    assert process.stdout is not None
    try:
        yield {
            "HF_ENDPOINT": process.stdout.readline().strip(),
            "HF_HOME": str(cache),
            "HF_HUB_CACHE": str(cache / "hub"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": TOKEN,
        }
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        take(Path(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
