"""The object models that a study's simulators need: which they are, and that they are here before the first job."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from world_modality.benchmarks.assets import AssetTree, asset_tree, hub_revision
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.study.graph import Graph
from world_modality.study.load import StudyFile
from world_modality.study.sources import UNRESOLVED, Assets
from world_modality.study.specs import SimSpec

AT = ("simulator", "assets")


def find_assets(file: StudyFile, suite: str, digests: Path, *, lenient: bool) -> Assets:
    """Source and digest of a suite's object models, as in SimSpec.

    The packages' content is locked and the hub's is fetched, so that keys hold what object models are and not where
    they came from.

    Args:
        digests: where digests of large folders are remembered.
        lenient: take what the hub cannot tell now as unresolved.

    Raises:
        UserError: a folder is missing or is none of these assets, or the hub cannot be reached.
    """
    tree = asset_tree(suite)
    if tree is None:
        return Assets()
    source = file.study.simulator.assets or SUITES[suite].assets[0]
    try:
        if hub_revision(source) is not None:
            return _of_hub(tree, source, digests, lenient=lenient)
        if source.partition("@")[0] not in SUITES[suite].assets:
            source = str(Path(source).expanduser().resolve())
        digest = tree.digest(source, digests)
    except UserError as error:
        raise file.error(AT, str(error)) from error
    return Assets(source, digest, tree.is_own(digest))


def _of_hub(tree: AssetTree, source: str, digests: Path, *, lenient: bool) -> Assets:
    try:
        pinned = tree.pin(source)
        digest = tree.digest(pinned, digests)
        return Assets(pinned, digest, tree.is_own(digest))
    except UserError:
        if not lenient:
            raise
        return Assets(source, UNRESOLVED)


def simulators(graph: Graph) -> list[SimSpec]:
    """The simulator of every suite in which a study collects or evaluates."""
    specs = (getattr(request.spec, "sim", None) for request in graph.stages.values())
    return list({sim.suite: sim for sim in specs if sim is not None}.values())


def fetch_assets(simulators: Iterable[SimSpec]) -> None:
    """Have the object models of simulators on this machine: jobs may run where no network is, and show no progress.

    UserError if they cannot be had, or are others by now.
    """
    for sim in simulators:
        tree = asset_tree(sim.suite)
        if tree is not None:
            tree.open(sim.assets, sim.assets_digest)
