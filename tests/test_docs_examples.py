"""The Python that stands in README.md and docs runs, line by line, on runs made small."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from documented import PAGES, ROOT, blocks

from infogan_jax import experiments, library
from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.config import Objective
from infogan_jax.export.jax_file import write_jax_file
from infogan_jax.tasks import infogan


def examples(page):
    """The blocks of Python on a page."""
    return ["\n".join(lines) for language, lines in blocks(page) if language == "python"]


EXAMPLES = {page.relative_to(ROOT).as_posix(): examples(page) for page in PAGES if examples(page)}

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def small(tiny_config, tmp_path, monkeypatch):
    """The configuration that the presets are, with their codes, and a file that was exported of it."""
    config = replace(
        tiny_config,
        codes=LatentCodes(3, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1))),
        train=replace(tiny_config.train, steps=5, checkpoint_every=5, sample_every=5),
        objective=Objective(),
    )
    for name in ("DIGITS", "MNIST"):
        assert getattr(experiments, name).codes.codes == config.codes.codes
        monkeypatch.setattr(experiments, name, config)
    # Measuring compiles for longer than all the rest, and tests/test_library.py has it.
    unmeasured = library.Evaluation({}, [], [], tmp_path / "report.html", None)
    monkeypatch.setattr(library, "evaluate", lambda run_dir: unmeasured)
    monkeypatch.chdir(tmp_path)
    write_jax_file(tmp_path / "generator.jax", config, infogan.init(config, jax.random.key(0)), 5)
    return config


@pytest.mark.parametrize("page", EXAMPLES)
def test_examples_run(page, small):
    names = {}
    for example in EXAMPLES[page]:
        exec(compile(example, page, "exec"), names)
    if "model" in names:
        low, high = small.codes.noise.low, small.codes.noise.high
        noise = np.asarray(names["noise"])
        assert noise.shape[1] == small.codes.noise_dim and low <= noise.min() and noise.max() < high
        assert names["images"].shape[1:] == small.networks.image_shape
        assert names["codes"].keys() == small.codes.named.keys()


def test_examples_are_found():
    assert {"README.md", "docs/export.md", "docs/resume.md", "docs/own-data.md"} <= EXAMPLES.keys()
