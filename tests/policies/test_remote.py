"""Policies behind a socket: real servers, killed, stopped, silent, faulty and started again."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.policy_servers import openpi, served
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.contract import Observation
from world_modality.data.hub import POLICY
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies import remote
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyLost, PolicyRequest
from world_modality.policies.remote import ServedPolicy
from world_modality.study.parts import RemotePolicy

PAGE = Path(__file__).parents[2] / "docs" / "remote.md"
LANGUAGE = "move the point to the goal"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for comes soon in a test, or never."""
    monkeypatch.setattr(remote, "FIRST_PAUSES", (0.05,))
    monkeypatch.setattr(remote, "PAUSES", (0.1,) * 20)


def request(number: int = 0, size: int = 8) -> PolicyRequest:
    rng = np.random.default_rng(number)
    images = {name: rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for name in ("image", "image2")}
    return PolicyRequest(Observation(images, rng.normal(size=8).astype(np.float32)), LANGUAGE, 2**62 + number)


def at(address: str, **changes: Any) -> RemotePolicy:
    return RemotePolicy(source="remote", address=address, **changes)


def toy_chunk(asked: PolicyRequest) -> np.ndarray:
    noise = np.random.default_rng(asked.noise_seed).normal(0, 2.0, (5, 7))
    return (4 * asked.observation.state[:7] + noise).astype(np.float32)


def test_a_checkpoint_gives_the_same_actions_through_the_socket_as_in_this_process(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = plain_checkpoint(tmp_path / "plain")
    here = load_policy(folder, num_steps=1, batch=3)
    requests = [request(number, 256) for number in range(3)]
    with served("served_smolvla", CHECKPOINT=str(folder), BATCH="3") as server:
        with ServedPolicy(at(server.address), batch=3) as there:
            for some in (requests, requests[1:], requests[:1]):
                for one, other in zip(there.infer(some), here.infer(some), strict=True):
                    np.testing.assert_array_equal(one, other)
            assert there.checkpoint == POLICY.digest(folder)
            mine = here.facts
            assert there.facts.pictures == {name.rpartition(".")[2]: size for name, size in mine.pictures.items()}
            assert (there.facts.chunk_size, there.facts.n_action_steps) == (mine.chunk_size, mine.n_action_steps)
            assert (there.facts.memory, there.facts.trained_memory, there.past_steps) == ("disabled", "disabled", 0)
        with pytest.raises(UserError, match="takes 3 rows at once, not 4: set batch to 3 or less"):
            ServedPolicy(at(server.address), batch=4)


def test_the_page_s_module_is_served_by_the_reference_server(tmp_path: Path) -> None:
    (module,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    (tmp_path / "my_policy.py").write_text(module)
    with (
        served("my_policy", PYTHONPATH=str(tmp_path)) as server,
        ServedPolicy(at(server.address), batch=2) as policy,
    ):
        one, other = policy.infer([request(0, 256), request(1, 256)])
        assert one.shape == other.shape == (8, 7)
        assert policy.facts.action == SUITES["libero_spatial"].action.names
        assert policy.checkpoint == "4f1c09e2d5a7b836"
        assert policy.source.name == "openvla-7b"


def test_what_a_server_says_is_what_its_records_know() -> None:
    with served("scripted_policy") as server, ServedPolicy(at(server.address), batch=2) as policy:
        assert (policy.checkpoint, policy.device) == ("0123456789abcdef", "remote abacus")
        assert policy.facts.seeded
        assert policy.facts.versions == {"toy": "2"}
        with ServedPolicy(at(server.address, name="mine")) as mine:
            source = mine.source
        assert (source.name, source.revision) == ("mine", "0123456789abcdef")
        assert str(server.port) not in f"{source} {policy.facts}"
        with pytest.raises(UserError, match="serves toy 0123456789abcdef, not revision fedc: start the right one"):
            ServedPolicy(at(server.address, revision="fedc"))
        seconds = policy.trial(request(), 8)
        assert 0 < seconds < 60


def test_rows_are_told_apart_and_noise_is_the_seed_s() -> None:
    with served("scripted_policy") as server, ServedPolicy(at(server.address), batch=4) as policy:
        asked = [request(number) for number in range(4)]
        for some in (asked, asked[2:], asked[:1]):
            for row, chunk in zip(some, policy.infer(some), strict=True):
                np.testing.assert_array_equal(chunk, toy_chunk(row))
        with pytest.raises(ValueError, match="1 to 4 chunks under one instruction"):
            policy.infer([*asked, asked[0]])


def test_a_server_that_is_killed_and_started_again_loses_what_it_was_asked_and_goes_on() -> None:
    with served("scripted_policy") as server, ServedPolicy(at(server.address)) as policy:
        policy.infer([request()])
        server.kill()
        again = threading.Timer(0.3, server.start)
        again.start()
        with pytest.raises(PolicyLost, match="the policy's server went away"):
            policy.infer([request()])
        again.join()
        np.testing.assert_array_equal(policy.infer([request()])[0], toy_chunk(request()))


def test_a_server_that_comes_back_with_other_weights_is_refused() -> None:
    with served("scripted_policy") as server, ServedPolicy(at(server.address)) as policy:
        server.kill()
        server.start(DIGEST="fedcba9876543210")
        with pytest.raises(UserError, match="serves another policy now, toy fedcba9876543210, than before, toy 0123"):
            policy.infer([request()])


def test_a_server_that_never_comes_back_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", (0.05, 0.05))
    said: list[str] = []
    with served("scripted_policy") as server, ServedPolicy(at(server.address), say=said.append) as policy:
        server.kill()
        with pytest.raises(UserError, match=r"does not answer \(.*refused.*\): start it") as caught:
            policy.infer([request()])
        assert not isinstance(caught.value, PolicyLost)
        assert "\n" not in str(caught.value)
        (line,) = said
        assert line.startswith(f"waiting for the policy's server at {server.address}")


def test_a_silent_server_is_left_after_the_time_out() -> None:
    with (
        served("scripted_policy", FAULT="silent", AT="2") as server,
        ServedPolicy(at(server.address, timeout=1)) as policy,
    ):
        policy.infer([request()])
        start = time.monotonic()
        with pytest.raises(PolicyLost, match="gave no answer for 1 s"):
            policy.infer([request()])
        assert 1 <= time.monotonic() - start < 30
        server.kill()
        server.start(FAULT="")
        with pytest.raises(PolicyLost, match="went away"):
            policy.infer([request()])
        np.testing.assert_array_equal(policy.infer([request()])[0], toy_chunk(request()))


def test_a_stopped_server_cannot_hold_up_the_sending_of_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(remote, "PAUSES", (0.05,))
    with served("scripted_policy") as server, ServedPolicy(at(server.address, timeout=1), batch=4) as policy:
        server.send(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(UserError, match="does not answer"):  # it hears nobody who calls again, either
            policy.infer([request(size=1500)] * 4)
        assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("size", r"a chunk of shape \[5, 6\], not \[5, 7\] \(move_0, .*: mend the server, or name its dialect"),
        ("list", "a chunk that is no array"),
        ("few", "answered with 1 chunks to 2 requests"),
        ("raises", r"failed \(RuntimeError: CUDA out of memory\): see its own log"),
    ],
)
def test_an_answer_that_cannot_be_used_is_named(fault: str, message: str) -> None:
    with (
        served("scripted_policy", FAULT=fault, AT="1") as server,
        ServedPolicy(at(server.address), batch=2) as policy,
    ):
        with pytest.raises(UserError, match=message) as caught:
            policy.infer([request(0), request(1)])
        assert not isinstance(caught.value, PolicyLost)
        assert str(caught.value).startswith(server.address)
        assert "\n" not in str(caught.value)


def test_a_hello_that_is_wrong_is_named() -> None:
    with (
        served("scripted_policy", FAULT="hello") as server,
        pytest.raises(UserError, match=r"in this project's dialect \(in its hello, chunk_size is wrong"),
    ):
        ServedPolicy(at(server.address))


def test_the_wrong_dialect_is_told_either_way() -> None:
    with openpi() as server, pytest.raises(UserError, match=r"of another dialect\): .*name its dialect \(openpi\)"):
        ServedPolicy(at(server.address))
    with (
        served("scripted_policy") as server,
        ServedPolicy(at(server.address, dialect="openpi", name="a", revision="1")) as policy,
        pytest.raises(UserError, match=r"failed \(KeyError: 'requests'\)"),
    ):
        policy.infer([request()])


def test_nobody_at_the_address_and_somebody_else_are_told_soon() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=_answer_as_a_web_server, args=(listener,), daemon=True).start()
        with pytest.raises(UserError, match=r"does not answer \(server rejected .*404\)"):
            ServedPolicy(at(address))
    with pytest.raises(UserError, match=r"does not answer \(.*refused.*\): start it, wait until it is ready"):
        ServedPolicy(at(address))


