"""A scripted expert that sees the simulator's state: from a task's goal to skills, grips from geometry, motion."""

from world_modality.benchmarks.libero.expert.expert import Expert

__all__ = ["Expert"]
