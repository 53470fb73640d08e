"""A model with a code of every kind, rows of every kind, and statistics unlike those that it starts from."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.networks.infogan import Discriminator
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.tasks import infogan
from infogan_jax.training.checkpoints import Checkpoints

NETWORKS = Networks(
    generator=(
        Layer("dense", (6,), norm=True),
        Layer("dense", (2, 2, 4), norm=True),
        Layer("up", (4,), 1, norm=True),
        Layer("up", (3,), 2),
        Layer("up", (3,), 2, activation="tanh"),
    ),
    trunk=(Layer("conv", (4,), 2, activation="lrelu"), Layer("conv", (4,), 1, True, "lrelu")),
    q_head=(Layer("dense", (6,), norm=True, activation="lrelu"),),
)


@pytest.fixture(scope="session")
def trained(tiny_config):
    """The configuration and a state."""
    codes = LatentCodes(2, (Categorical(3), Uniform(-1, 1), Bernoulli(0.3), Normal(1, 2)))
    config = dataclasses.replace(
        tiny_config, codes=codes, networks=NETWORKS, objective=type(tiny_config.objective)()
    )
    state = infogan.init(config, jax.random.key(0))
    rng = np.random.default_rng(0)

    def drawn(low, high):
        return lambda x: jax.numpy.asarray(rng.uniform(low, high, x.shape), x.dtype)

    params = jax.tree.map(drawn(-0.7, 0.7), state.params)
    return config, dataclasses.replace(state, params=params, stats=jax.tree.map(drawn(0.3, 1.2), state.stats))


@pytest.fixture(scope="session")
def run_dir(trained, tmp_path_factory):
    """A run's folder that holds it."""
    folder = tmp_path_factory.mktemp("run")
    config, state = trained
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(7, state, config)
    return folder


@pytest.fixture(scope="session")
def draw(trained):
    """Noise and codes of 5 examples."""
    codes = dict(trained[0].codes.sample(jax.random.key(1), 5))
    return np.asarray(codes.pop("noise")), {name: np.asarray(value) for name, value in codes.items()}


@pytest.fixture(scope="session")
def wanted(trained, draw):
    """What the task itself makes of them, and reads in it."""
    config, state = trained
    noise, codes = draw
    images = infogan.generate(config, state, {"noise": noise} | codes)
    networks, dim = config.networks, config.codes.posterior_dim
    variables = infogan.discriminator_variables(state, "real")
    _, output = Discriminator(networks.trunk, networks.q_head, dim).apply(variables, images, train=False)
    posteriors = config.codes.posteriors(output)
    return np.asarray(images), {name: np.asarray(q.mode) for name, q in posteriors.items()}


IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import infogan_jax
model = infogan_jax.load(sys.argv[1])
given = dict(np.load("given.npz"))
noise = given.pop("noise")
images = model(noise, given)
one = model(noise[:1], {name: value[:1] for name, value in given.items()})
np.savez("made.npz", images=images, one=one, **model.recognize(images))
print(model.step, model.versions["infogan-jax"])
"""


@pytest.fixture
def check_round_trip(draw, wanted, tmp_path):
    """A function of a file: what a fresh process that has nothing else makes of it is what is wanted."""

    def check(path):
        noise, codes = draw
        np.savez(tmp_path / "given.npz", noise=noise, **codes)
        # The strict settings of the tests aside, all of the environment: a user's.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", IN_A_FRESH_PROCESS, str(path)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        made = dict(np.load(tmp_path / "made.npz"))
        images, read = wanted
        np.testing.assert_allclose(made["images"], images, rtol=0, atol=1e-5)
        np.testing.assert_allclose(made["one"], images[:1], rtol=0, atol=1e-5)
        assert images.std() > 0.05
        for name, value in read.items():
            assert made[name].dtype == value.dtype
            np.testing.assert_allclose(made[name], value, rtol=0, atol=1e-5)
        return done.stdout.split()

    return check
