"""No package of ours loads data in a way that could run code, but where a line below says why it cannot."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("world_modality", "lerobot_policy_world_modality", "plugins", "workflow/tools")

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "tarfile", "zipfile", "runpy"}
CALLS = {
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("shutil.unpack_archive", "eval", "exec", "compile", "__import__", "importlib.import_module"),
    *("torch.distributed.broadcast_object_list", "torch.distributed.all_gather_object"),  # which pickle
    *("pandas.read_pickle", "pd.read_pickle", "np.lib.format.read_array", "np.fromfile"),
}
PROCESSORS = "make_pre_post_processors"
"""LeRobot's, which imports and calls whatever class a checkpoint's file names; so do its pipelines' own loaders."""
AUTO = "Auto"
"""transformers' classes of that name look for code in a model's folder unless they are told not to."""

ALLOWED = {
    ("world_modality/benchmarks/libero/tasks.py", "import pickle"): "the name of an error",
    ("world_modality/benchmarks/libero/tasks.py", "torch.load"): "weights_only, with numpy's arrays alone",
    ("world_modality/encoders/torchscript.py", "torch.jit.load"): "a study names the file's sha256 and allows it",
    ("world_modality/latents/reader.py", "import zipfile"): "the name of an error",
    ("world_modality/facts/table.py", "importlib.import_module"): "rows of installed packages",
    ("world_modality/cli/run_stage.py", "importlib.import_module"): "of the environment, for tests",
    ("world_modality/policies/trusted.py", "importlib.import_module"): "LeRobot and its plugins alone",
    ("world_modality/policies/trusted.py", PROCESSORS): "once every step of a folder's is known",
    ("world_modality/benchmarks/lerobot_env/simulator.py", "importlib.import_module"): "rows of installed packages",
    ("world_modality/benchmarks/libero/law.py", "importlib.import_module"): "a name in the code",
    ("world_modality/benchmarks/libero/quiet.py", "importlib.import_module"): "names in the code",
    ("world_modality/prophet/saves.py", "torch.load"): "weights_only: the training's own tensors and numbers",
    ("world_modality/pretraining/stage.py", "torch.load"): "weights_only: the training's own tensors and numbers",
    ("world_modality/training/launch.py", "torch.distributed.broadcast_object_list"): "of one training's own processes",
    ("workflow/tools/serve_policy.py", "importlib.import_module"): "what its user typed",
}
"""(file, what it does) -> why no data can run code there."""


def uses(source: str) -> Iterator[str]:
    """What of a module is looked for here."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[str]:
    name, given = ast.unparse(node.func), {each.arg: each.value for each in node.keywords}
    if name in CALLS:
        yield name
    if _is(given.get("allow_pickle"), True) or _is(given.get("weights_only"), False):
        yield f"{name} with pickles"
    if not _is(given.get("trust_remote_code", ast.Constant(False)), False):
        yield f"{name} with remote code"
    owner, _, method = name.rpartition(".")
    if method == PROCESSORS or (method == "from_pretrained" and owner.endswith("ProcessorPipeline")):
        yield method if method == PROCESSORS else name
    told = "trust_remote_code" in given or any(each.arg is None for each in node.keywords)  # **own: see below
    if method == "from_pretrained" and owner.startswith(AUTO) and not owner.startswith("Autoencoder") and not told:
        yield f"{name} without trust_remote_code=False"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def sources() -> dict[str, str]:
    files = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))
    return {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in files if "build" not in path.parts}


def test_no_package_loads_what_could_run() -> None:
    found = {(file, use) for file, source in sources().items() for use in uses(source)}
    assert found == ALLOWED.keys()


def test_every_set_of_arguments_for_transformers_refuses_remote_code() -> None:
    """``**own`` of a call that gives trust_remote_code no other way."""
    for file, source in sources().items():
        if f"{AUTO}Model.from_pretrained(" in source or f"{AUTO}Tokenizer.from_pretrained(" in source:
            assert '"trust_remote_code": False' in source, file


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("torch.load(file)", ["torch.load"]),
        ("torch.load(file, weights_only=False)", ["torch.load", "torch.load with pickles"]),
        ("np.load(file, allow_pickle=True)", ["np.load with pickles"]),
        ("np.load(file)", []),
        ("import pickle as p", ["import pickle"]),
        ("from joblib import load", ["import joblib"]),
        ("make_pre_post_processors(config, pretrained_path=x)", [PROCESSORS]),
        ("factory.make_pre_post_processors(config)", [PROCESSORS]),
        ("PolicyProcessorPipeline.from_pretrained(x)", ["PolicyProcessorPipeline.from_pretrained"]),
        ("AutoModel.from_pretrained(x)", ["AutoModel.from_pretrained without trust_remote_code=False"]),
        ("AutoModel.from_pretrained(x, trust_remote_code=True)", ["AutoModel.from_pretrained with remote code"]),
        ("AutoModel.from_pretrained(x, trust_remote_code=False)", []),
        ("make(x, trust_remote_code=told)", ["make with remote code"]),
    ],
)
def test_each_of_these_is_seen(source: str, found: list[str]) -> None:
    assert list(uses(source)) == found
