"""Everything the world memory can hold. A new mode is a small class in one of these modules, registered by name."""

from world_modality.memory.modes import controls, observed, predicted
from world_modality.memory.modes.base import MODES, MemoryInputs, MemoryMode, find_mode, register

__all__ = ["MODES", "MemoryInputs", "MemoryMode", "controls", "find_mode", "observed", "predicted", "register"]
