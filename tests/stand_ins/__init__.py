"""Stand-ins for the object models of libero_spatial: no download, and a few kilobytes, for tests."""

from pathlib import Path

STAND_INS = Path(__file__).parent / "assets"
