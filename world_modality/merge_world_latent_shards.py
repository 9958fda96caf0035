"""``python -m world_modality.merge_world_latent_shards``: finishes an encoding and writes its file.

Shards need no merging by hand: ``precompute_world_latents`` goes on where a run with the same flags ended, and writes
the file once nothing is missing. This does the same for an encoding that was begun, and begins none.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from world_modality.cli.earlier_programs import run
from world_modality.errors import UserError
from world_modality.precompute_world_latents import Places, latents_parser, precompute


def merge(flags: argparse.Namespace) -> Iterator[str]:
    """Finish what :func:`precompute` began with the same flags.

    Raises:
        UserError: nothing was begun, or as :func:`precompute`.
    """
    places = Places.of(flags)
    if not any(there.exists() for there in (places.file, places.work, places.made)):
        raise UserError(
            f"there is nothing to merge for {places.file}: begin with python -m world_modality.precompute_world_latents"
        )
    yield from precompute(flags)


def main(given: Sequence[str] | None = None) -> None:
    """Parse, merge, tell."""
    flags = latents_parser("merge_world_latent_shards", "Finish an encoding that was begun, and write its file.")
    flags.set_defaults(resume=True)
    run(flags, merge, given)


if __name__ == "__main__":
    main()
