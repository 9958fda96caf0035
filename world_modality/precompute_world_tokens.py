"""Make every frame of a dataset a token: ``python -m world_modality.precompute_world_tokens``."""

from world_modality.cli.world_tokens import precompute_main as main

if __name__ == "__main__":
    main()
