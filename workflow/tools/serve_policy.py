"""Serves a policy of any software to rollouts: `python serve_policy.py MODULE PORT`, see docs/remote.md.

Copy it into the policy's own environment, which needs msgpack, numpy and websockets beside. MODULE, a file beside it
or on PYTHONPATH, has HELLO, what the server says of the policy, and infer, requests -> an array [chunk_size, A] each.
"""

import importlib
import sys
import threading
import traceback
from typing import Any

import msgpack
import numpy as np
from websockets.sync.server import ServerConnection, serve

POLICY: Any = importlib.import_module(sys.argv[1])
ALONE = threading.Lock()


def packed(array: Any) -> Any:
    """An array as a map."""
    array = np.asarray(array)
    return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": array.shape}


def unpacked(value: Any) -> Any:
    """A map as the array that it holds, if it holds one."""
    if b"__ndarray__" not in value:
        return value
    return np.frombuffer(value[b"data"], value[b"dtype"]).reshape(value[b"shape"])


def answer(connection: ServerConnection) -> None:
    """The hello, then a message with chunks for each with requests; a text says what went wrong."""
    connection.send(msgpack.packb(POLICY.HELLO))
    for message in connection:
        try:
            with ALONE:
                chunks = POLICY.infer(msgpack.unpackb(message, object_hook=unpacked)["requests"])
            connection.send(msgpack.packb({"chunks": list(chunks)}, default=packed))
        except Exception:
            connection.send(traceback.format_exc())


if __name__ == "__main__":
    with serve(answer, "127.0.0.1", int(sys.argv[2]), compression=None, max_size=None) as server:
        print(f"serving {POLICY.HELLO['name']} at ws://127.0.0.1:{server.socket.getsockname()[1]}", flush=True)
        server.serve_forever()
