"""How policies that other processes serve are spoken to: what is sent, and how the answers are read.

Messages are msgpack. An array in one is a map ``{b"__ndarray__": true, b"data", b"dtype", b"shape"}``, as openpi has it
(https://github.com/Physical-Intelligence/openpi, ``openpi_client.msgpack_numpy``), so that no pickle is ever read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from world_modality.benchmarks.contract import Observation, Picture
from world_modality.policies.contract import ActionChunk, PolicyFacts, PolicyRequest

NUMBERS = "fiub"  # kinds of numpy arrays that may be sent: floats, whole numbers, truth values
OPENPI_INPUTS = {
    "image": "observation/image",
    "image2": "observation/wrist_image",
    "state": "observation/state",
    "language": "prompt",
}
"""The keys of openpi's LIBERO policies (``openpi.policies.libero_policy``), by our names."""
OPENPI_RENDERED, OPENPI_PICTURE, OPENPI_STEPS = 256, 224, 5
"""Pixels that openpi's LIBERO example renders and sends, and actions that it executes per chunk."""


@dataclass(frozen=True)
class Server:
    """What a server says of the policy that it serves."""

    facts: PolicyFacts
    name: str = ""
    digest: str = ""
    """Of all that decides its actions, its weights above all; "" if it does not say."""
    batch: int | None = None
    """Rows that it takes at once, at most; None: any number."""
    past_steps: int = 0
    device: str = ""
    told: bytes = b""
    """What else it says, of which nothing is understood but whether it is the same again."""


class Speech(Protocol):
    """A dialect. Whatever in a message is not as it must be is a ValueError that says what, without saying where."""

    def __init__(self, rename: Mapping[str, str]) -> None:
        """``rename``: our names of cameras -> the server's, and of whatever else the dialect has names for."""

    def server(self, hello: bytes) -> Server:
        """What the server says when it is connected to."""

    def questions(self, requests: Sequence[PolicyRequest], rows: int) -> list[bytes]:
        """The messages to send, each of which is answered by one; ``rows`` is how many rows are to be computed."""

    def chunks(self, answers: Sequence[bytes]) -> list[ActionChunk]:
        """A chunk per request, or more of which the first are theirs."""


def pack(value: Any) -> bytes:
    """A message; arrays may be anywhere in it."""
    packed: bytes = msgpack.packb(value, default=_packed)
    return packed


def unpack(message: bytes) -> Any:
    """The value of a message; ValueError if it is none, or holds an array that is none."""
    try:
        return msgpack.unpackb(message, object_hook=_unpacked, strict_map_key=False)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{len(message)} bytes that are no message ({error or type(error).__name__})") from error


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in NUMBERS:
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic) and value.dtype.kind in NUMBERS:
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _unpacked(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in value and b"__npgeneric__" not in value:
        return value
    kind, data = np.dtype(value[b"dtype"]), value[b"data"]
    if kind.kind not in NUMBERS:
        raise ValueError(f"an array of {kind}")
    return kind.type(data) if b"__npgeneric__" in value else np.frombuffer(data, kind).reshape(value[b"shape"])


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Hello(BaseModel):
    """What a server says first in this project's dialect; docs/remote.md explains it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    protocol: Literal["world_modality 1"]
    name: str
    digest: str = ""
    chunk_size: PositiveInt
    n_action_steps: PositiveInt
    action: Annotated[tuple[str, ...], BeforeValidator(_tuple)]
    cameras: dict[str, Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_tuple)]]
    seeded: bool
    batch: PositiveInt | None = None
    past_steps: NonNegativeInt = 0
    device: str = ""
    versions: dict[str, str] = {}


class Own:
    """This project's dialect: a whole batch in one message, with noise seeds, and facts in the hello."""

    def __init__(self, rename: Mapping[str, str]) -> None:
        self._rename = dict(rename)
        self._theirs: tuple[str, ...] = ()
        self._shape = (0, 0)
        self._action: tuple[str, ...] = ()

    def server(self, hello: bytes) -> Server:
        """See :class:`Hello`."""
        said = unpack(hello)
        if not isinstance(said, dict) or said.get("protocol") is None:
            raise ValueError("its hello names no protocol, as of another dialect")
        try:
            facts = Hello.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"in its hello, {'.'.join(map(str, first['loc']))} is wrong: {first['msg']}") from None
        if facts.n_action_steps > facts.chunk_size:
            raise ValueError(f"in its hello, n_action_steps is {facts.n_action_steps} of {facts.chunk_size} in a chunk")
        ours = {theirs: name for name, theirs in self._rename.items()}
        if len(ours) < len(self._rename):
            raise ValueError(f"two cameras are renamed to one: {', '.join(self._rename)}")
        unknown = [theirs for theirs in ours if theirs not in facts.cameras]
        if unknown:
            raise ValueError(f"it has no camera {unknown[0]} to rename one to, only {', '.join(facts.cameras)}")
        self._theirs, self._action = tuple(facts.cameras), facts.action
        self._shape = (facts.chunk_size, len(facts.action))
        return Server(
            PolicyFacts(
                kind=facts.name,
                pictures={ours.get(theirs, theirs): size for theirs, size in facts.cameras.items()},
                chunk_size=facts.chunk_size,
                n_action_steps=facts.n_action_steps,
                action=facts.action,
                seeded=facts.seeded,
                versions=facts.versions,
            ),
            name=facts.name,
            digest=facts.digest,
            batch=facts.batch,
            past_steps=facts.past_steps,
            device=facts.device,
        )

    def questions(self, requests: Sequence[PolicyRequest], rows: int) -> list[bytes]:
        """One message: ``{"requests": [...]}``, filled up with copies of the last to ``rows``."""
        asked = [self._row(request) for request in requests]
        return [pack({"requests": asked + asked[-1:] * (rows - len(asked))})]

    def chunks(self, answers: Sequence[bytes]) -> list[ActionChunk]:
        """Of ``{"chunks": [...]}``, each array [chunk_size, A]."""
        (answer,) = (unpack(each) for each in answers)
        if not isinstance(answer, dict) or not isinstance(answer.get("chunks"), list | np.ndarray):
            raise ValueError(f"an answer without chunks: {_shown(answer)}")
        chunks = [_actions(chunk) for chunk in answer["chunks"]]
        for chunk in chunks:
            if chunk.shape != self._shape:
                names = ", ".join(self._action)
                raise ValueError(f"a chunk of shape {list(chunk.shape)}, not {list(self._shape)} ({names})")
        return chunks

    def _row(self, request: PolicyRequest) -> dict[str, Any]:
        row = {**self._view(request.observation), "language": request.language, "noise_seed": request.noise_seed}
        if request.past:
            row["past"] = [self._view(view) for view in request.past]
        return row if request.latents is None else {**row, "latents": request.latents}

    def _view(self, view: Observation) -> dict[str, Any]:
        images = {self._rename.get(name, name): picture for name, picture in view.images.items()}
        missing = [name for name in self._theirs if name not in images]
        if missing:
            raise ValueError(f"it looks at {', '.join(missing)}, which is not among {', '.join(view.images)}")
        return {"images": {name: images[name] for name in self._theirs}, "state": view.state}


