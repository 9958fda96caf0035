"""A server that asks for a password gets the environment's, which nothing else ever shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import msgpack
import pytest
from support.scripted_policy import HELLO
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, basic_auth, serve

from world_modality.errors import UserError
from world_modality.policies import remote
from world_modality.policies.remote import SERVERS_VARIABLE, NoServer, ServedPolicy, with_credentials
from world_modality.study.parts import RemotePolicy

USER, PASSWORD = "robot", "planted-word"


@pytest.fixture
def address() -> Iterator[str]:
    def answer(connection: ServerConnection) -> None:
        connection.send(msgpack.packb(HELLO))
        with suppress(ConnectionClosed):
            connection.recv()

    door = basic_auth(realm="policies", credentials=(USER, PASSWORD))
    with serve(answer, "127.0.0.1", 0, process_request=door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"


def test_the_password_is_the_environments(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSES", (0.05,))
    policy = RemotePolicy(source="remote", address=address)
    monkeypatch.delenv(SERVERS_VARIABLE, raising=False)
    with pytest.raises(NoServer, match=r"does not answer .*401"):
        ServedPolicy(policy)
    private = address.replace("://", f"://{USER}:{PASSWORD}@")
    monkeypatch.setenv(SERVERS_VARIABLE, f"ws://other:word@elsewhere.example:1 {private}/")
    assert with_credentials("ws://127.0.0.1:1") == "ws://127.0.0.1:1"
    with ServedPolicy(policy) as served:
        assert served.source.name == HELLO["name"]
    monkeypatch.setenv(SERVERS_VARIABLE, private.replace(PASSWORD, "another-word"))
    with pytest.raises(NoServer) as told:
        ServedPolicy(policy)
    assert "another-word" not in str(told.value)


def test_a_study_and_the_command_line_take_no_password_and_do_not_repeat_it() -> None:
    from world_modality.cli.given import policy_at

    with pytest.raises(UserError) as told:
        policy_at(f"ws://{USER}:{PASSWORD}@policies.example:8000")
    assert str(told.value) == "ws://[secret]@policies.example:8000 is not an address ws://HOST:PORT"
