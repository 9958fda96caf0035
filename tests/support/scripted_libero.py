"""What a reference server serves in tests of studies: a policy for LIBERO's tasks, without torch or this package.

The environment says what is wrong with it, FAULT, and at which batch, AT; and which weights it has, DIGEST.
"""

import os
import signal

import numpy as np

FAULT, AT = os.environ.get("FAULT", ""), max(1, int(os.environ.get("AT", "1")))
SIZE, CHUNK, ACTION = 64, 6, ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
HELLO = {
    "protocol": "world_modality 1",
    "name": "scripted",
    "digest": os.environ.get("DIGEST", "0123456789abcdef"),
    "chunk_size": CHUNK,
    "n_action_steps": 4,
    "action": ACTION,
    "cameras": {"image": [SIZE, SIZE], "image2": [SIZE, SIZE]},
    "seeded": FAULT != "unseeded",
    "batch": 4,
    "device": os.environ.get("DEVICE", "abacus"),
    "versions": {"beads": "2"},
}
asked = 0


def infer(requests):
    global asked
    asked += 1
    if FAULT == "killed" and asked == AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return [chunk(request) for request in requests]


def chunk(request):
    assert request["images"]["image"].shape == (SIZE, SIZE, 3)
    assert request["state"].shape == (8,)
    noise = np.random.default_rng(request["noise_seed"] if HELLO["seeded"] else None)
    seen = request["images"]["image2"].mean() / 255 + request["state"][:3].mean()
    return (noise.normal(0, 0.3, (CHUNK, len(ACTION))) + 0.1 * seen).astype(np.float32)
