"""Imported by Python's fork server before it makes the processes in which LeRobot simulates LIBERO."""

from world_modality.benchmarks.libero.libero_config import import_configured_libero

import_configured_libero()
