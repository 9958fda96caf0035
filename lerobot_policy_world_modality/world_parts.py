"""From a config and a dataset's metadata to the world modules and the latents they learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.configs import FeatureType
from lerobot.utils.feature_utils import dataset_to_policy_features
from torch import Tensor

from lerobot_policy_world_modality.world_config import WorldConfig
from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.schema import camera_column
from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.alignment import Alignment, AlignmentSizes
from world_modality.memory.attachment import Sockets, WorldSizes
from world_modality.memory.lookup import LatentLookup, require_held_out
from world_modality.memory.world import WorldMemory
from world_modality.tokens.reader import TokenCache, open_tokens


def build_world(config: WorldConfig, sockets: Sockets) -> WorldMemory:
    """World modules, hung onto a policy's model; UserError if the sizes do not fit together."""
    sizes = world_sizes(config, sockets)
    world = WorldMemory(sizes, config.world_seed, learned=config.train_mode.needs_learned)
    world.attach(sockets)
    return world


def build_alignment(config: Any, sockets: Sockets) -> Alignment:
    """What lets a policy's hidden states foretell latents, hung onto its model; UserError if the latents' size is not
    known."""
    _require_dim(config)
    sizes = AlignmentSizes(
        dim=config.world_latent_dim,
        tokens=config.world_latent_tokens,
        prediction_horizon=config.world_prediction_horizon,
        hidden=sockets.hidden,
        chunk_size=config.chunk_size,
        depth=config.world_align_depth,
        mean=config.world_align_tokens == "mean",
        delta=config.world_delta,
        step_weights=tuple(config.world_step_weights),
    )
    alignment = Alignment(sizes, config.world_seed)
    alignment.attach(sockets)
    alignment.requires_grad_(config.world_align_weight > 0)
    return alignment


def _require_dim(config: Any) -> None:
    if config.world_latent_dim < 1:
        raise UserError(
            "world_latent_dim is not set and there are no latents to take it from: set it, or set world_latents and "
            "build the policy with the dataset's metadata"
        )


def world_sizes(config: Any, sockets: Sockets) -> WorldSizes:
    """The sizes of a policy's world modules; UserError if that of the latents is not known."""
    _require_dim(config)
    return WorldSizes(
        dim=config.world_latent_dim,
        hidden=sockets.hidden,
        prefix=sockets.prefix,
        layers=len(sockets.layers),
        attention=sockets.attention,
        context=config.world_context,
        prediction_horizon=config.world_prediction_horizon,
        heads=config.world_heads,
        prophet_layers=config.world_prophet_layers,
        prophet_width=config.world_prophet_width,
        delta=config.world_delta,
        gate_init=config.world_gate_init,
        tokens=config.world_latent_tokens,
        cameras=len(config.cameras),
        hypotheses=config.world_hypotheses,
        fusion=config.world_fusion,
        attention_width=config.world_attention_width,
        rank=config.world_prophet_rank,
        actions=config.max_action_dim if config.world_actions else 0,
        step_weights=tuple(config.world_step_weights),
    )


def adopt_pictures(config: Any, dataset_meta: Any) -> None:
    """Write into the config how large the training set's pictures are.

    The start policy's config says how large those were that it was trained on, and LeRobot leaves that as it is.
    """
    pictures = {
        name: feature
        for name, feature in dataset_to_policy_features(dataset_meta.features).items()
        if feature.type is FeatureType.VISUAL
    }
    config.input_features = {
        name: pictures.get(name, feature) for name, feature in (config.input_features or {}).items()
    }


