"""What LIBERO's goals ask after every control step: which objects touch, and which conjuncts hold."""

from __future__ import annotations

from collections import deque
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray


class Contacts:
    """robosuite's ``check_contact`` of two models, over all contacts at once: its own asks four names of each."""

    def __init__(self, sim_env: Any) -> None:
        self._env = sim_env
        self._own = sim_env.check_contact
        self._masks: WeakKeyDictionary[Any, NDArray[np.bool_]] = WeakKeyDictionary()  # per model of the present scene

    def check(self, geoms_1: Any, geoms_2: Any = None) -> bool:
        """Whether a geom of the one touches one of the other; what are no two models is left to robosuite."""
        if not (hasattr(geoms_1, "contact_geoms") and hasattr(geoms_2, "contact_geoms")):
            return bool(self._own(geoms_1, geoms_2))
        one, two = self._mask(geoms_1), self._mask(geoms_2)
        pairs = self._env.sim.data._data.contact.geom
        first, second = pairs[:, 0], pairs[:, 1]
        return bool(np.any((one[first] & two[second]) | (one[second] & two[first])))

    def _mask(self, model: Any) -> NDArray[np.bool_]:
        """Which geoms of the scene [ngeom] are the model's."""
        if model not in self._masks:
            scene = self._env.sim.model
            mask = np.zeros(scene.ngeom, dtype=np.bool_)
            mask[[scene.geom_name2id(name) for name in model.contact_geoms]] = True
            self._masks[model] = mask
        return self._masks[model]


class GoalParts:
    """Which conjuncts of a task's goal hold: noted while LIBERO asks for each of them, after every control step."""

    def __init__(self, sim_env: Any) -> None:
        self._parts = len(sim_env.parsed_problem["goal_state"])
        self._own = sim_env._eval_predicate
        self._held: deque[bool] = deque(maxlen=self._parts)
        sim_env._eval_predicate = self._ask

    @property
    def progress(self) -> float:
        """Fraction of the conjuncts that held when the goal was last asked for."""
        return sum(self._held) / self._parts

    def _ask(self, conjunct: Any) -> Any:
        held = self._own(conjunct)
        self._held.append(bool(held))
        return held
