"""What a reference server serves in a test: one of our checkpoints, loaded as a rollout would load it."""

import os
from pathlib import Path

import torch

from world_modality.benchmarks.contract import Observation
from world_modality.data.hub import POLICY
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyRequest

torch.set_num_threads(1)
folder = Path(os.environ["CHECKPOINT"])
policy = load_policy(folder, num_steps=1, batch=int(os.environ["BATCH"]))
HELLO = {
    "protocol": "world_modality 1",
    "name": "smolvla-tiny",
    "digest": POLICY.digest(folder),
    "chunk_size": policy.chunk_size,
    "n_action_steps": policy.facts.n_action_steps,
    "action": list(SUITES["libero_spatial"].action.names),
    "cameras": {name.rpartition(".")[2]: list(size) for name, size in policy.facts.pictures.items()},
    "seeded": True,
    "batch": policy.batch,
    "device": "cpu",
}


def infer(requests):
    assert len(requests) == policy.batch  # so that sums are rounded as in a process of one's own
    return policy.infer(
        [
            PolicyRequest(Observation(each["images"], each["state"]), each["language"], each["noise_seed"])
            for each in requests
        ]
    )
