import filecmp
from pathlib import Path

import pytest
from support.tiny_policy import TinyWorld

from lerobot_policy_world_modality.backbone import BACKBONES, resolve_backbone, resolved_backbone
from lerobot_policy_world_modality.processor_smolvla_world import BackboneTokenizerStep
from workflow.tools.backbones import LIBERO_SPATIAL, SIZES, main
from world_modality.errors import UserError


def test_the_packaged_backbones_are_what_the_builder_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["build", str(tmp_path)])
    main()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SIZES)
    for name in SIZES:
        packaged = sorted(path.name for path in (BACKBONES / name).iterdir())
        assert packaged == sorted(path.name for path in (tmp_path / name).iterdir())
        _, differing, errors = filecmp.cmpfiles(BACKBONES / name, tmp_path / name, packaged, shallow=False)
        assert (differing, errors) == ([], [])
        assert sum(path.stat().st_size for path in (BACKBONES / name).iterdir()) < 100_000


def test_the_tokenizer_reads_every_text_and_the_tasks_in_few_tokens() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_backbone("embedded:smolvlm-tiny"))
    for text in (*LIBERO_SPATIAL, "Öffne die Schublade: 100 %!", ""):
        assert tokenizer.decode(tokenizer(f"{text}\n").input_ids) == f"{text}\n"
    assert max(len(tokenizer(f"{text}\n").input_ids) for text in LIBERO_SPATIAL) < 48
    assert len({tuple(tokenizer(text).input_ids) for text in LIBERO_SPATIAL}) == 10


def test_names_resolve_while_building_and_come_back_afterwards(tiny: TinyWorld) -> None:
    config = tiny.stock().config
    with resolved_backbone(config):
        assert Path(config.vlm_model_name).is_dir()
    assert config.vlm_model_name == "embedded:smolvlm-tiny"
    assert (
        resolve_backbone("HuggingFaceTB/SmolVLM2-500M-Video-Instruct") == "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
    )
    with pytest.raises(UserError, match="choose one of embedded:smolvlm-tiny"):
        resolve_backbone("embedded:smolvlm-huge")


def test_checkpoints_hold_the_name_and_no_machines_path(tiny: TinyWorld) -> None:
    for file in tiny.checkpoint("pred").glob("*.json"):
        text = file.read_text()
        assert str(BACKBONES) not in text, file.name
        assert str(tiny.root) not in text, file.name
    step = BackboneTokenizerStep(tokenizer_name="embedded:smolvlm-tiny")
    assert step.get_config()["tokenizer_name"] == "embedded:smolvlm-tiny"
