"""Records of made-up episodes."""

from world_modality.rollout.records import Record


def record(init_state: int, success: bool, task: int = 0, repeat: int = 0, **changes) -> Record:
    """A record in which all that is not given is always the same."""
    fields = {
        "suite": "libero_spatial",
        "assets": "package",
        "assets_digest": "0" * 16,
        "render": "fast",
        "task": task,
        "language": "put the bowl on the plate",
        "init_state": init_state,
        "init_state_digest": f"{init_state:016x}",
        "settled": {"plate_1": [0.1, 0.2, 0.9, 1.0, 0.0, 0.0, 0.0]},
        "start_fault": "",
        "repeat": repeat,
        "environment_seed": 1,
        "flow_seed": 2,
        "checkpoint": "c" * 16,
        "trained_memory": "disabled",
        "memory": "disabled",
        "success": success,
        "steps": 10,
        "progress": float(success),
        "episode_return": float(success),
        "replans": 2,
        "trajectory_digest": "d" * 16,
        "note": "",
        "device": "cpu",
        "versions": {},
    }
    return Record(**fields | changes)
