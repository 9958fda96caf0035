"""Whether a policy can be rolled out as asked, by what it says of itself."""

from __future__ import annotations

from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite
from world_modality.policies.contract import PolicyFacts


def require_picture_size(facts: PolicyFacts, size: int) -> None:
    """UserError unless the policy was trained on pictures of ``size`` x ``size`` pixels."""
    for name, (height, width) in facts.pictures.items():
        if (height, width) != (size, size):
            raise UserError(
                f"the simulator's pictures have {size}x{size} pixels, but the checkpoint was trained on {name} of "
                f"{height}x{width}; roll it out on pictures of that size, or train it on some of {size}x{size}."
            )


def require_fit(facts: PolicyFacts, suite: Suite) -> None:
    """UserError unless a served policy looks at cameras of the suite, and its actions are those that the suite takes,
    as far as it says so."""
    strange = [name for name in facts.pictures if name not in suite.cameras]
    if strange:
        raise UserError(
            f"{facts.kind} is to see {', '.join(strange)}, but {suite.name} shows {', '.join(suite.cameras)}: rename "
            f"one of those, as in {next(iter(suite.cameras))}={strange[0]}"
        )
    if facts.action is not None and facts.action != suite.action.names:
        raise UserError(
            f"{facts.kind} says that its actions are {', '.join(facts.action)}, but {suite.name} takes "
            f"{', '.join(suite.action.names)}: let its server order and name them so"
        )


def require_chunk(facts: PolicyFacts, n_action_steps: int, setting: str) -> None:
    """UserError if more actions are to be executed than the policy says that a chunk of its has."""
    if facts.chunk_size is not None and n_action_steps > facts.chunk_size:
        raise UserError(f"{setting} {n_action_steps}: the chunks of {facts.kind} have {facts.chunk_size} actions")
