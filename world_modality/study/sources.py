"""What a graph needs to know about files outside the study. Found out by the caller, so that graphs stay pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sources:
    """Content addresses of a study's sources; "" where the study has no such part."""

    assets: str  # as in SimSpec
    assets_digest: str
    policy_name: str  # as in PolicySpec
    policy_revision: str
    dataset_name: str = ""  # as in DatasetSpec
    dataset_revision: str = ""
    encoder_name: str = ""  # as in EncoderSpec
    encoder_revision: str = ""
