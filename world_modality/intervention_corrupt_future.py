"""What another memory does to model F: ``python -m world_modality.intervention_corrupt_future``."""

from world_modality.cli.offline_programs import future_main as main

if __name__ == "__main__":
    main()
