from collections.abc import Callable
from pathlib import Path

import pytest
from support.data_stages import encoder_spec

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.study.specs import EncoderSpec


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[EncoderSpec], Path]:
    built: dict[str, Path] = {}

    def folder(spec: EncoderSpec) -> Path:
        if spec.kind not in built:
            built[spec.kind] = tmp_path_factory.mktemp(spec.kind)
            build_embedded_encoder(spec, built[spec.kind])
        return built[spec.kind]

    return folder


@pytest.fixture(scope="session")
def make_encoder(encoder_folder: Callable[[EncoderSpec], Path]) -> Callable[..., Encoder]:
    def make(kind: str = "vjepa2", frames: int = 4, **changes: object) -> Encoder:
        spec = encoder_spec(kind, frames, **changes)
        return load_encoder(spec, encoder_folder(spec))

    return make
