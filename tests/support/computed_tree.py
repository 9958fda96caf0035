"""A tree with results that torch and numpy compute: ``python -m support.computed_tree ROOT ARITHMETIC NUMBER...``."""

from __future__ import annotations

import hashlib
import io
import math
import sys
from pathlib import Path
from typing import Any

from support.small_trees import request_of

from world_modality.store.arithmetic import settle
from world_modality.store.execute import execute
from world_modality.store.stage import StageContext


def compute(spec: Any, context: StageContext) -> dict[str, int]:
    """Write digests of sums that processors round each in their own way."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    numbers = np.linspace(-3, 3 + spec.number, 64 * 96).reshape(64, 96)
    single = torch.from_numpy(numbers.astype(np.float32))
    made = {
        "libm": np.array([math.sin(7 * x) + math.exp(x) for x in numbers.ravel()]),
        "numpy": np.exp(numbers.astype(np.float32)) @ numbers.T,
        "torch": torch.nn.functional.gelu(single @ single.T).numpy(),
        "onednn": (single.bfloat16() @ single.bfloat16().T).float().numpy(),
    }
    digests = [f"{name} {hashlib.sha256(np.ascontiguousarray(each)).hexdigest()}\n" for name, each in made.items()]
    (context.artifact / "digests.txt").write_text("".join(digests))
    return {}


if __name__ == "__main__":
    settle(sys.argv[2])
    for number in sys.argv[3:]:
        request = request_of(int(number), sys.argv[2])
        execute(Path(sys.argv[1]), request, compute, cores=1, stream=io.StringIO())
