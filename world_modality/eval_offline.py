"""A checkpoint's errors, and how it foresees the world: ``python -m world_modality.eval_offline``."""

from world_modality.cli.offline_programs import eval_main as main

if __name__ == "__main__":
    main()
