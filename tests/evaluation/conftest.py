from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from infogan_jax.config import Data, SuperResolutionConfig, Train
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.tasks import superresolution
from infogan_jax.training.checkpoints import Checkpoints


@pytest.fixture(scope="session")
def enlarging():
    """A small super-resolver's configuration, and a state in which no weight is what another one is."""
    config = SuperResolutionConfig(
        experiment="tiny",
        data=Data("folder", "noise", Path("earlier"), crop=24),
        networks=SuperResolution(blocks=1, channels=2, factor=2, discriminator_channels=1),
        low_crop=4,
        init_from=Path("content"),
        train=Train(steps=10, batch=2),
    )

    shapes = jax.eval_shape(partial(superresolution.init, config), jax.random.key(0))
    rng = np.random.default_rng(0)

    def drawn(tree):
        return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), tree)

    stats = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes.stats)
    state = superresolution.State(
        step=np.int32(10),
        key=jax.random.key(0),
        params=drawn(shapes.params),
        stats=stats,
        opt=jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes.opt),
        start={"params": drawn(shapes.start["params"]), "stats": stats},
    )
    return config, state


@pytest.fixture
def enlarging_run(enlarging, tmp_path):
    """The folder of a run that ended with that state."""
    config, state = enlarging
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(10, state, config)
    return tmp_path / "run"


@pytest.fixture(scope="session")
def colours():
    """A function of height, width and seed: smooth colours, uint8 [height, width, 3]."""

    def make(height, width, seed=0):
        few = np.random.default_rng(seed).integers(0, 256, (7, 6, 3), np.uint8)
        return np.array(Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC))

    return make
