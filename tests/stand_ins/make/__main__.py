"""Write the asset tree: ``python -m stand_ins.make [FOLDER]``."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from stand_ins import STAND_INS
from stand_ins.make import fixtures, objects, scene

NOTE = " Written by tests/stand_ins/make: change the shapes there, not here. "


def documents() -> dict[str, ET.Element]:
    """Relative path -> MJCF, in the layout of hf-libero's asset folder."""
    things = {
        "stable_scanned_objects/akita_black_bowl/akita_black_bowl.xml": objects.bowl(),
        "stable_scanned_objects/plate/plate.xml": objects.plate(),
        "stable_scanned_objects/glazed_rim_porcelain_ramekin/glazed_rim_porcelain_ramekin.xml": objects.ramekin(),
        "stable_hope_objects/cookies/cookies.xml": objects.cookie_box(),
    }
    return {
        **{path: objects.object_xml(Path(path).stem, shapes) for path, shapes in things.items()},
        "articulated_objects/wooden_cabinet.xml": fixtures.cabinet_xml(),
        "articulated_objects/flat_stove.xml": fixtures.stove_xml(),
        "scenes/libero_tabletop_base_style.xml": scene.scene_xml(),
    }


def build(folder: Path) -> None:
    """Write every XML file and texture below ``folder``."""
    from PIL import Image

    for path, root in documents().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        root.insert(0, ET.Comment(NOTE))
        ET.indent(root)
        file.write_text(ET.tostring(root, encoding="unicode") + "\n")
    pictures = {
        "light-wood.png": scene.light_wood(),
        "light-gray-floor-tile.png": scene.floor_tile(),
        "light-gray-plaster.png": scene.plaster(),
    }
    (folder / "textures").mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / "textures" / name, optimize=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else STAND_INS)
