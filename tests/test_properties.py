"""Drawn configurations: a valid one trains, saves, resumes and is measured; any other is refused at once.

`pytest tests/test_properties.py --hypothesis-profile=large` draws ten times as many.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infogan_jax import cli, experiments
from infogan_jax.config import AutoencoderConfig, InfoGANConfig, flag
from infogan_jax.data import digits as digits_source
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.networks.tables import Autoencoder, Layer
from infogan_jax.training import loop, run_folder

CASES = settings.default.max_examples
# The others are refused before anything is compiled, and cost next to nothing.
VALID = max(CASES // 75, 1)

pytestmark = pytest.mark.usefixtures("quick_compilation")

# What may stand behind an option, as a user would write it: by what each field's help says, and not by the
# program's own table of limits.
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
not_finite = st.sampled_from(["nan", "inf", "-inf"])


def numbers(values):
    return values.map(str)


def decimals(low, high):
    return st.floats(low, high).map(lambda x: f"{x:.6f}")


not_whole = st.one_of(words, decimals(0.125, 9).filter(lambda x: float(x) % 1))
below_one = st.one_of(numbers(st.integers(-(10**12), 0)), not_whole)
below_zero = st.one_of(numbers(st.integers(-(10**12), -1)), not_whole)
negative = st.one_of(decimals(-1e6, -1e-3), not_finite, words)
not_positive = st.one_of(negative, st.just("0"))
not_fraction = st.one_of(negative, decimals(1, 1e6))


def other_than(*allowed):
    return words.filter(lambda word: word not in allowed)


# Of a set that is read from scikit-learn these fields say nothing, so they are refused by name.
OF_OTHER_SOURCES = {
    "data.folder": words,
    "data.crop": numbers(st.integers(1, 99)),
    "data.size": numbers(st.integers(1, 99)),
    "data.limit": numbers(st.integers(1, 99)),
    "data.render": numbers(st.integers(1, 99)),
    "data.grey": st.just(""),
    "data.skip_unreadable": st.just(""),
    "data.extra": st.just(""),
}
INVALID = OF_OTHER_SOURCES | {
    "seed": st.one_of(below_zero, numbers(st.integers(2**32, 2**70))),
    "data.source": other_than("digits", "tfds", "folder", "scenes"),
    "data.name": other_than("digits"),
    "data.stream": other_than("auto", "yes", "no"),
    "model.dtype": other_than(),
    "train.steps": st.one_of(below_one, numbers(st.integers(2**31, 2**40))),
    # Eight devices share a batch.
    "train.batch": st.one_of(
        below_one,
        st.just("1"),
        numbers(st.integers(2, 2000).filter(lambda n: n % 8)),
        numbers(st.integers(2**20 + 1, 2**40)),
    ),
    "train.microbatch": st.one_of(
        below_zero, numbers(st.integers(1, 100).filter(lambda n: n not in (8, 16)))
    ),
    "train.steps_per_call": below_one,
    "train.checkpoint_every": below_one,
    "train.keep": below_one,
    "train.keep_every": below_zero,
    "train.sample_every": below_one,
}
OF_TASK = {
    "tiny": {
        "objective.lambda_discrete": negative,
        "objective.lambda_continuous": negative,
        "objective.scale_weighting": st.one_of(negative, numbers(st.floats(1.01, 1e6))),
        "objective.instance_noise": negative,
        # Q alone learns in a plain GAN, and these networks' experiment has code invariance on.
        "objective.plain_gan": st.just(""),
        "objective.invariance.weight": negative,
        "objective.invariance.rotation": negative,
        "objective.invariance.scale": not_fraction,
        "objective.invariance.shear": negative,
        "objective.invariance.shift": negative,
        "optimizer.lr_discriminator": not_positive,
        "optimizer.lr_recognition": negative,
        "optimizer.lr_generator": not_positive,
        "optimizer.beta1": not_fraction,
        "optimizer.generator_ema": not_fraction,
    },
    "tiny-autoencoder": {
        "error": other_than("l0", "l1", "l2", "bce", "dice", "edge"),
        "scale": not_positive,
        "learning_rate": not_positive,
        "pixel_size": negative,
    },
}
# Those that change no program, so that drawn runs share a few; and what may come with what is wrong.
RHYTHM = {
    "seed": numbers(st.integers(0, 2**32 - 1)),
    "train.steps_per_call": numbers(st.integers(1, 3)),
    "train.checkpoint_every": numbers(st.integers(1, 3)),
    "train.keep": numbers(st.integers(1, 3)),
    "train.keep_every": numbers(st.integers(0, 3)),
    "train.sample_every": numbers(st.integers(1, 3)),
}
PROGRAMS = {
    "tiny": ("", "--train.microbatch 8", "--optimizer.generator-ema 0.5"),
    "tiny-autoencoder": ("", "--error l1 --model.dtype bfloat16", "--error edge --pixel-size 2"),
}


def options(values):
    return [word for name, value in values.items() for word in (flag(name), value) if word]


@pytest.fixture(scope="module")
def tiny(tiny_config, digits, tmp_path_factory):
    """Two experiments of tiny networks on 64 images."""
    few = Dataset(
        "digits", *(Split(s.images[:n], s.labels[:n]) for s, n in ((digits.train, 64), (digits.test, 32))), 10
    )
    networks = Autoencoder(
        encoder=(Layer("conv", (4,), 2, activation="lrelu"), Layer("dense", (6,), activation="linear")),
        decoder=(Layer("dense", (4, 4, 4), norm=True), Layer("up", (1,), 2, activation="linear")),
    )
    autoencoder = AutoencoderConfig(
        experiment="tiny-autoencoder", data=tiny_config.data, networks=networks, train=tiny_config.train
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("drawn"))
        patch.setattr(digits_source, "load", lambda name: few)
        patch.setitem(experiments.EXPERIMENTS, "tiny", tiny_config)
        patch.setitem(experiments.EXPERIMENTS, "tiny-autoencoder", autoencoder)
        yield


def test_every_field_has_something_that_it_must_not_be():
    def fields(kind, prefix=""):
        for field in dataclasses.fields(kind):
            if dataclasses.is_dataclass(field.type) and field.name not in ("codes", "networks"):
                yield from fields(field.type, f"{prefix}{field.name}.")
            elif field.name not in ("experiment", "codes", "networks"):
                yield prefix + field.name

    for name, kind in (("tiny", InfoGANConfig), ("tiny-autoencoder", AutoencoderConfig)):
        assert set(fields(kind)) == INVALID.keys() | OF_TASK[name].keys()


@given(st.data())
@settings(max_examples=CASES - VALID)
def test_an_invalid_configuration_is_refused_by_the_field_s_name(tiny, capsys, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train", lambda *_, **__: pytest.fail("it was trained"))
        patch.setattr(sources, "load", lambda *_: pytest.fail("the data were loaded"))
        experiment = data.draw(st.sampled_from(sorted(OF_TASK)))
        wrong = INVALID | OF_TASK[experiment]
        name = data.draw(st.sampled_from(sorted(wrong)))
        others = data.draw(st.lists(st.sampled_from(sorted(RHYTHM.keys() - {name})), max_size=2, unique=True))
        values = {other: data.draw(RHYTHM[other]) for other in others} | {name: data.draw(wrong[name])}
        status = cli.train([experiment, *options(values), "--run-dir", "refused", "--no-compilation-cache"])
        error = capsys.readouterr().err
        assert status == 2 and len(error.splitlines()) == 1 and error.startswith("error: "), error
        assert flag(name) in error, error
        assert not Path("refused").exists()


@given(st.data())
@settings(max_examples=VALID)
def test_a_valid_configuration_trains_saves_resumes_and_is_measured(tiny, data):
    # An autoencoder is measured in less time.
    experiment = data.draw(st.sampled_from(["tiny-autoencoder", "tiny-autoencoder", "tiny"]))
    variant = data.draw(st.sampled_from(PROGRAMS[experiment])).split()
    values = {name: data.draw(strategy) for name, strategy in RHYTHM.items()}
    line = [experiment, *options(values), *variant, "--run-dir", "run", "--no-compilation-cache"]
    folder = Path("run")
    shutil.rmtree(folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        # It is measured at its end, below.
        patch.setattr(cli, "_measure", lambda *_: 0)
        assert cli.train([*line, "--train.steps", "1"]) == 0
    assert run_folder.newest_whole(folder) == (1, {})
    assert cli.train([*line, "--train.steps", "2", "--resume"]) == 0
    assert run_folder.newest_whole(folder) == (2, {})
    assert [json.loads(text)["step"] for text in (folder / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
    ]
    metrics = json.loads((folder / "eval/metrics.json").read_text())
    assert (metrics["experiment"], metrics["seed"], metrics["step"]) == (experiment, int(values["seed"]), 2)
    assert run_folder.config(folder, 2).train.steps == 2
