"""How one family of LeRobot policies starts, trains and loads, how it is given its noise, and whether it takes memory.

What holds for any of LeRobot's policies is in :class:`PolicyHost`; a family overrides what it does otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors import SafetensorError
from torch import Tensor

from world_modality.data.schema import ACTION, STATE, camera_column
from world_modality.errors import UserError, in_one_line
from world_modality.facts.benchmarks import Suite
from world_modality.facts.policies import PolicyFamily, family_of, small_family
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.trusted import build_processors, refuse_foreign_code
from world_modality.policies.weights import WEIGHTS, require_loaded
from world_modality.store.files import write_json
from world_modality.study.specs import OptimSpec

PREPROCESSOR = "policy_preprocessor.json"
Noise = Callable[[Any, Sequence[int]], AbstractContextManager[Mapping[str, torch.Tensor]]]
"""``(policy, seeds)`` -> a block in which row i draws by ``seeds[i]`` alone; yields further arguments of
``predict_action_chunk``. Always drawn on the CPU, so that devices agree."""


@contextmanager
def given_noise(policy: Any, seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """Flow matching draws once, at the start, and takes that noise as an argument: [B, chunk_size, max_action_dim]."""
    config = policy.config
    yield {"noise": _drawn(_generators(seeds), (config.chunk_size, config.max_action_dim), config.device)}


@contextmanager
def noise_at_every_step(policy: Any, seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """Diffusion starts from noise that it takes as an argument; DDPM adds more at every denoising step.

    diffusers takes a generator per row, which LeRobot does not pass on: so the step is given them.
    """
    config, generators = policy.config, _generators(seeds)
    shape = (config.horizon, config.action_feature.shape[0])
    scheduler = policy.diffusion.noise_scheduler
    step = scheduler.step
    scheduler.step = lambda *arguments, **named: step(*arguments, **{**named, "generator": generators})
    try:
        yield {"noise": _drawn(generators, shape, config.device)}
    finally:
        del scheduler.step


@contextmanager
def no_noise(_policy: Any, _seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """ACT draws while it is trained alone."""
    yield {}


def _generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _drawn(generators: Sequence[torch.Generator], shape: tuple[int, ...], device: Any) -> torch.Tensor:
    """Standard normal numbers float32 [len(generators), *shape]."""
    return torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators]).to(device)


@dataclass(frozen=True)
class LatentInputs:
    """What a start policy is given a memory of, or sees: each camera's latents in its order, and their encoder."""

    latents: tuple[Path, ...]
    encoder: Path
    tokens: tuple[Path, ...] = ()
    """World tokens of the same cameras, for a policy that knows any,"""
    instructions: tuple[Path, ...] = ()
    """and the one folder of the instructions' vectors, for one that reads them."""
    prophet: Path | None = None
    """A Prophet that was trained beforehand on those latents alone, if the memory's is one."""


