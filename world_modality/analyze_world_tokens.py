"""How a dataset's tokens are used and what follows them: ``python -m world_modality.analyze_world_tokens``."""

from world_modality.cli.world_tokens import analyze_main as main

if __name__ == "__main__":
    main()
