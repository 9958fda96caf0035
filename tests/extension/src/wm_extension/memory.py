"""A memory mode: one function."""

from torch import Tensor

from world_modality.memory.modes import MemoryInputs


def halved(inputs: MemoryInputs) -> Tensor:
    """Half of the prediction."""
    return 0.5 * inputs.predicted()
