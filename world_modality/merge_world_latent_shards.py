"""``python -m world_modality.merge_world_latent_shards``: finishes an encoding and writes its file.

Shards need no merging by hand: ``precompute_world_latents`` goes on where a run with the same flags ended, and writes
the file once nothing is missing. This is the same program, under the name of a separate step that others have.
"""

from __future__ import annotations

import sys

from world_modality.precompute_world_latents import main

if __name__ == "__main__":
    sys.exit(main(program="merge_world_latent_shards"))
