"""Parts that come with the package, so that a study runs without a download."""

from pathlib import Path

BASE_POLICY = Path(__file__).parent / "base_policy"
"""The policy that arms start from by default, as a LeRobot ``pretrained_model`` folder."""

TRAINED_ENCODER = Path(__file__).parent / "encoder"
"""Where `make embedded-encoder` puts the small V-JEPA 2 that it trains, a model folder; a study's ``vjepa2-libero``."""

BACKBONE_PREFIX = "embedded:"
"""Marks the name of a packaged backbone in a checkpoint's ``vlm_model_name``."""

SMALL_TEXT_MODEL = "text-small"
"""A small language model of random weights that is built where it is asked for: its vectors tell texts apart, and no
more."""
