"""The models of the discrete line: what each reads of the world beside the present frame, and what it predicts.

Model F of the research is no row: it is A with a world memory, which every model here can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from world_modality.facts.table import Table


@dataclass(frozen=True)
class DiscreteModel:
    """One model: the same transformer, with another sequence."""

    name: str
    words: str
    """What it is, for people."""
    predicts: Literal["", "tokens", "latents"] = ""
    """What queries in its sequence foresee of the next frames, in the name of a target; "" if there are no queries."""
    world_input: Literal["", "token", "nothing"] = ""
    """What the world's place of its sequence holds beside its position: the frame's world token, or nothing; "" where
    there is no such place."""

    @property
    def knows_tokens(self) -> bool:
        """Whether it reads or predicts world tokens."""
        return self.predicts == "tokens" or self.world_input == "token"


MODELS: Table[DiscreteModel] = Table(
    "discrete model",
    "discrete_models",
    (
        DiscreteModel("A", "imitates from the present frame"),
        DiscreteModel("B", "A that also predicts the world tokens to come", predicts="tokens"),
        DiscreteModel("B_cont", "A that also predicts the latents to come", predicts="latents"),
        DiscreteModel("C", "B that also reads the present world token", predicts="tokens", world_input="token"),
        DiscreteModel(
            "C_no_world_input",
            "C whose token's place is there, and empty",
            predicts="tokens",
            world_input="nothing",
        ),
    ),
)
