"""SmolVLA with world memory at its real size, without weights or hub: how many parameters, how much memory.

``python -m bench.real_size workflow/studies/libero_spatial.yaml`` prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from world_modality.embedded import BACKBONE_PREFIX
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS
from world_modality.study.load import load_study
from world_modality.study.slices import world_spec
from world_modality.study.specs import WorldSpec
from world_modality.study.study import Arm, Study

SMALL_BACKBONE = f"{BACKBONE_PREFIX}smolvlm-tiny"
SMOLVLM2_500M: dict[str, Any] = {
    "model_type": "smolvlm",
    "scale_factor": 4,
    "image_token_id": 49190,
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "llama",
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
        "vocab_size": 49280,
        "pad_token_id": 2,
    },
    "vision_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    },
}
"""The published sizes of HuggingFaceTB/SmolVLM2-500M-Video-Instruct, SmolVLA's own backbone."""

LATENT_WIDTHS = {
    "facebook/dinov2-base": 768,
    "facebook/vjepa2-vitl-fpc64-256": 1024,
    "facebook/vjepa2-vith-fpc64-256": 1280,
    "facebook/vjepa2-vitg-fpc64-256": 1408,
}
"""Published widths of the encoders that a study is likely to name."""

NARROW = 256
GIB = 2**30
FULL = 4  # bytes of a float32


@contextlib.contextmanager
def real_backbone(*, bfloat16: bool) -> Iterator[Path]:
    """A folder that LeRobot builds SmolVLA from: SmolVLM2-500M's configuration, and the packaged small tokenizer.

    The tokenizer decides which special tokens SmolVLA looks up, not how large anything is.
    """
    from lerobot_policy_world_modality.backbone import resolve_backbone

    text = {**SMOLVLM2_500M["text_config"], "dtype": "bfloat16" if bfloat16 else "float32"}
    with TemporaryDirectory() as name:
        folder = Path(shutil.copytree(resolve_backbone(SMALL_BACKBONE), name, dirs_exist_ok=True))
        (folder / "config.json").write_text(json.dumps({**SMOLVLM2_500M, "text_config": text}))
        yield folder


def real_config(memory: str, world: WorldSpec | None, latent_dim: int) -> Any:
    """SmolVLA's default configuration, with LIBERO's features and an arm's world memory (None: without)."""
    from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
    from lerobot_policy_world_modality.world_config import world_fields
    from world_modality.facts.benchmarks import SUITES
    from world_modality.policies.host import features_of

    own = {} if world is None else {**world_fields(world), "world_latent_dim": latent_dim}
    return SmolVLAWorldConfig(
        **features_of(SUITES["libero_spatial"], 256),
        world_memory_mode_train=memory,
        **own,
    )


def build_real_size(config: Any, *, bfloat16: bool) -> Any:
    """The policy of ``config`` around SmolVLM2-500M, on the meta device: shapes and dtypes without a number.

    ``bfloat16``: with the dtypes that LeRobot gives it when it loads the backbone's weights (``load_vlm_weights``),
    that is all of the backbone and of the expert but the keys' and values' projections that LeRobot puts into its
    cross-attention layers.
    """
    import torch

    from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy

    name = config.vlm_model_name
    with real_backbone(bfloat16=bfloat16) as folder, torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        config.vlm_model_name = str(folder)
        try:
            policy = SmolVLAWorldPolicy(config)
        finally:
            config.vlm_model_name = name
    if bfloat16:  # the expert follows the configuration, the backbone the weights that are loaded into it
        policy.model.vlm_with_expert.vlm.to(torch.bfloat16)
    return policy


@dataclass(frozen=True)
class RealSize:
    """How large an arm's policy is. Counts of parameters; memory as loaded with bfloat16 weights and in float32."""

    parameters: int
    trained: int
    world: int
    bfloat16: Footprint
    float32: Footprint


def real_size(memory: str, world: WorldSpec | None, latent_dim: int) -> RealSize:
    """The size of an arm in the memory mode ``memory``; ``world`` as in :func:`real_config`.

    Raises:
        UserError: the world memory's sizes do not fit together.
    """
    half, full = (
        build_real_size(real_config(memory, world, latent_dim), bfloat16=bfloat16) for bfloat16 in (True, False)
    )
    return RealSize(
        parameters=sum(parameter.numel() for parameter in full.parameters()),
        trained=sum(parameter.numel() for parameter in full.parameters() if parameter.requires_grad),
        world=0 if full.world is None else sum(parameter.numel() for parameter in full.world.parameters()),
        bfloat16=footprint(numbers_of(half), masters=True),
        float32=footprint(numbers_of(full), masters=False),
    )


