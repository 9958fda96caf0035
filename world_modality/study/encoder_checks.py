"""What is wrong with the settings of a study's encoder, whatever it is used for."""

from __future__ import annotations

from collections.abc import Iterator

from world_modality.facts.encoders import ENCODERS, GRIDS, small_encoders
from world_modality.study.document import Location, Problem
from world_modality.study.parts import AnyEncoderModel, EmbeddedEncoder, FolderEncoder, without_cameras
from world_modality.study.study import Study


def encoder_problems(study: Study, encoder: AnyEncoderModel, patch: int) -> Iterator[Problem]:
    """A picture that the encoder's patches, ``patch`` pixels wide, do not tile."""
    for message in _untiled(encoder, patch):
        yield (*encoder_at(study, encoder), "image_size"), message


def encoder_at(study: Study, encoder: AnyEncoderModel) -> Location:
    """Where a study says what an encoder is: in its own section, or in that of the first arm that has it."""
    found: dict[Location, AnyEncoderModel | None] = {("encoder",): study.encoder}
    found |= {("arms", name, "encoder"): arm.encoder for name, arm in study.trained.items()}
    return next(at for at, each in found.items() if each is not None and without_cameras(each) == encoder)


def settings_problems(at: Location, encoder: AnyEncoderModel) -> Iterator[Problem]:
    """What can be told of an encoder at ``at`` without its folder."""
    if isinstance(encoder, EmbeddedEncoder):
        yield from _embedded(at, encoder)
    if encoder.pooling == "cls" and not ENCODERS[encoder.kind].class_token:
        yield (*at, "pooling"), f"cls takes a class token, and a {encoder.kind} has none; choose mean or a grid"
    yield from _leave(at, encoder)


def _embedded(at: Location, encoder: EmbeddedEncoder) -> Iterator[Problem]:
    names = [name for name, family in small_encoders().items() if family.name == encoder.kind]
    if not names:
        yield (*at, "kind"), f"there is no small encoder of kind {encoder.kind}; choose source hub or folder"
    elif encoder.name is not None and encoder.name not in names:
        yield (*at, "name"), f"'{encoder.name}' is no {encoder.kind} encoder; choose {' or '.join(names)}"
    else:
        name = encoder.name or names[0]
        patch = small_encoders()[name].patch_of(name)
        for message in _untiled(encoder, patch):
            yield (*at, "image_size"), message


def _untiled(encoder: AnyEncoderModel, patch: int) -> Iterator[str]:
    size = encoder.image_size
    if size % patch:
        nearest = f"{size - size % patch} or {size - size % patch + patch}" if size > patch else f"{patch}"
        yield f"{size} is not a multiple of the encoder's patch of {patch}; choose {nearest}"
    elif size < patch * GRIDS.get(encoder.pooling, 1):
        least = patch * GRIDS[encoder.pooling]
        yield f"{size} is too small for pooling {encoder.pooling} of patches of {patch}; choose at least {least}"


def _leave(at: Location, encoder: AnyEncoderModel) -> Iterator[Problem]:
    """An encoder that is a program is run only if the study says so, of that file; no other needs leave."""
    family = ENCODERS[encoder.kind]
    if not family.program:
        if isinstance(encoder, FolderEncoder) and (encoder.allow_torchscript or encoder.sha256):
            key = "allow_torchscript" if encoder.allow_torchscript else "sha256"
            yield (*at, key), f"is for encoders that are programs, and a {family.name} is none; leave it out"
    elif not isinstance(encoder, FolderEncoder):
        yield (*at, "source"), f"a {family.name} encoder is taken from a folder, whose file the study names by digest"
    elif not encoder.allow_torchscript:
        yield (
            (*at, "kind"),
            f"a {family.name} encoder is a program that can do whatever its maker wants; set allow_torchscript to true "
            "if you trust it",
        )
    elif encoder.sha256 is None:
        yield (*at, "allow_torchscript"), f"of which file? Set sha256 to what `sha256sum {family.weights}` says"
