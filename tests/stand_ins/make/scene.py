"""The room: floor, walls, table, light and cameras, named as hf-libero's TableArena expects, with their pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from stand_ins.make.shapes import numbers

LOOK = {"contype": "0", "conaffinity": "0", "group": "1"}
SIZE = 64
LEVELS = 16  # few distinct values compress well


def scene_xml() -> ET.Element:
    """The arena; hf-libero sets the table's size and place and swaps the texture files' names by style."""
    root = ET.Element("mujoco", model="table_arena")
    _add_materials(ET.SubElement(root, "asset"))
    world = ET.SubElement(root, "worldbody")
    ET.SubElement(world, "geom", name="floor", type="plane", size="3 3 0.1", group="1", condim="3", material="floor")
    _add_walls(world)
    _add_table(world)
    for name, pos in (("lamp_front", (1.0, 1.0, 4.0)), ("lamp_back", (-3.0, -3.0, 4.0))):
        shine = {"diffuse": "0.8 0.8 0.8", "specular": "0.3 0.3 0.3", "castshadow": "false", "dir": "0 -0.15 -1"}
        ET.SubElement(world, "light", {"name": name, "pos": numbers(pos)} | shine)
    cameras = {
        "agentview": ("0.66 0 1.61", "0.638 0.305 0.305 0.638"),
        "frontview": ("1 0 1.48", "0.56 0.43 0.43 0.56"),
        "birdview": ("-0.2 0 3", "0.70710678 0 0 0.70710678"),
    }
    for name, (place, quat) in cameras.items():
        ET.SubElement(world, "camera", name=name, mode="fixed", pos=place, quat=quat)
    return root


def _add_materials(asset: ET.Element) -> None:
    ET.SubElement(
        asset,
        "texture",
        type="skybox",
        builtin="gradient",
        rgb1="0.9 0.9 1",
        rgb2="0.2 0.3 0.4",
        width="64",
        height="64",
    )
    for name, kind, file in (
        ("texplane", "2d", "light-gray-floor-tile.png"),
        ("tex-wall", "2d", "light-gray-plaster.png"),
        ("tex-table", "cube", "light-wood.png"),
    ):
        ET.SubElement(asset, "texture", name=name, type=kind, file=f"../textures/{file}")
    dull = {"reflectance": "0", "specular": "0.1", "shininess": "0.1"}
    tiled = {"texrepeat": "3 3", "texuniform": "true"}
    ET.SubElement(asset, "material", {"name": "floor", "texture": "texplane"} | tiled | dull)
    ET.SubElement(asset, "material", {"name": "wall", "texture": "tex-wall"} | tiled | dull)
    ET.SubElement(asset, "material", {"name": "table", "texture": "tex-table"} | dull)


def _add_walls(world: ET.Element) -> None:
    walls = {
        "wall_rear": ((-2.0, 0.0, 1.5), (0.01, 3.0, 1.5)),
        "wall_front": ((3.0, 0.0, 1.5), (0.01, 3.0, 1.5)),
        "wall_left": ((0.5, 3.0, 1.5), (2.5, 0.01, 1.5)),
        "wall_right": ((0.5, -3.0, 1.5), (2.5, 0.01, 1.5)),
    }
    for name, (pos, size) in walls.items():
        place = {"name": name, "type": "box", "pos": numbers(pos), "size": numbers(size), "material": "wall"}
        ET.SubElement(world, "geom", place | LOOK)


def _add_table(world: ET.Element) -> None:
    table = ET.SubElement(world, "body", name="table")
    ET.SubElement(table, "geom", name="table_collision", type="box", size="0.5 0.6 0.025", group="0")
    ET.SubElement(
        table, "geom", {"name": "table_visual", "type": "box", "size": "0.5 0.6 0.025", "material": "table"} | LOOK
    )
    ET.SubElement(table, "site", name="table_top", pos="0 0 0.025", size="0.001", rgba="0 0 0 0")
    for leg in range(1, 5):
        place = {"name": f"table_leg{leg}_visual", "type": "cylinder", "size": "0.025 0.4", "material": "table"}
        ET.SubElement(table, "geom", place | LOOK)


def light_wood() -> NDArray[np.uint8]:
    """Pale wood with a grain along one axis, uint8 [64, 64, 3]; tiles without a seam."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 2 * np.pi, SIZE, endpoint=False)
    grain = sum(np.sin(k * across[:, None] + rng.uniform(0, 2 * np.pi)) / k for k in (3, 7, 11, 17))
    sway = 0.35 * np.sin(across)[None, :]
    return _tinted(grain + sway, (198, 181, 162), strength=3.0)


def floor_tile() -> NDArray[np.uint8]:
    """One grey tile with a darker joint, uint8 [64, 64, 3]."""
    tone = np.zeros((SIZE, SIZE))
    tone[:2, :] = tone[:, :2] = -8.0
    return _tinted(tone, (195, 186, 177), strength=3.0)


def plaster() -> NDArray[np.uint8]:
    """Nearly even light grey, uint8 [64, 64, 3]."""
    tone = np.random.default_rng(1).normal(size=(SIZE // 8, SIZE // 8)).repeat(8, 0).repeat(8, 1)
    return _tinted(tone, (222, 218, 212), strength=0.6)


def _tinted(tone: NDArray[np.float64], colour: tuple[int, int, int], strength: float) -> NDArray[np.uint8]:
    """Shift a colour by ``strength`` grey levels per episode of tone, in few steps."""
    span = max(float(np.abs(tone).max()), 1e-9)
    steps = np.round(tone / span * (LEVELS // 2)) / (LEVELS // 2) * span
    picture = np.asarray(colour)[None, None, :] + strength * steps[:, :, None]
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
