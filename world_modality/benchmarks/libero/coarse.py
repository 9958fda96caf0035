"""Fewer triangles in a model that is only looked at: what a small picture of it shows hardly changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 0.003  # metres: about a pixel of 256 at a metre's distance; from 8 mm on thin walls get holes
LEAST_FACES = 200  # meshes with fewer are left alone


def simplify_meshes(model: Any, cell: float = CELL) -> int:
    """Simplify every mesh of a mujoco.MjModel in place; how many triangles are left.

    Vertices that share a cell of a cubic grid become one of them, and triangles with fewer than three different
    corners go (Rossignac and Borrel 1993, vertex clustering). A corner keeps its own normal and texture coordinate.
    For a model of one's own that no physics runs on: collisions and inertias were computed from the full meshes.
    """
    left = 0
    for mesh in range(model.nmesh):
        start, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
        if count >= LEAST_FACES:
            first = int(model.mesh_vertadr[mesh])
            vertices = model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])]
            kept, faces = clustered(vertices, model.mesh_face[start : start + count], cell)
            own = slice(start, start + len(kept))
            for corners in (model.mesh_facenormal, model.mesh_facetexcoord):
                corners[own] = corners[start + kept]
            model.mesh_face[own] = faces
            model.mesh_facenum[mesh] = len(kept)
        left += int(model.mesh_facenum[mesh])
    return left


def clustered(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], cell: float
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Which of ``faces`` [F, 3] are left, and their corners after ``vertices`` [V, 3] were clustered.

    A cell is stood for by its vertex nearest to the mean of all of them. Of triangles with the same corners one stays.
    """
    cells, member = np.unique(_packed(np.floor(vertices / cell).astype(np.int64)), return_inverse=True)
    sums = np.zeros((len(cells), 3))
    np.add.at(sums, member, vertices)
    means = sums / np.bincount(member)[:, None]
    distance = np.linalg.norm(vertices - means[member], axis=1)
    order = np.lexsort((distance, member))
    standing = order[np.searchsorted(member[order], np.arange(len(cells)))]
    moved = standing[member][faces].astype(np.int32)
    a, b, c = moved.T
    whole = np.flatnonzero((a != b) & (b != c) & (a != c))
    _, one_each = np.unique(_packed(np.sort(moved[whole], axis=1).astype(np.int64)), return_index=True)
    kept = whole[np.sort(one_each)]
    return kept, moved[kept]


def _packed(triples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers [N], equal where triples [N, 3] are: sorting those takes a tenth of the time."""
    if not len(triples):
        return np.zeros(0, np.int64)
    numbers = triples - triples.min(axis=0)
    sizes = numbers.max(axis=0) + 1
    return np.asarray((numbers[:, 0] * sizes[1] + numbers[:, 1]) * sizes[2] + numbers[:, 2])
