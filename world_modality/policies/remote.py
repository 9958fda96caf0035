"""A policy that another process serves: its software need not fit ours, and it is rolled out like any other.

The server speaks a dialect of :mod:`world_modality.policies.dialects` over a websocket. It holds nothing of an episode,
so it may be asked by several machines at once, and started again at any time.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from world_modality.errors import UserError
from world_modality.facts.policies import DIALECTS
from world_modality.policies.contract import ActionChunk, PolicyFacts, PolicyLost, PolicyRequest
from world_modality.policies.dialects import Server, Speech
from world_modality.study.parts import RemotePolicy
from world_modality.study.sources import Source

CONNECT_SECONDS = 10.0  # until a server that takes the connection has said what it is
FIRST_PAUSES = (0.5, 1.0)  # seconds between the tries to reach a server that was never reached,
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # and one that was lost: it may load for as long as all of them
MOST_BYTES = 1 << 28  # of an answer
SERVERS_VARIABLE = "WORLD_MODALITY_SERVERS"
"""Environment variable with the addresses of servers that ask who is there, ws://USER:PASSWORD@HOST:PORT, with blanks
between them. Studies and records hold addresses without that."""


class ServerError(UserError):
    """A policy's server is not as it must be."""


class NoServer(ServerError):
    """Nobody answers at its address."""


