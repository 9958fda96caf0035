"""LIBERO-PRO: LIBERO's tasks with other wording, objects, placements or goals (Zhou et al. 2025, arXiv:2510.03827).

Its tasks and recorded initial states are data of a package that is fetched, and never installed: it would replace
hf-libero's own files. Its objects that hf-libero lacks are made here, each as the one of hf-libero that it varies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from world_modality.store.packages import PackagedFiles

TASKS = PackagedFiles(
    what="LIBERO-PRO's tasks",
    lock=Path(__file__).with_name("libero_pro.txt"),
    below="libero/libero",
    megabytes=6,
    terms="MIT licence (LIBERO, 2023; LIBERO-PRO, 2025); its data CC BY 4.0",
    tree="3165a404ae6efa19",
)
LIKE = {
    "black_bowl": "akita_black_bowl",
    "bigger_akita_black_bowl": "akita_black_bowl",
    "yellow_plate": "plate",
    "red_basket": "basket",
    "bigger_alphabet_soup": "alphabet_soup",
    "green_bbq_sauce": "alphabet_soup",  # stands as a can does, not as LIBERO's bottle of it
    "yellow_tomato_sauce": "tomato_sauce",
    "blue_ketchup": "alphabet_soup",
    "yellow_milk": "alphabet_soup",
    "green_butter": "butter",
    "green_chocolate_pudding": "butter",
    "red_cream_cheese": "cream_cheese",
    "red_salad_dressing": "salad_dressing",
    "brown_rack": "wine_rack",
    "white_bottle": "wine_bottle",
    "yellow_moka_pot": "moka_pot",
    "yellow_cabinet": "white_cabinet",
    "yellow_stove": "flat_stove",
}
"""Category of an object of LIBERO-PRO -> hf-libero's, whose rotation, joints and ranges it has."""


def register_objects() -> None:
    """Let hf-libero, which must be imported, make LIBERO-PRO's objects; a second call changes nothing."""
    from libero.libero.envs.base_object import OBJECTS_DICT, VISUAL_CHANGE_OBJECTS_DICT

    for category, like in LIKE.items():
        if category not in OBJECTS_DICT:
            OBJECTS_DICT[category] = _variant(category, OBJECTS_DICT[like])
            if like in VISUAL_CHANGE_OBJECTS_DICT:
                VISUAL_CHANGE_OBJECTS_DICT[category] = OBJECTS_DICT[category]


def _variant(category: str, base: Any) -> Any:
    """A class of objects with the model files of ``category``. Its name is what hf-libero takes the category from."""

    def make(self: Any, name: str = category, obj_name: str = category, **settings: Any) -> None:
        base.__init__(self, name=name, obj_name=obj_name, **settings)

    return type("".join(word.capitalize() for word in category.split("_")), (base,), {"__init__": make})
