"""Write pictures of frames that have a token: ``python -m world_modality.inspect_token_images``."""

from world_modality.cli.world_tokens import inspect_main as main

if __name__ == "__main__":
    main()