def open_training_latents(config: WorldConfig, dataset_meta: Any) -> LatentLookup:
    """The latents of the training set that ``dataset_meta`` (LeRobot's) describes.

    What the config leaves open about them is written into it: their width, and the sizes of the encoded frames.
    UserError if they are missing, not those that the config was made for, or of another dataset.
    """
    if not config.world_latents:
        what, instead = f"memory mode '{config.world_memory_mode_train}'", "world_memory_mode_train to 'disabled'"
        if config.world_align:
            what, instead = "world_align", "world_align to false"
        raise UserError(
            f"world_latents is not set: {what} learns from latents, give the folder of each camera's latents of the "
            f"dataset, or set {instead}"
        )
    lookup = LatentLookup.open(config.latents_folders, _bounds(dataset_meta), tuple(config.world_held_out))
    fingerprint = dataset_fingerprint(Path(dataset_meta.root))
    if lookup.latents.dataset_fingerprint != fingerprint:
        raise UserError(
            f"world_latents: the latents in {config.world_latents} were made of a dataset with fingerprint "
            f"{lookup.latents.dataset_fingerprint}, but the dataset in {dataset_meta.root} has {fingerprint}: encode "
            "this dataset, or train on the one that was encoded"
        )
    config.adopt_latents(lookup.latents)
    pictures = dataset_to_policy_features(dataset_meta.features)
    shapes = [pictures[column].shape for column in map(camera_column, config.cameras) if column in pictures]
    if len(shapes) == len(config.cameras):
        config.world_frame_sizes = ",".join(f"{height}x{width}" for _, height, width in shapes)
    return lookup


def open_training_tokens(config: Any, dataset_meta: Any) -> TokenCache:
    """The world tokens of the training set that ``dataset_meta`` (LeRobot's) describes.

    How many there are is written into the config. UserError if they are missing, of another dataset or camera, of
    another number than the config was made for, or if their codebook was fitted on episodes that are held out.
    """
    if not config.world_tokens:
        raise UserError(f"world_tokens is not set: model {config.model} knows world tokens, give the folder of some")
    found = open_tokens(Path(config.world_tokens), frames=_bounds(dataset_meta).frames)
    fingerprint = dataset_fingerprint(Path(dataset_meta.root))
    if found.dataset_fingerprint != fingerprint:
        raise UserError(
            f"world_tokens: those in {config.world_tokens} are of a dataset with fingerprint "
            f"{found.dataset_fingerprint}, but the dataset in {dataset_meta.root} has {fingerprint}: make them "
            "of this one"
        )
    seen = sorted(set(config.world_held_out) - set(found.held_out))
    if seen:
        raise UserError(
            f"world_tokens: the codebook in {config.world_tokens} was fitted on episodes that world_held_out names "
            f"({', '.join(map(str, seen[:5]))}{', ...' if len(seen) > 5 else ''}), so they are not unseen: make tokens "
            "that leave these episodes out, or hold out others"
        )
    config.adopt_tokens(found)
    return found


@dataclass(frozen=True)
class HeldOut:
    """The frames of the episodes that are not trained on."""

    episodes: tuple[int, ...]  # ascending
    bounds: EpisodeBounds  # theirs, in that order

    @classmethod
    def of(cls, config: WorldConfig, dataset_meta: Any) -> HeldOut | None:
        """Those that the config names, None if it names none; UserError if the dataset does not have them."""
        if not config.world_held_out:
            return None
        bounds = _bounds(dataset_meta)
        require_held_out(config.world_held_out, len(bounds.starts))
        return cls(tuple(sorted(set(config.world_held_out))), bounds.only(config.world_held_out))

    def refuse(self, index: Tensor) -> None:
        """UserError if one of the frames ``index``, int64 [B], is among them."""
        frames = index.cpu().numpy()
        place = self.bounds.find(frames)
        if (place >= 0).any():
            first = int(place.argmax())
            raise UserError(
                f"world_held_out: frame {frames[first]} of episode {self.episodes[place[first]]} is in a training "
                "batch, although that episode is not to be trained on: give the others as dataset.episodes, or take "
                "it out of world_held_out"
            )


def _bounds(dataset_meta: Any) -> EpisodeBounds:
    episodes = dataset_meta.episodes
    return EpisodeBounds.of(episodes["dataset_from_index"], episodes["dataset_to_index"])