class PolicyHost:
    """A family without memory, of which nothing is known beside LeRobot's interface."""

    noise: Noise | None = None
    """How each row of a batch gets its own noise; None: it draws from torch's global generator, one row at a time."""

    def __init__(self, family: PolicyFamily) -> None:
        self.family = family
        refuse_foreign_code()

    # Start

    def small_config(self, architecture: str, _suite: Suite, _pixels: int) -> Any:
        """LeRobot's config of a small architecture, with the features of a suite's data, whose square pictures are
        ``pixels`` wide; UserError if there is none.
        """
        raise UserError(f"policy.name: {self.family.label} has no small architecture '{architecture}'")

    def build_small(self, architecture: str, seed: int, target: Path, suite: Suite, pixels: int) -> None:
        """Write a policy of random weights for a suite, a function of the other arguments, and its processors.

        The processors hold no statistics: training takes the dataset's.
        """
        self._build(self.small_config(architecture, suite, pixels), seed, target)

    def build_new(self, settings: Mapping[str, Any], seed: int, target: Path, suite: Suite, pixels: int) -> None:
        """The same with LeRobot's own settings of the family's plain type; UserError if it does not take them."""
        try:
            config = PreTrainedConfig.get_choice_class(self.family.name)(**features_of(suite, pixels) | dict(settings))
            self._build(config, seed, target)
        except (TypeError, ValueError, OSError) as error:
            raise UserError(
                f"policy.settings: LeRobot builds no {self.family.label} of them ({str(error).splitlines()[0]}); "
                "weights that it would fetch are left out by pretrained_backbone_weights: null"
            ) from error

    def _build(self, config: Any, seed: int, target: Path) -> None:
        with borrowed_generator() as generator, self.building(config):
            generator.manual_seed(seed)
            policy = get_policy_class(config.type)(config)
        policy.save_pretrained(target)
        for processor in self.new_processors(config):
            processor.save_pretrained(target)

    def new_processors(self, config: Any, statistics: Any = None) -> tuple[Any, Any]:
        """Pre- and postprocessor of a policy that has none yet."""
        with self.building(config):
            return build_processors(config, dataset_stats=statistics)

    def pin_backbone(self, folder: Path, pinned: str) -> None:
        """Let the ``pretrained_model`` in ``folder`` load its backbone and tokenizer as ``<hub id>@<commit>``."""
        raise UserError(f"policy: {self.family.label} in {folder} is built around no backbone of the hub: {pinned}")

    def backbone(self, config: Mapping[str, Any]) -> str:
        """The name of the pretrained model that a config.json is built around; "" if there is none."""
        return str(config.get(self.family.backbone, ""))

    # Training

    def prepare(
        self, source: Path, target: Path, settings: Mapping[str, Any], memory: LatentInputs | None, *, renew: bool
    ) -> None:
        """Write the checkpoint that LeRobot's training script starts an arm from.

        ``settings`` are the world memory's, flat. ``renew``: its pictures are not the dataset's, so LeRobot is to take
        the dataset's. UserError if the family takes no memory.
        """
        mode = settings.get("world_memory_mode_train", "disabled")
        if memory is not None or mode != "disabled":
            raise UserError(
                f"{source} holds {self.family.label}, which takes no world memory: train it with 'disabled'"
            )
        shutil.copytree(source, target)
        if renew:
            config = json.loads((target / "config.json").read_text())
            write_json(target / "config.json", {**config, "input_features": {}})

    def training_settings(self, optim: OptimSpec, _seed: int) -> dict[str, object]:
        """LeRobot's flags that say how this family is optimised."""
        return {
            "use_policy_training_preset": False,
            "optimizer.type": "adamw",
            "optimizer.lr": optim.lr,
            "optimizer.weight_decay": optim.weight_decay,
            "optimizer.grad_clip_norm": optim.grad_clip,
            "scheduler.type": "cosine_decay_with_warmup",
            "scheduler.peak_lr": optim.lr,
            "scheduler.decay_lr": optim.decay_lr,
            "scheduler.num_warmup_steps": optim.warmup_steps,
            "scheduler.num_decay_steps": optim.decay_steps,
        }

    def held_out_settings(self, _episodes: Sequence[int]) -> dict[str, object]:
        """LeRobot's flags by which a policy is told of episodes that are not trained on."""
        return {}

    def picture_size(self, _config: Any) -> tuple[int, int] | None:
        """Width and height to which the policy itself would pad and resize pictures as SmolVLA does; None if not so."""
        return None

    # Loading

    def building(self, _config: Any) -> AbstractContextManager[None]:
        """Meanwhile LeRobot can build model and processors from ``config``."""
        return nullcontext()

    def own_names(self, _policy: Any, stored: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of a file by the names that the policy has for them."""
        return stored

    def load(self, folder: Path, config: Any) -> Any:
        """The policy with the folder's weights, in evaluation mode; UserError unless every tensor is found and used."""
        weights = folder / WEIGHTS
        if not weights.is_file():
            raise UserError(f"{folder} has no {WEIGHTS}: copy the checkpoint anew")
        try:
            with self.building(config):
                policy = get_policy_class(config.type).from_pretrained(folder, config=config)
        except (RuntimeError, SafetensorError) as error:
            raise UserError(
                f"the weights in {folder} do not fit its config.json ({in_one_line(error)}); copy the checkpoint anew"
            ) from error
        except (OSError, ValueError, ImportError) as error:  # of what it is built around, too
            raise UserError(f"the policy in {folder} cannot be built: {in_one_line(error)}") from error
        require_loaded(policy, weights, self.own_names)
        return policy


def host_of(policy_type: str) -> PolicyHost:
    """The host of a LeRobot policy type, with or without memory; its module makes the type known to LeRobot."""
    family = family_of(policy_type)
    host: PolicyHost = family.host.load()(family)
    return host


def small_host(architecture: str) -> PolicyHost:
    """The host that builds a small architecture; UserError if none does."""
    family = small_family(architecture)
    host: PolicyHost = family.host.load()(family)
    return host


def features_of(suite: Suite, pixels: int) -> dict[str, Any]:
    """The arguments of a LeRobot config that say what a suite's data hold, with square pictures ``pixels`` wide."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    picture = PolicyFeature(FeatureType.VISUAL, (3, pixels, pixels))
    state = PolicyFeature(FeatureType.STATE, (len(suite.state),))
    return {
        "input_features": {**{camera_column(camera): picture for camera in suite.cameras}, STATE: state},
        "output_features": {ACTION: PolicyFeature(FeatureType.ACTION, (suite.action.size,))},
        "device": "cpu",
        "push_to_hub": False,
    }


def padded_sizes(suite: Suite) -> dict[str, Any]:
    """The arguments of a LeRobot config to which SmolVLA and pi0 pad state and action: no more than there is."""
    return {"max_state_dim": len(suite.state), "max_action_dim": suite.action.size}


class ACTHost(PolicyHost):
    """It draws while it is trained alone."""

    noise = staticmethod(no_noise)

    def training_settings(self, optim: OptimSpec, seed: int) -> dict[str, object]:
        """Its vision backbone has a learning rate of its own."""
        backbone = optim.lr if optim.train_vision else 0.0
        return {**super().training_settings(optim, seed), "policy.optimizer_lr_backbone": backbone}


class DiffusionHost(PolicyHost):
    """DDPM adds noise at every denoising step."""

    noise = staticmethod(noise_at_every_step)
