"""Two independent factors on a 16 x 16 grid, so that no score moves by chance, and codes of known worth."""

from types import SimpleNamespace

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor

LEVELS = 16


@pytest.fixture(scope="session")
def grid():
    """Values [256, 2], each pair of levels once; their factors; codes by name."""
    values = np.stack(np.meshgrid(np.arange(LEVELS), np.arange(LEVELS)), axis=-1).reshape(-1, 2).astype(float)
    u, v = values.T
    noise = np.random.default_rng(0).random(values.shape)
    codes = {
        "perfect": values / 7.5 - 1,
        "permuted": np.stack([3 - v, 2 * u], axis=1),
        "rotated": np.stack([u + v, u - v], axis=1),
        "dead": np.zeros_like(values),
        "with a dead one": np.stack([u, np.ones_like(u), v], axis=1),
        "duplicated": np.stack([u, v, u], axis=1),
        "random": noise,
    }
    return SimpleNamespace(values=values, factors=(Factor("x"), Factor("y")), codes=codes)


@pytest.fixture(scope="session")
def classes():
    """300 examples of a category of 5 whose numbers mean nothing, an angle and a number; exact codes."""
    rng = np.random.default_rng(1)
    shape, azimuth, size = rng.permutation(300) % 5, rng.random(300) * 360, rng.random(300)
    renamed = np.array([3, 0, 4, 1, 2])[shape]
    return SimpleNamespace(
        values=np.stack([shape, azimuth, size], axis=1),
        factors=(Factor("shape", "category"), Factor("azimuth", "angle", "degrees", 360.0), Factor("size")),
        codes=np.stack([renamed, azimuth / 180 - 1, 2 * size - 1], axis=1),
        categorical=(0,),
    )