def _answer_as_a_web_server(listener: socket.socket) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with line:
            line.recv(4096)
            line.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_openpi_s_protocol_with_a_server_that_is_not_ours() -> None:
    with openpi() as server:
        with pytest.raises(UserError, match="does not say which weights it serves: give their name and revision"):
            ServedPolicy(at(server.address, dialect="openpi"))
        named = at(server.address, dialect="openpi", name="pi05_libero", revision="2026-01-15")
        with ServedPolicy(named, batch=2) as policy:
            facts = policy.facts
            assert (facts.seeded, facts.chunk_size, facts.n_action_steps) == (False, None, 5)
            assert facts.pictures == {"image": (256, 256), "image2": (256, 256)}
            assert policy.checkpoint == "pi05_libero@2026-01-15"
            asked = [request(number, 256) for number in range(2)]
            for row, chunk in zip(asked, policy.infer(asked), strict=True):
                assert chunk.shape == (10, 7)
                assert chunk.dtype == np.float32
                picture, state, words = chunk[-1, :3]
                assert picture == pytest.approx(row.observation.images["image"].mean(), abs=0.5)
                assert state == pytest.approx(row.observation.state.sum(), rel=1e-5)
                assert words == len(LANGUAGE)
            again = policy.infer(asked)[0]
            assert not np.array_equal(again, policy.infer(asked)[0])  # its noise is its own
            assert 0 < policy.trial(asked[0], 1) < 60


def test_openpi_s_keys_are_set_by_renaming_and_its_errors_are_told() -> None:
    named = {"dialect": "openpi", "name": "pi0", "revision": "1"}
    with openpi(WRIST="observation/wrist_image_left") as server:
        renamed = RemotePolicy.model_validate(
            {
                "source": "remote",
                "address": server.address,
                "rename": {"image2": "observation/wrist_image_left"},
                **named,
            }
        )
        with ServedPolicy(renamed) as policy:
            assert policy.infer([request(0, 256)])[0].shape == (10, 7)
            assert policy.facts.settings == {
                "dialect": "openpi",
                "rename image2": "observation/wrist_image_left",
            }
        with (
            ServedPolicy(at(server.address, **named)) as policy,
            pytest.raises(UserError, match=r"failed \(AssertionError: .*observation/wrist_image"),
        ):
            policy.infer([request(0, 256)])