def size_table(study: Study, latent_dim: int) -> str:
    """A Markdown table: SmolVLA alone, each fusion with its own and with a narrow attention, trained constants."""
    arms: list[tuple[str, str, WorldSpec | None]] = [("`disabled`", "disabled", None)]
    for fusion in FUSIONS.names:
        world = world_spec(study, _arm(study, "pred", fusion))
        assert world is not None
        widths = (0,) if fusion == "prefix_tokens" else (0, NARROW)  # its attention is as wide as the expert's own
        for width in widths:
            label = f"`{fusion}`" + (f", attention_width {width}" if width else "")
            arms.append((label, "pred", world.model_copy(update={"attention_width": width})))
    arms.append(("mode `learned`, `late`", "learned", world_spec(study, _arm(study, "learned", "late"))))
    lines = [
        "| arm | parameters | trained | of the world memory | GiB, bfloat16 | GiB, float32 |",
        "|---|---|---|---|---|---|",
    ]
    for label, memory, world in arms:
        size = real_size(memory, world, latent_dim)
        gib = " | ".join(f"{each.total / GIB:.2f}" for each in (size.bfloat16, size.float32))
        lines.append(f"| {label} | {size.parameters:,} | {size.trained:,} | {size.world:,} | {gib} |")
    return "\n".join(lines)


def _arm(study: Study, memory: str, fusion: str) -> Arm:
    return Arm(memory=memory, world=study.world.model_copy(update={"fusion": fusion, "prophet": "joint"}))


def main() -> None:
    """Print the table of a study's world memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--latents", type=int, help="width of a latent; that of the study's encoder if it is known")
    arguments = parser.parse_args()
    try:
        study = load_study(arguments.study).study
        width = arguments.latents or LATENT_WIDTHS.get(getattr(study.encoder, "repo_id", ""))
        if width is None:
            raise UserError(f"{arguments.study}: the width of its encoder's latents is not known; give it by --latents")
    except UserError as error:
        raise SystemExit(str(error)) from error
    print(size_table(study, width))


@dataclass(frozen=True)
class Numbers:
    """So many numbers of ``width`` bytes each; only those of trained parameters get gradients."""

    count: int
    width: int
    trained: bool


@dataclass(frozen=True)
class Footprint:
    """Bytes, without activations, which grow with batch, pictures and fusion, and without CUDA's own."""

    weights: int
    gradients: int
    moments: int
    masters: int
    update: int
    """Of an optimiser step alone: what it holds while it runs."""

    @property
    def total(self) -> int:
        """Their sum, which is held during an optimiser step."""
        return self.weights + self.gradients + self.moments + self.masters + self.update


def footprint(numbers: Iterable[Numbers], *, masters: bool) -> Footprint:
    """What weights, gradients and AdamW take.

    A gradient is as wide as its weight, and AdamW keeps two moments per trained weight, as wide as the weight. With
    ``masters`` a trained weight narrower than float32 also has a float32 copy that AdamW updates, with float32 moments
    and, during a step, a float32 gradient.
    """
    kinds = list(numbers)
    trained = [kind for kind in kinds if kind.trained]
    copies = sum(kind.count * FULL for kind in trained if masters and kind.width < FULL)
    return Footprint(
        weights=sum(kind.count * kind.width for kind in kinds),
        gradients=sum(kind.count * kind.width for kind in trained),
        moments=sum(2 * kind.count * (max(kind.width, FULL) if masters else kind.width) for kind in trained),
        masters=copies,
        update=copies,
    )


def numbers_of(module: Any) -> list[Numbers]:
    """The parameters and buffers of a ``torch.nn.Module``, on any device; shared ones count once."""
    counts: Counter[tuple[int, bool]] = Counter()
    for tensor in (*module.parameters(), *module.buffers()):
        counts[tensor.element_size(), bool(tensor.requires_grad)] += tensor.numel()
    return [Numbers(count, width, trained) for (width, trained), count in sorted(counts.items())]


if __name__ == "__main__":
    main()
