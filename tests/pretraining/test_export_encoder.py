import io
import json
from pathlib import Path

import pytest
from support.data_stages import encoder_spec
from support.toy_footage import SIZE, SMALL

from workflow.tools import embedded_encoder
from workflow.tools.embedded_encoder import RECIPE, export
from world_modality.encoders.encoder import load_encoder
from world_modality.errors import UserError
from world_modality.pretraining.plan import UNTRAINED, read_recipe
from world_modality.pretraining.specs import PretrainingSpec
from world_modality.pretraining.stage import run
from world_modality.store.execute import execute
from world_modality.study.graph import Graph


def test_what_was_trained_goes_into_the_package_with_how_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, graph, target = read_recipe(RECIPE), Graph("toy"), tmp_path / "package" / "encoder"
    spec = PretrainingSpec(network=SMALL, seed=0, **UNTRAINED)
    request = graph.add("pretraining", spec, (), "pretraining", f"pretraining/{recipe.exported}")
    with pytest.raises(UserError, match="is not sealed: run `make embedded-encoder`"):
        export(tmp_path, graph, recipe, target)
    execute(tmp_path, request, run, cores=1, stream=io.StringIO())
    for _ in range(2):
        export(tmp_path, graph, recipe, target)
        provenance = json.loads((target / "provenance.json").read_text())
        assert provenance["training"] == request.key
        assert "host" not in provenance["machine"]
    assert [path.name for path in target.parent.iterdir()] == ["encoder"]
    assert load_encoder(encoder_spec(source="folder", name="", image_size=SIZE), target).dim == SMALL.hidden
    monkeypatch.setattr(embedded_encoder, "LARGEST", 1000)
    with pytest.raises(UserError, match=r"an embedded encoder may take 1,000, make it smaller"):
        export(tmp_path, graph, recipe, target)
    assert target.is_dir()
