from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from support.data_stages import encoder_spec
from support.encoder_cases import CASES

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


@pytest.fixture(scope="session")
def case_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small encoder of ``support.encoder_cases``, written once; not to be changed."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            built[name] = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                CASES[name].write(built[name])
        return built[name]

    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As in stages and rollouts: attention splits its work by threads, and sums are rounded by where a clip lies."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
