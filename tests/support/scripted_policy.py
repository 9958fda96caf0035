"""What a reference server serves in tests: the toy's policy without torch or this package, and servers with faults.

The environment says what is wrong with it: FAULT, and at which batch, AT.
"""

import os
import signal
import time

import numpy as np

FAULT, AT = os.environ.get("FAULT", ""), max(1, int(os.environ.get("AT", "1")))
SIZE, CHUNK = 7, 5
HELLO = {
    "protocol": "world_modality 1",
    "name": "toy",
    "digest": os.environ.get("DIGEST", "0123456789abcdef"),
    "chunk_size": CHUNK,
    "n_action_steps": 3,
    "action": [f"move_{axis}" for axis in range(SIZE)],
    "cameras": {"image": [8, 8], "image2": [8, 8]},
    "seeded": FAULT != "unseeded",
    "batch": 4,
    "device": "abacus",
    "versions": {"toy": "2"},
}
if FAULT == "hello":
    HELLO["chunk_size"] = "five"
asked = 0


def infer(requests):
    global asked
    asked += 1
    if asked == AT:
        fault()
    chunks = [chunk(request) for request in requests]
    if FAULT == "size":
        return [each[:, :-1] for each in chunks]
    return [chunks[0].tolist()] if FAULT == "list" else chunks[:1] if FAULT == "few" else chunks


def chunk(request):
    noise = np.random.default_rng(request["noise_seed"]).normal(0, 2.0, (CHUNK, SIZE))
    assert request["images"]["image"].shape == (8, 8, 3)
    assert request["language"] == "move the point to the goal"
    return (4 * request["state"][:SIZE] + noise).astype(np.float32)


def fault():
    if FAULT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "silent":
        time.sleep(3600)
    if FAULT == "raises":
        raise RuntimeError("CUDA out of memory")
