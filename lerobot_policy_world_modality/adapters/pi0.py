"""pi0, as a world memory sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from lerobot.policies.pi0 import modeling_pi0, processor_pi0
from torch import Tensor

from lerobot_policy_world_modality.adapters.adapter import Adapter, Loss
from lerobot_policy_world_modality.backbone import BackboneTokenizerStep
from world_modality.errors import UserError
from world_modality.imports import replaced
from world_modality.memory.attachment import Sockets


class PI0Adapter(Adapter):
    """The expert's tokens are the state's, then the noisy actions'; LeRobot's loss counts padded actions too."""

    masks_padding = False

    @contextmanager
    def building(self, config: Any) -> Iterator[None]:
        """LeRobot has the tokenizer's name and the networks' sizes as constants."""
        small = config.small_architecture
        tokenizer = lambda **settings: BackboneTokenizerStep(  # noqa: E731
            **{**settings, "tokenizer_name": config.tokenizer_name}
        )
        with (
            replaced(processor_pi0, "TokenizerProcessorStep", tokenizer),
            small_sizes(small) if small else nullcontext(),
        ):
            yield

    def sockets(self, flow: Any) -> Sockets:
        """Of ``PI0Pytorch``."""
        expert, language = flow.paligemma_with_expert.gemma_expert, flow.paligemma_with_expert.paligemma.config
        heads = expert.config
        return Sockets(
            flow=flow,
            readout=flow.action_out_proj,
            suffix=flow.action_time_mlp_out,
            layers=tuple(expert.model.layers),
            hidden=heads.hidden_size,
            prefix=language.text_config.hidden_size,
            attention=(heads.num_attention_heads, heads.num_key_value_heads, heads.head_dim),
        )

    def loss(
        self,
        forward: Callable[..., Loss],
        flow: Any,
        batch: dict[str, Any],
        noise: Tensor | None,
        time: Tensor | None,
        reduction: str,
    ) -> Loss:
        """pi0 always draws for itself, by methods that it looks up on the instance."""
        with _drawing(flow, "sample_noise", noise), _drawing(flow, "sample_time", time):
            loss, info = forward(batch, reduction)
        return loss, {name: value for name, value in info.items() if not isinstance(value, list)}

    def recomputes(self, flow: Any) -> bool:
        """With gradient checkpointing."""
        return bool(flow.gradient_checkpointing_enabled)

    def own_names(self, policy: Any, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of openpi's conversions are mended by LeRobot itself."""
        own = policy.state_dict().keys()
        if stored.keys() <= own:
            return dict(stored)
        mended = policy._fix_pytorch_state_dict_keys(dict(stored), policy.config)
        return {name if name in own else f"model.{name.removeprefix('model.')}": mended[name] for name in mended}


@contextmanager
def _drawing(flow: Any, method: str, drawn: Tensor | None) -> Iterator[None]:
    """Meanwhile a sampler of the model gives ``drawn``."""
    if drawn is None:
        yield
        return
    setattr(flow, method, lambda *_: drawn)
    try:
        yield
    finally:
        delattr(flow, method)


SMALL = {"pi0-tiny": {"width": 64, "depth": 2, "mlp_dim": 128, "num_heads": 8, "num_kv_heads": 1, "head_dim": 16}}
"""Sizes of both language models. LeRobot's loss has 8 heads as a constant, so it is 8 at any size."""
VISION = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
WORDS = 512  # at least as many as the packaged small tokenizer has


@contextmanager
def small_sizes(architecture: str) -> Iterator[None]:
    """Meanwhile LeRobot builds pi0 at the sizes of a small architecture, which no config can ask for."""
    if architecture not in SMALL:
        raise UserError(f"small_architecture: '{architecture}' is none; choose one of {', '.join(SMALL)}")
    paligemma, gemma = modeling_pi0.PaliGemmaForConditionalGenerationWithPiGemma, modeling_pi0.PiGemmaForCausalLM

    def small_paligemma(config: Any) -> Any:
        for name, value in VISION.items():
            setattr(config.vision_config, name, value)
        config.vision_config.projection_dim = config.text_config.hidden_size
        config.text_config.vocab_size, config.image_token_index = WORDS + 1, WORDS
        return paligemma(config=config)

    def small_gemma(config: Any) -> Any:
        config.vocab_size = 1  # the expert reads and writes no words
        return gemma(config=config)

    with (
        replaced(modeling_pi0, "get_gemma_config", lambda _: modeling_pi0.GemmaConfig(**SMALL[architecture])),
        replaced(modeling_pi0, "PaliGemmaForConditionalGenerationWithPiGemma", small_paligemma),
        replaced(modeling_pi0, "PiGemmaForCausalLM", small_gemma),
    ):
        yield
