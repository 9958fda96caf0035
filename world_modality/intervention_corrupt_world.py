"""What another present token does to model C: ``python -m world_modality.intervention_corrupt_world``."""

from world_modality.cli.offline_programs import world_main as main

if __name__ == "__main__":
    main()
