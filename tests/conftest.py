"""Strict settings for every test: 8 CPU devices, no silent rank promotion, no warnings."""

import dataclasses
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

# Both are read when JAX starts its CPU client. Un-awaited collectives on several fake devices
# can use up a small machine's thread pool and stop for ever; NPROC sizes that pool.
os.environ.setdefault("NPROC", "16")
# The tests' programs are small and run for moments: most of the time would go into compiling them.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What a command has compiled that a test starts, the next one finds again.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.TemporaryDirectory(prefix="infogan-jax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.config import Data, InfoGANConfig, Invariance, Objective, Train
from infogan_jax.data import sources
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.training import loop, run_folder
from infogan_jax.training.checkpoints import Checkpoints, abstract

ROOT = Path(__file__).parents[1]
RELIABILITY = ROOT / "docs/reliability.md"

jax.config.update("jax_numpy_rank_promotion", "raise")
# Not in this process: with several devices jaxlib 0.10.2 now and then dies as it writes a program down.
jax.config.update("jax_compilation_cache_dir", None)

# Drawn cases (tests/test_properties.py): the same at each run; `--hypothesis-profile=large` draws more, anew.
# How long one takes says nothing on a machine that others use too.
_ANY_PACE = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
settings.register_profile("usual", max_examples=300, derandomize=True, **_ANY_PACE)
settings.register_profile("large", max_examples=3000, **_ANY_PACE)
settings.load_profile("usual")


def pytest_terminal_summary(terminalreporter):
    """What tests have found out and not only checked: the type checker's answer, the site, the notebooks, and
    how many wrong inputs were tried."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    told, tried = set(), Counter()
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if not isinstance(value, int):
                told.add((name, value))
            elif report.when == "call":
                tried[name] += value
    for title, lines in (("what was found out", told), ("bad inputs tried", tried.items())):
        if lines:
            terminalreporter.section(title)
        for name, value in sorted(lines):
            terminalreporter.line(f"{name}: {value}")


@pytest.fixture(scope="module", autouse=True)
def _programs_of_a_module():
    """Compiled programs are let go with the module that made them: all of them together take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def quick_compilation():
    """XLA leaves out its costlier optimisations: a module that compiles much takes half the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def tiny_config():
    """InfoGAN on 8x8 images with networks small enough to compile in seconds; all terms are on."""
    return InfoGANConfig(
        experiment="tiny",
        data=Data("digits", "digits"),
        codes=LatentCodes(3, (Categorical(4), Uniform(-1, 1))),
        networks=Networks(
            generator=(
                Layer("dense", (2, 2, 8), norm=True),
                Layer("up", (8,), 2, norm=True),
                Layer("up", (1,), 2, activation="sigmoid"),
            ),
            trunk=(Layer("conv", (8,), 2, activation="lrelu"), Layer("conv", (8,), 2, True, "lrelu")),
            q_head=(Layer("dense", (8,), norm=True, activation="lrelu"),),
        ),
        train=Train(steps=20, batch=16, steps_per_call=5, checkpoint_every=10, sample_every=10),
        objective=Objective(instance_noise=0.1, invariance=Invariance(weight=0.5, shift=0.5)),
    )


@pytest.fixture(scope="session")
def checkpoint_arrays():
    """A function of a run's folder and a step: the checkpoint's arrays by path, a key as its bits."""

    def read(run_dir, step):
        config, devices = run_folder.config(run_dir, step), jax.devices()[:1]
        shapes = jax.eval_shape(lambda: loop.initial_state(config, devices))
        with Checkpoints(run_dir, read_only=True) as saved:
            state = saved.state(step, abstract(shapes, loop.replicated(devices)))
        state = dataclasses.replace(state, key=jax.random.key_data(state.key))
        return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree.leaves_with_path(state)}

    return read


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits."""
    return sources.load(Data("digits", "digits"))


@pytest.fixture(scope="session")
def environment():
    """A user's environment: one CPU device.

    Commands under test run for moments, so they are compiled in a hurry, as in this process.
    """
    own = {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": "",
        "COLUMNS": "100",
    }
    return os.environ | own


@pytest.fixture(scope="session")
def command():
    """A function of a script and its arguments: the words of a command line."""
    return lambda script, *arguments: [sys.executable, str(ROOT / script), *map(str, arguments)]


@pytest.fixture(scope="session")
def call(environment, command):
    """A function that runs a script to its end."""

    def run(script, *arguments, cwd, env=environment):
        return subprocess.run(command(script, *arguments), cwd=cwd, env=env, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def assert_refused():
    """A function that checks a refusal: its exit status, and the one line that says so."""

    def check(status, captured, message):
        lines = captured.err.splitlines()
        assert status == 2 and len(lines) == 1 and lines[0].startswith("error: "), captured.err
        assert re.search(message if ".*" in message else re.escape(message), lines[0]), lines[0]

    return check


@pytest.fixture
def tried(record_property):
    """A function that tells a kind of wrong inputs, and how many of them a test has tried.

    docs/reliability.md has a table of them all: `of_all`, by default the test's own number, must stand in it.
    """

    def tell(kind, number, of_all=None):
        rows = re.findall(r"^\| (.+) \| ([\d,]+)(?: or more)? \|", RELIABILITY.read_text(), re.MULTILINE)
        assert (kind, f"{number if of_all is None else of_all:,}") in rows
        record_property(kind, number)

    return tell


@pytest.fixture(scope="session")
def everything_in():
    """A function of a folder: what its files hold."""
    return lambda folder: {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
