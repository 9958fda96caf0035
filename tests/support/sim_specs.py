"""Simulator specs for tests: small pictures, embedded assets."""

from __future__ import annotations

from stand_ins import STAND_INS

from world_modality.study.specs import SimSpec


def sim_spec(render: str = "fast", camera_size: int = 64, settle_steps: int = 10, exact: bool = False) -> SimSpec:
    return SimSpec.model_validate(
        {
            "suite": "libero_spatial",
            "assets": str(STAND_INS),
            "assets_digest": "0" * 16,
            "camera_size": camera_size,
            "render": render,
            "settle_steps": settle_steps,
            "exact": exact,
        }
    )
