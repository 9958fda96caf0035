"""Write a packaged backbone: ``python -m workflow.tools.backbones [folder]``.

A backbone is what LeRobot's SmolVLA loads from ``vlm_model_name`` before any weight: the SmolVLM configuration,
the image processor and the tokenizer. The result depends on this file and the installed libraries alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_policy_world_modality.backbone import BACKBONES

LIBERO_SPATIAL = (
    "pick up the black bowl between the plate and the ramekin and place it on the plate",
    "pick up the black bowl from table center and place it on the plate",
    "pick up the black bowl in the top drawer of the wooden cabinet and place it on the plate",
    "pick up the black bowl next to the cookie box and place it on the plate",
    "pick up the black bowl next to the plate and place it on the plate",
    "pick up the black bowl next to the ramekin and place it on the plate",
    "pick up the black bowl on the cookie box and place it on the plate",
    "pick up the black bowl on the ramekin and place it on the plate",
    "pick up the black bowl on the stove and place it on the plate",
    "pick up the black bowl on the wooden cabinet and place it on the plate",
)
"""The instructions of libero_spatial, in the benchmark's order of names; the small tokenizer is trained on them."""

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    "<end_of_utterance>",
)


@dataclass(frozen=True)
class BackboneSize:
    """The sizes of a small SmolVLM; one picture becomes ``(image / patch / shuffle) ** 2`` tokens."""

    text_hidden: int
    text_heads: int
    text_kv_heads: int
    text_layers: int
    vision_hidden: int
    vision_heads: int
    vision_layers: int
    image: int  # pixels, square
    patch: int
    shuffle: int  # pixel-shuffle factor
    vocabulary: int  # upper bound of the tokenizer's size

    @property
    def image_tokens(self) -> int:
        """Tokens that one picture is turned into."""
        return (self.image // self.patch // self.shuffle) ** 2


SIZES = {
    "smolvlm-tiny": BackboneSize(
        text_hidden=128,
        text_heads=4,
        text_kv_heads=2,
        text_layers=2,
        vision_hidden=96,
        vision_heads=3,
        vision_layers=2,
        image=128,
        patch=16,
        shuffle=2,
        vocabulary=512,
    )
}


def build_tokenizer(instructions: tuple[str, ...], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer trained on ``instructions``; any other text falls back to its bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # LeRobot ends every instruction with a newline before it is tokenised.
    tokenizer.train_from_iterator([f"{text}\n" for text in instructions], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        # The attributes by which SmolVLA and its processor ask for the image tokens.
        extra_special_tokens={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )


def model_config(size: BackboneSize, tokenizer: Any) -> Any:
    """The SmolVLM configuration of ``size`` around ``tokenizer``'s vocabulary."""
    from transformers import SmolVLMConfig

    text = {
        "model_type": "llama",
        "hidden_size": size.text_hidden,
        "intermediate_size": 2 * size.text_hidden,
        "num_hidden_layers": size.text_layers,
        "num_attention_heads": size.text_heads,
        "num_key_value_heads": size.text_kv_heads,
        "head_dim": size.text_hidden // size.text_heads,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "hidden_size": size.vision_hidden,
        "intermediate_size": 4 * size.vision_hidden,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": size.vision_heads,
        "image_size": size.image,
        "patch_size": size.patch,
    }
    return SmolVLMConfig(
        text_config=text,
        vision_config=vision,
        scale_factor=size.shuffle,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )


def build_backbone(folder: Path, size: BackboneSize, instructions: tuple[str, ...] = LIBERO_SPATIAL) -> Path:
    """Write configuration, image and video processor and tokenizer of ``size`` to ``folder`` and return it."""
    from transformers import SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(instructions, size.vocabulary)
    model_config(size, tokenizer).save_pretrained(folder)
    edge = {"longest_edge": size.image}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=size.image_tokens,
    ).save_pretrained(folder)
    return folder


def main() -> None:
    """Write every packaged backbone below the given folder; without one, over the packaged files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=BACKBONES)
    folder = parser.parse_args().folder
    for name, size in SIZES.items():
        print(build_backbone(folder / name, size))


if __name__ == "__main__":
    main()
