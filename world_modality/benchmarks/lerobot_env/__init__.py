"""Environments that LeRobot knows by a type, its own and those of ``lerobot_env_*`` packages, as simulators."""
