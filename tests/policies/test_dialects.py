"""Messages of policy servers: what is sent can be read by others, and what others send is read or refused."""

from __future__ import annotations

import pickle
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from world_modality.benchmarks.contract import Observation
from world_modality.policies.contract import PolicyRequest
from world_modality.policies.dialects import OpenPI, Own, pack, padded, unpack

HELLO = {
    "protocol": "world_modality 1",
    "name": "toy",
    "digest": "d",
    "chunk_size": 5,
    "n_action_steps": 3,
    "action": ["x", "y"],
    "cameras": {"front": [8, 8]},
    "seeded": True,
}
DTYPES = st.sampled_from(["<f4", "<f8", ">f4", "<i8", "u1", "?", "<u2"])


def request(number: int = 0, **changes: Any) -> PolicyRequest:
    images = {name: np.full((8, 8, 3), number, np.uint8) for name in ("image", "image2")}
    view = Observation(images, np.arange(8, dtype=np.float32) + number)
    return PolicyRequest(view, "put it there", 2**63 - 1 - number, **changes)


def own(**changes: Any) -> Own:
    speech = Own({"image": "front"})
    speech.server(pack({**HELLO, **changes}))
    return speech


@given(DTYPES.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0))))
def test_arrays_come_back_as_they_were(array: np.ndarray) -> None:
    found = unpack(pack({"a": [array, array.T]}))["a"]
    for one, other in zip(found, (array, array.T), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


def test_what_is_sent_is_what_openpi_s_client_library_reads() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert msgpack.unpackb(pack({"state": array, "n": np.int64(3)})) == {
        "state": {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": "<f4", b"shape": [2, 3]},
        "n": {b"__npgeneric__": True, b"data": 3, b"dtype": "<i8"},
    }


@given(st.binary(max_size=60))
def test_garbage_is_a_value_or_refused_and_nothing_else(message: bytes) -> None:
    try:
        found = unpack(message)
    except ValueError:
        return
    assert isinstance(found, int | float | str | bytes | list | dict | msgpack.ExtType | type(None))


@pytest.mark.parametrize(
    "array",
    [
        {b"dtype": "|O", b"data": pickle.dumps(3), b"shape": [1]},
        {b"dtype": "<f4", b"data": b"123", b"shape": [1]},
        {b"dtype": "<f4", b"data": b"1234", b"shape": [2]},
        {b"dtype": "no such", b"data": b"", b"shape": [0]},
        {b"data": b"", b"shape": [0]},
    ],
)
def test_an_array_that_is_none_is_refused(array: dict[bytes, Any]) -> None:
    with pytest.raises(ValueError, match="no message"):
        unpack(msgpack.packb({"actions": {b"__ndarray__": True, **array}}))


def test_a_batch_is_one_message_filled_up_with_copies() -> None:
    latents = np.ones((2, 1, 3), np.float32)
    (message,) = own().questions([request(0), request(1, past=(request(2).observation,), latents=latents)], 4)
    first, *rest = unpack(message)["requests"]
    assert set(first) == {"images", "state", "language", "noise_seed"}
    assert set(first["images"]) == {"front"}
    assert (first["noise_seed"], first["language"]) == (2**63 - 1, "put it there")
    assert [row["noise_seed"] for row in rest] == [2**63 - 2] * 3
    assert (rest[0]["past"][0]["images"]["front"] == 2).all()
    assert np.array_equal(rest[0]["latents"], latents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "world_modality 2"}, "in its hello, protocol is wrong"),
        ({"protocol": None}, "names no protocol"),
        ({"chunk_size": "5"}, "in its hello, chunk_size is wrong"),
        ({"cameras": {"front": [8]}}, r"in its hello, cameras\.front.* is wrong"),
        ({"colour": "blue"}, "in its hello, colour is wrong"),
        ({"n_action_steps": 6}, "n_action_steps is 6 of 5"),
    ],
)
def test_a_hello_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Own({}).server(pack({**HELLO, **changes}))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"actions": 3}, "an answer without chunks: a map of actions"),
        ({"chunks": [[1.0, 2.0]]}, "no array"),
        ({"chunks": [np.zeros((5, 3), np.float32)]}, r"shape \[5, 3\], not \[5, 2\] \(x, y\)"),
        ({"chunks": [np.zeros((4, 2), np.float32)]}, r"shape \[4, 2\], not \[5, 2\]"),
        ({"chunks": [np.zeros((5, 2), bool)]}, "an array bool"),
        (3, "an answer without chunks: 3"),
    ],
)
def test_an_answer_that_is_wrong_is_named(answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own().chunks([pack(answer)])


def test_cameras_are_told_by_our_names_and_renaming_to_none_is_refused() -> None:
    assert Own({"image": "front"}).server(pack(HELLO)).facts.pictures == {"image": (8, 8)}
    with pytest.raises(ValueError, match="no camera fornt to rename one to, only front"):
        Own({"image": "fornt"}).server(pack(HELLO))
    with pytest.raises(ValueError, match="two cameras are renamed to one: image, image2"):
        Own({"image": "front", "image2": "front"}).server(pack(HELLO))


def test_cameras_that_are_not_there_are_named() -> None:
    speech = Own({})
    speech.server(pack(HELLO))
    with pytest.raises(ValueError, match="looks at front, which is not among image, image2"):
        speech.questions([request()], 1)


def test_openpi_is_sent_what_its_libero_example_sends() -> None:
    (one, other) = OpenPI({}).questions([request(3), request(4)], 9)
    found = unpack(one)
    assert list(found) == ["observation/image", "observation/wrist_image", "observation/state", "prompt"]
    assert found["observation/image"].shape == (224, 224, 3)
    assert np.array_equal(found["observation/state"], request(3).observation.state)
    assert unpack(other)["observation/state"][0] == 4


def test_openpi_s_keys_can_be_renamed_and_left_out() -> None:
    (message,) = OpenPI({"image": "images/cam_high", "image2": "", "language": "task"}).questions([request()], 1)
    assert set(unpack(message)) == {"images/cam_high", "observation/state", "task"}
    with pytest.raises(ValueError, match="to be sent top, which is not among image, image2, state, language"):
        OpenPI({"top": "observation/top"}).questions([request()], 1)


@pytest.mark.parametrize("answer", [{"chunks": []}, {"actions": [[0.0]]}, {"actions": np.zeros(7)}, "text"])
def test_openpi_s_answers_are_checked(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"no array|without actions"):
        OpenPI({}).chunks([pack(answer)])


def test_openpi_s_actions_are_taken_whatever_stands_beside_them() -> None:
    actions = np.random.default_rng(0).normal(size=(10, 7))
    (chunk,) = OpenPI({}).chunks([pack({"actions": actions, "server_timing": {"infer_ms": 3.0}, "state": actions})])
    assert np.array_equal(chunk, actions.astype(np.float32))


def test_a_square_picture_is_resized_as_pillow_does_it() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    whole = Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR)
    assert np.array_equal(padded(picture, 224), np.asarray(whole))
    assert np.array_equal(padded(np.asarray(whole), 224), np.asarray(whole))


@pytest.mark.parametrize("shape", [(120, 160), (160, 120), (480, 640), (1, 300)])
def test_a_picture_that_is_not_square_stands_in_the_middle_of_a_black_one(shape: tuple[int, int]) -> None:
    square = padded(np.full((*shape, 3), 200, np.uint8), 224)
    lit = square.any(axis=2)
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    assert lit.sum() == rows.size * columns.size
    assert max(rows.size, columns.size) == 224
    assert abs(rows.size * shape[1] - columns.size * shape[0]) <= max(shape)
    for found in (rows, columns):
        assert abs(int(found[0]) - (223 - int(found[-1]))) <= 1