class OpenPI:
    """openpi's: one observation per message, as flat keys; the server draws its own noise and says nothing of itself.

    Source: ``openpi_client.websocket_client_policy`` and ``examples/libero/main.py`` of openpi. What is sent is what
    its LIBERO example sends; its pictures and states are turned and ordered like ours.
    """

    def __init__(self, rename: Mapping[str, str]) -> None:
        """``rename`` changes :data:`OPENPI_INPUTS`; what is renamed to nothing is not sent."""
        self._keys = {name: key for name, key in {**OPENPI_INPUTS, **rename}.items() if key}

    def server(self, hello: bytes) -> Server:
        """Its metadata are free, so that nothing is known of it."""
        if not isinstance(unpack(hello), dict):
            raise ValueError("its metadata are no map")
        cameras = [name for name in self._keys if name not in ("state", "language")]
        facts = PolicyFacts(
            kind="openpi",
            pictures=dict.fromkeys(cameras, (OPENPI_RENDERED, OPENPI_RENDERED)),
            chunk_size=None,
            n_action_steps=OPENPI_STEPS,
            seeded=False,
        )
        return Server(facts, told=hello)

    def questions(self, requests: Sequence[PolicyRequest], rows: int) -> list[bytes]:  # noqa: ARG002
        """One message per request, whatever ``rows`` is: a server computes one at a time."""
        return [pack(self._row(request)) for request in requests]

    def chunks(self, answers: Sequence[bytes]) -> list[ActionChunk]:
        """The ``actions`` [H, A] of each answer; the server's timing beside them is left."""
        found = []
        for answer in map(unpack, answers):
            if not isinstance(answer, dict) or "actions" not in answer:
                raise ValueError(f"an answer without actions: {_shown(answer)}")
            found.append(_actions(answer["actions"]))
        return found

    def _row(self, request: PolicyRequest) -> dict[str, Any]:
        images = request.observation.images
        have: dict[str, Any] = {**images, "state": request.observation.state, "language": request.language}
        missing = [name for name in self._keys if name not in have]
        if missing:
            raise ValueError(f"it is to be sent {', '.join(missing)}, which is not among {', '.join(have)}")
        return {
            key: padded(have[name], OPENPI_PICTURE) if name in images else have[name]
            for name, key in self._keys.items()
        }


def padded(picture: Picture, size: int) -> Picture:
    """A picture [H, W, 3] in a black square of ``size`` pixels, as large as it fits, bilinear, in the middle."""
    from PIL import Image

    height, width = picture.shape[:2]
    shape = [max(1, side * size // max(height, width)) for side in (height, width)]
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - shape[0]) // 2, (size - shape[1]) // 2
    resized = Image.fromarray(picture).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    square[top : top + shape[0], left : left + shape[1]] = np.asarray(resized)
    return square


def _actions(value: Any) -> NDArray[np.float32]:
    """A chunk [n, A] as float32; ValueError if it is none."""
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "fiu" or not value.size:
        raise ValueError(f"a chunk that is no array [steps, numbers]: {_shown(value)}")
    return value.astype(np.float32)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {list(value.shape)}"
    return f"a map of {', '.join(map(str, value)) or 'nothing'}" if isinstance(value, dict) else f"{value!r:.40}"
