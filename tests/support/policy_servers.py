"""Policy servers as real processes, which a test can kill, stop and start again at the same address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
REFERENCE = TESTS.parent / "workflow" / "tools" / "serve_policy.py"
OPENPI = TESTS / "support" / "openpi_server.py"


class Running:
    """A server's process, ready to be connected to."""

    def __init__(self, arguments: list[str], port: int, environment: dict[str, str]) -> None:
        self._arguments, self._environment = arguments, environment
        self.port = port
        self.start()

    def start(self, **environment: str) -> None:
        """Start it, at the port of the time before if there was one; returns once it listens."""
        path = f"{TESTS.parent}{os.pathsep}{TESTS}{os.pathsep}{TESTS / 'support'}"
        own = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **self._environment, **environment}
        command = [sys.executable, *self._arguments, str(self.port)]
        self.process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if line.startswith("serving ")), "")
        assert line, f"{command} does not serve"
        self.port = int(line.rsplit(":", 1)[1])

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> None:
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def served(module: str, **environment: str) -> Iterator[Running]:
    """The reference server with a module of ``support``."""
    with _running([str(REFERENCE), module], environment) as server:
        yield server


@contextmanager
def openpi(**environment: str) -> Iterator[Running]:
    """A server that speaks openpi's protocol, and has nothing of ours."""
    with _running([str(OPENPI)], environment) as server:
        yield server


@contextmanager
def _running(arguments: list[str], environment: dict[str, Any]) -> Iterator[Running]:
    server = Running(arguments, 0, environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.send(signal.SIGCONT)
            server.kill()