class ServedPolicy:
    """A policy behind a connection: a :class:`~world_modality.policies.contract.WatchedPolicy`."""

    def __init__(self, policy: RemotePolicy, batch: int = 1, say: Callable[[str], None] = lambda _: None) -> None:
        """Connect, and ask what is served.

        Args:
            policy: address, dialect and what it must be.
            batch: requests that are answered at once.
            say: is told when the server is waited for.

        Raises:
            NoServer: it cannot be reached.
            ServerError: it is another policy than was named, takes fewer rows at once, or nobody says which policy it
                is.
        """
        self.batch = batch
        self._policy, self._say = policy, say
        self._speech: Speech = DIALECTS[policy.dialect].code.load()(dict(policy.rename))
        self._line: ClientConnection | None = None
        self._lines = ExitStack()
        self._server = self._reach(FIRST_PAUSES)
        most = self._server.batch
        if most is not None and most < batch:
            self.close()
            raise self._error(f"takes {most} rows at once, not {batch}: set batch to {most} or less")
        self.source = self._identified()

    def __enter__(self) -> ServedPolicy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def facts(self) -> PolicyFacts:
        """What the server says, and how it is spoken to."""
        spoken = {"dialect": self._policy.dialect, **{f"rename {ours}": theirs for ours, theirs in self._policy.rename}}
        return replace(self._server.facts, settings=spoken)

    @property
    def checkpoint(self) -> str:
        """What records say was rolled out: the server's digest, or NAME@REVISION."""
        return self._server.digest or f"{self.source.name}@{self.source.revision}"

    @property
    def device(self) -> str:
        """Where it computes, as far as the server says so."""
        return f"remote {self._server.device}".strip()

    @property
    def past_steps(self) -> int:
        """Observations before the present one that the policy wants."""
        return self._server.past_steps

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time: what the server does shows in no clock of this process."""
        return time.monotonic

    def infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        """A chunk for each of at most ``batch`` requests of one instruction.

        Raises:
            ValueError: more requests than that, or different instructions.
            PolicyLost: the server was gone or silent, and is there again.
            ServerError: it stays away, serves something else now, or its answer cannot be used.
        """
        if not 1 <= len(requests) <= self.batch or len({request.language for request in requests}) > 1:
            raise ValueError(f"a policy is asked for 1 to {self.batch} chunks under one instruction at once")
        return self._answered(requests, self.batch)

    def infer_watched(self, request: PolicyRequest) -> tuple[ActionChunk, dict[str, float]]:
        """The chunk that ``infer`` gives; it reads no memory of ours."""
        return self.infer([request])[0], {}

    def trial(self, request: PolicyRequest, rows: int) -> float:
        """Seconds of wall time that ``rows`` rows take; asked twice, of which the second counts."""
        fit = min(rows, self._server.batch or rows)
        seconds = 0.0
        for _ in range(2):
            start = self.clock()
            self._answered([request] * fit, fit)
            seconds = self.clock() - start
        return seconds * rows / fit

    def close(self) -> None:
        """Hang up."""
        self._line = None
        with suppress(OSError, WebSocketException):
            self._lines.close()

    def _answered(self, requests: Sequence[PolicyRequest], rows: int) -> list[ActionChunk]:
        try:
            questions = self._speech.questions(requests, rows)
        except ValueError as error:
            raise self._error(f"cannot be asked: {error}") from error
        answers = [self._ask(question) for question in questions]
        try:
            chunks = self._speech.chunks(answers)
        except ValueError as error:
            raise self._error(f"answered with {error}: mend the server, or name its dialect") from error
        if len(chunks) not in (len(requests), rows):
            raise self._error(f"answered with {len(chunks)} chunks to {rows} requests: mend the server")
        return chunks[: len(requests)]

    def _ask(self, question: bytes) -> bytes:
        line, seconds, late = self._line, self._policy.timeout, threading.Event()
        if line is None:
            raise self._error("was hung up on: this policy is closed")
        try:
            with _cut_off(line, seconds, late):
                line.send(question)
                answer = line.recv()
        except (OSError, WebSocketException) as error:
            reason = f"gave no answer for {seconds} s" if late.is_set() else f"went away ({error})"
            self.close()
            self._again()
            raise PolicyLost(f"{self._policy.address}: the policy's server {reason}") from error
        if isinstance(answer, str):  # in all dialects a text is what went wrong
            last = (answer.strip().splitlines() or ["it does not say why"])[-1]
            raise self._error(f"failed ({last}): see its own log, mend it, and run again")
        return answer

    def _again(self) -> None:
        """Reach the server once more; ServerError if it serves something else now."""
        before = self._server
        self._server = self._reach(PAUSES)
        if self._server != before:
            one, other = _described(before), _described(self._server)
            raise self._error(
                f"serves another policy now, {other}, than before, {one}: start it as it was, or begin anew in another "
                "folder"
            )

    def _reach(self, pauses: Sequence[float]) -> Server:
        """Connect, however often it takes; NoServer if that is once more than there are pauses."""
        for number, pause in enumerate((*pauses, None)):
            try:
                return self._connect()
            except (OSError, WebSocketException) as error:
                self.close()
                if pause is None:
                    raise self._error(
                        f"does not answer ({_told(error)}): start it, wait until it is ready, and run again", NoServer
                    ) from error
                if number == 0:
                    self._say(f"waiting for the policy's server at {self._policy.address} ({_told(error)})")
                time.sleep(pause)
        raise AssertionError("the last pause is None")

    def _connect(self) -> Server:
        self._lines = ExitStack()
        line = self._lines.enter_context(
            connect(
                with_credentials(self._policy.address),
                open_timeout=CONNECT_SECONDS,
                close_timeout=1.0,
                compression=None,
                ping_interval=None,  # a server that computes need not hear pings; time-outs are ours
                proxy=None,
                max_size=MOST_BYTES,
            )
        )
        self._line = line
        hello = line.recv(timeout=CONNECT_SECONDS)
        try:
            return self._speech.server(hello.encode() if isinstance(hello, str) else hello)
        except ValueError as error:
            self.close()
            label = DIALECTS[self._policy.dialect].label
            others = ", ".join(name for name in DIALECTS.names if name != self._policy.dialect)
            raise self._error(
                f"cannot be spoken to in {label} dialect ({error}): mend it, or name its dialect ({others})"
            ) from error

    def _identified(self) -> Source:
        said, asked = self._server, self._policy
        if said.digest and asked.revision not in (None, said.digest):
            raise self._error(f"serves {_described(said)}, not revision {asked.revision}: start the right one")
        name, revision = asked.name or said.name, said.digest or asked.revision
        if not name or not revision:
            raise self._error("does not say which weights it serves: give their name and revision yourself")
        return Source(name, revision)

    def _error(self, what: str, kind: type[ServerError] = ServerError) -> ServerError:
        return kind(f"{self._policy.address}: the policy's server {what}")


def with_credentials(address: str) -> str:
    """An address with the user and password, or token, that the environment holds for its host and port, if any."""
    for known in os.environ.get(SERVERS_VARIABLE, "").split():
        scheme, _, rest = known.partition("://")
        if f"{scheme}://{rest.rpartition('@')[2].rstrip('/')}" == address:
            return known
    return address


@contextmanager
def _cut_off(line: ClientConnection, seconds: float, late: threading.Event) -> Iterator[None]:
    """End the connection if the block is not left in time, be it in sending or in waiting; ``late`` says so."""

    def cut() -> None:
        late.set()
        with suppress(OSError):
            line.socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _described(server: Server) -> str:
    return f"{server.name or 'one'} {server.digest or 'that says other things of itself'}"


def _told(error: Any) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
