"""LIBERO's object and scene files: those that hf-libero itself downloads, or the stand-ins of this package."""

from __future__ import annotations

from pathlib import Path

from world_modality.benchmarks.assets import AssetTree

EMBEDDED = Path(__file__).parent / "embedded" / "assets"
ASSETS = AssetTree(
    benchmark="LIBERO",
    folders=("scenes", "textures", "articulated_objects", "stable_scanned_objects"),
    embedded=EMBEDDED,  # libero_spatial's alone
    repository="lerobot/libero-assets",
)
