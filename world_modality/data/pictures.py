"""Pictures as lossless PNG bytes."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Measured on LIBERO pictures of 256x256: level 1 encodes in 4 ms and decodes in 1.5 ms at 69 kB, level 6 (what LeRobot
# would use for image columns) in 15 ms and 1.3 ms at 60 kB, no compression in 3 ms and 0.6 ms at 197 kB.
COMPRESS_LEVEL = 1


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a picture uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Picture uint8 [H, W, 3] of PNG bytes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
