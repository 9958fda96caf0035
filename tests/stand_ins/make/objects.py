"""The things that are moved: bowl, plate, ramekin, cookie box."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from stand_ins.make.shapes import (
    Colour,
    Shape,
    Vector,
    add_shapes,
    box,
    disc,
    numbers,
    ring,
    star,
)

FACETS = 16
BLACK: Colour = (0.1, 0.1, 0.105)
DEEP_BLACK: Colour = (0.055, 0.055, 0.06)
PORCELAIN: Colour = (0.93, 0.93, 0.94)
GLAZE: Colour = (0.66, 0.68, 0.69)
SPECKLED: Colour = (0.8, 0.8, 0.79)

# hf-libero's placement samplers read these three sites; equal values give LIBERO's own draws for a seed.
BOTTOM: Vector = (0.0, 0.0, -0.06)
TOP: Vector = (0.0, 0.0, 0.04)
RADIUS: Vector = (0.025, 0.025, 0.0)


def bowl() -> list[Shape]:
    """A bowl 10.6 cm wide and 5.2 cm high on a narrow foot, with a wall of 2.6 mm that a gripper can take at the rim.

    The foot stays clear of a plate 9.6 cm away, the closest that LIBERO's init states put one, and sinks into the
    ramekin's opening until the flare rests on its lip, which holds the bowl there.
    """
    foot = ring((0.0235, 0.0028), (0.0270, 0.0165), 0.0022, FACETS, DEEP_BLACK)
    flare = ring((0.0270, 0.0165), (0.0455, 0.0240), 0.0024, FACETS, DEEP_BLACK)
    wall = ring((0.0455, 0.0240), (0.0515, 0.0515), 0.0026, FACETS, BLACK)
    return [*star(0.0225, 0.0, 0.005), disc(0.025, 0.0, 0.005, DEEP_BLACK), *foot, *flare, *wall]


def plate() -> list[Shape]:
    """A plate 13.2 cm wide whose rim rises to 1.6 cm."""
    rim = ring((0.0290, 0.0025), (0.0650, 0.0140), 0.0040, FACETS, PORCELAIN)
    return [*star(0.0280, 0.0, 0.0055), disc(0.0335, 0.0, 0.0055, PORCELAIN), *rim]


def ramekin() -> list[Shape]:
    """A straight-walled dish 8.2 cm wide and 4.3 cm high; the opening is 7.1 cm wide."""
    wall = ring((0.0382, 0.0), (0.0382, 0.0427), 0.0052, FACETS, GLAZE)
    lip = ring((0.0390, 0.0375), (0.0390, 0.0430), 0.0075, FACETS, PORCELAIN, "look")
    return [*star(0.0270, 0.0, 0.0070), disc(0.0360, 0.0005, 0.0070, SPECKLED), *wall, *lip]


def cookie_box() -> list[Shape]:
    """A flat box of 6.2 x 8.4 x 2 cm: red, with a yellow label and three biscuits on it."""
    red, yellow, brown = (0.66, 0.09, 0.07), (0.86, 0.70, 0.22), (0.5, 0.3, 0.12)
    body = box((-0.031, -0.0418, -0.01), (0.031, 0.0418, 0.01), red)
    label = box((-0.0265, -0.030, 0.0095), (0.0265, 0.022, 0.0102), yellow, "look")
    biscuits = [
        Shape("cylinder", (0.0095, 0.0004), (x, y, 0.0104), colour=brown, role="look")
        for x, y in ((-0.014, -0.016), (0.012, -0.018), (0.001, 0.007))
    ]
    return [body, label, *biscuits]


def object_xml(name: str, shapes: list[Shape]) -> ET.Element:
    """The MJCF of one object, in the form robosuite's MujocoXMLObject reads."""
    root = ET.Element("mujoco", model=name)
    outer = ET.SubElement(ET.SubElement(root, "worldbody"), "body")
    add_shapes(ET.SubElement(outer, "body", name="object"), shapes)
    add_placement_sites(outer, BOTTOM, TOP, RADIUS)
    return root


def add_placement_sites(outer: ET.Element, bottom: Vector, top: Vector, radius: Vector) -> None:
    """The sites that tell robosuite an object's extent."""
    for site, pos in (("bottom_site", bottom), ("top_site", top), ("horizontal_radius_site", radius)):
        ET.SubElement(outer, "site", name=site, pos=numbers(pos), size="0.002", rgba="0 0 0 0")
