"""A server that speaks openpi's protocol as its client expects it, of websockets and msgpack alone.

Metadata first; then for each observation, a flat map, a map with "actions" and timing. Arrays are maps with the keys
__ndarray__, data, dtype, shape, all bytes. The first actions of a chunk tell what was seen.
"""

import os
import sys
import time

import msgpack
import numpy
from websockets.sync.server import serve

WIDTH = int(os.environ.get("WIDTH", "7"))
EXPECTED = {"observation/image": (224, 224, 3), os.environ.get("WRIST", "observation/wrist_image"): (224, 224, 3)}
rng = numpy.random.default_rng(0)


def array_of(found):
    if b"__ndarray__" not in found:
        return found
    return numpy.ndarray(tuple(found[b"shape"]), numpy.dtype(found[b"dtype"]), found[b"data"])


def map_of(array):
    return {
        b"__ndarray__": True,
        b"data": array.tobytes(),
        b"dtype": array.dtype.str,
        b"shape": list(array.shape),
    }


def planned(seen):
    """Steers as the toy's policy does, with noise of its own; the last row tells the means of what was seen."""
    assert set(seen) == {*EXPECTED, "observation/state", "prompt"}, sorted(seen)
    for name, shape in EXPECTED.items():
        assert (seen[name].shape, seen[name].dtype) == (shape, numpy.uint8), (name, seen[name].shape)
    state = seen["observation/state"]
    assert state.shape == (8,)
    actions = 4 * state[:7] + rng.normal(0, 2.0, (10, 7))
    actions[-1, :3] = seen["observation/image"].mean(), state.sum(), len(seen["prompt"])
    return numpy.tile(actions, (1, 2))[:, :WIDTH]


def answer(connection):
    connection.send(msgpack.packb({"reset_pose": [0.0, 1.0]}))
    for message in connection:
        start = time.monotonic()
        try:
            actions = planned(msgpack.unpackb(message, object_hook=array_of))
        except Exception as error:
            connection.send(f"Traceback (most recent call last):\n{type(error).__name__}: {error}")
            raise
        timing = {"infer_ms": 1000 * (time.monotonic() - start)}
        connection.send(msgpack.packb({"actions": map_of(actions), "server_timing": timing}))


with serve(answer, "127.0.0.1", int(sys.argv[1]), compression=None, max_size=None) as server:
    print(f"serving at ws://127.0.0.1:{server.socket.getsockname()[1]}", flush=True)
    server.serve_forever()
