"""Simplified meshes: fewer triangles in much the same pictures, and not a bit of difference in the physics."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.libero.view import CAMERAS, LEAST_FACES, clustered, simplify_meshes

MakeEnv = Callable[..., LiberoSimulator]


def sphere(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a sphere of radius 1 around 0."""
    angles = np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    grid = np.array([[np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)] for a in angles[0] for b in angles[1]])
    wide = 2 * rings
    corners = [(r * wide + c, r * wide + (c + 1) % wide) for r in range(rings - 1) for c in range(wide)]
    faces = [(a, b, a + wide) for a, b in corners] + [(b, b + wide, a + wide) for a, b in corners]
    return grid.astype(np.float32), np.array(faces, np.int32)


def test_a_sphere_stays_one_of_fewer_triangles() -> None:
    vertices, faces = sphere(60)
    kept, moved = clustered(vertices, faces, 0.1)
    assert 500 < len(kept) < len(faces) / 3
    centres, normals = vertices[moved].mean(axis=1), np.cross(*np.diff(vertices[moved], axis=1).transpose(1, 0, 2))
    assert np.linalg.norm(centres, axis=1).min() > 0.95
    assert ((centres * normals).sum(axis=1) > 0).mean() > 0.97 or ((centres * normals).sum(axis=1) < 0).mean() > 0.97


def test_a_grid_finer_than_the_mesh_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-1, 1, (300, 3)).astype(np.float32)
    faces = np.array([rng.permutation(300)[:3] for _ in range(500)], np.int32)
    kept, moved = clustered(vertices, faces, 1e-5)
    assert np.array_equal(kept, np.arange(len(faces)))
    assert np.array_equal(moved, faces)


@given(arrays(np.float32, (12, 3), elements=st.floats(-1, 1, width=32)), st.floats(0.05, 3.0), st.integers(0, 99))
def test_every_corner_stays_near_its_own(vertices: np.ndarray, cell: float, seed: int) -> None:
    faces = np.random.default_rng(seed).integers(0, 12, (20, 3)).astype(np.int32)
    kept, moved = clustered(vertices, faces, cell)
    assert len(kept) == len(moved)
    assert (np.diff(kept) > 0).all()
    distance = np.abs(vertices[moved].astype(float) - vertices[faces[kept]])
    assert distance.max(initial=0.0) <= cell * 1.001
    assert all(len(set(face)) == 3 for face in moved.tolist())
    assert len({tuple(sorted(face)) for face in moved.tolist()}) == len(moved)


def test_physics_is_the_same_bit_for_bit_and_pictures_nearly(make_env: MakeEnv) -> None:
    seen = {}
    for render in ("fast", "coarse"):
        env = make_env(0, render)
        env.reset(3, seed=5)
        rng = np.random.default_rng(0)
        trajectory = []
        for _ in range(6):
            env.step(np.clip(rng.normal(scale=0.5, size=7), -1, 1))
            trajectory.append((env.qpos().tobytes(), env.state().tobytes()))
            observation = env.observe()
        seen[render] = trajectory, observation.images
    assert seen["fast"][0] == seen["coarse"][0]
    for camera in CAMERAS:
        fast, coarse = (seen[render][1][camera].astype(int) for render in ("fast", "coarse"))
        assert 0 < np.abs(fast - coarse).mean() < 2.0


def test_the_model_that_physics_runs_on_is_not_touched(make_env: MakeEnv) -> None:
    env = make_env(0, "coarse")
    env.reset(0, seed=0)
    env.observe()
    physics, drawn = env._sim_env.sim.model._model, env._view._model
    assert drawn is not physics
    assert drawn.mesh_facenum.sum() < 0.7 * physics.mesh_facenum.sum()
    again = copy(physics)
    assert simplify_meshes(again) == drawn.mesh_facenum.sum()
    small = physics.mesh_facenum < LEAST_FACES
    assert np.array_equal(again.mesh_facenum[small], physics.mesh_facenum[small])
    assert (again.mesh_facenum <= physics.mesh_facenum).all()


def test_poses_of_a_new_episode_are_seen(make_env: MakeEnv) -> None:
    """The seed places fixtures by changing the physics' model, of which the pictures' model is a copy."""
    env = make_env(4, "coarse")
    pictures = []
    for seed in (1, 2, 1):
        env.reset(0, seed)
        pictures.append(env.observe().images["image"])
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])
