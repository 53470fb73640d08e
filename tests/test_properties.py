"""Drawn configurations: a valid one trains, saves, resumes and is measured; any other is refused at once.

`pytest tests/test_properties.py --hypothesis-profile=large` draws ten times as many.
"""

import dataclasses
import json
import operator
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from infogan_jax import cli, experiments
from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.config import AutoencoderConfig, Data, InfoGANConfig, SuperResolutionConfig, flag
from infogan_jax.data import digits as digits_source
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.evaluation import superresolution
from infogan_jax.networks.tables import Autoencoder, Layer, Networks, SuperResolution
from infogan_jax.training import loop, run_folder

CASES = settings.default.max_examples
USUAL = 300
# Programs that are compiled, and runs of each: a super-resolver's take the longest.
PROGRAMS = {
    "tiny": 2 * CASES // USUAL,
    "tiny-autoencoder": 3 * CASES // USUAL,
    "tiny-content": CASES // USUAL,
}
RUNS = 2
# Refused or taken before anything is compiled: they cost next to nothing.
ACCEPTED = CASES // 6
KINDS = {"tiny": InfoGANConfig, "tiny-autoencoder": AutoencoderConfig, "tiny-content": SuperResolutionConfig}
REFUSED = CASES - ACCEPTED - sum(PROGRAMS.values()) * RUNS

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
OF_DIGITS = {
    "data.name": other_than("digits"),
    "data.folder": words,
    "data.crop": numbers(st.integers(1, 99)),
    "data.size": numbers(st.integers(1, 99)),
    "data.limit": numbers(st.integers(1, 99)),
    "data.render": numbers(st.integers(1, 99)),
    "data.grey": st.just(""),
    "data.skip_unreadable": st.just(""),
    "data.extra": st.just(""),
    "data.endless": st.just(""),
}
# Of photographs of 24x24 pixels, of which squares of 20x20 are cut.
OF_FOLDER = {
    "data.folder": words,
    "data.crop": st.one_of(below_zero, numbers(st.integers(25, 9999))),
    "data.size": st.one_of(below_zero, numbers(st.integers(1, 99))),
    "data.limit": numbers(st.integers(1, 99)),
    "data.render": numbers(st.integers(1, 99)),
    "data.grey": st.just(""),
    "data.extra": st.just(""),
    "data.endless": st.just(""),
}
INVALID = {
    "seed": st.one_of(below_zero, numbers(st.integers(2**32, 2**70))),
    "data.source": other_than("digits", "tfds", "folder", "scenes"),
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
    "tiny": OF_DIGITS
    | {
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
    "tiny-autoencoder": OF_DIGITS
    | {
        "error": other_than("l0", "l1", "l2", "bce", "dice", "edge"),
        "scale": not_positive,
        "learning_rate": not_positive,
        "pixel_size": negative,
    },
    "tiny-content": OF_FOLDER
    | {
        "networks.blocks": below_one,
        "networks.channels": below_one,
        "networks.factor": st.one_of(below_one, numbers(st.sampled_from([1, 3, 5, 6, 7, 9, 10, 12]))),
        "networks.discriminator_channels": below_one,
        "content.error": other_than("l1", "l2", "vgg19", "efficientnet-lite0"),
        # Pixels have no layers, and no network's weights.
        "content.layer": words,
        "content.weights": words,
        "content.weights_sha256": words,
        "content.rescale": not_positive,
        "adversarial_weight": negative,
        "init_from": words,
        # At factor 2, of squares of 20x20.
        "low_crop": st.one_of(below_one, numbers(st.integers(11, 10**6))),
        "learning_rate": not_positive,
        "drop_after": below_zero,
    },
}
# Of which nothing is wrong: a switch, or a name that only reports show.
ANYTHING_GOES = {"tiny-content": {"data.name", "data.skip_unreadable", "networks.over_bicubic"}}

# What changes no program, and may stand beside what is wrong.
RHYTHM = {
    "seed": numbers(st.integers(0, 2**32 - 1)),
    "train.steps_per_call": numbers(st.integers(1, 3)),
    "train.checkpoint_every": numbers(st.integers(1, 3)),
    "train.keep": numbers(st.integers(1, 3)),
    "train.keep_every": numbers(st.integers(0, 3)),
    "train.sample_every": numbers(st.integers(1, 3)),
}
rates = decimals(1e-5, 1e-2)
VALID_SETTINGS = RHYTHM | {
    "data.stream": st.sampled_from(["auto", "yes", "no"]),
    "model.dtype": st.sampled_from(["float32", "bfloat16"]),
}
VALID_OF_TASK = {
    "tiny": {
        "objective.lambda_discrete": decimals(0, 10),
        "objective.lambda_continuous": decimals(0, 10),
        "objective.scale_weighting": decimals(0, 1),
        "objective.instance_noise": decimals(0, 1),
        "objective.invariance.rotation": decimals(0, 3),
        "objective.invariance.scale": decimals(0, 0.9),
        "objective.invariance.shear": decimals(0, 1),
        "objective.invariance.shift": decimals(0, 3),
        "optimizer.lr_discriminator": rates,
        "optimizer.lr_recognition": st.one_of(st.just("0"), rates),
        "optimizer.lr_generator": rates,
        "optimizer.beta1": decimals(0, 0.99),
        "optimizer.generator_ema": decimals(0, 0.99),
    },
    "tiny-autoencoder": {
        "error": st.sampled_from(["l0", "l1", "l2", "bce", "dice", "edge"]),
        "scale": decimals(0.01, 1),
        "learning_rate": rates,
        "pixel_size": decimals(0, 10),
    },
    "tiny-content": {
        "networks.blocks": numbers(st.integers(1, 3)),
        "networks.channels": numbers(st.integers(1, 8)),
        "networks.discriminator_channels": numbers(st.integers(1, 8)),
        "networks.over_bicubic": st.just(""),
        "content.error": st.sampled_from(["l1", "l2"]),
        "content.rescale": decimals(0.01, 10),
        "adversarial_weight": st.just("0"),
        "low_crop": numbers(st.integers(1, 4)),
        "learning_rate": rates,
        "drop_after": numbers(st.integers(0, 9)),
        "data.skip_unreadable": st.just(""),
        "data.name": words,
    },
}
codes = st.lists(
    st.one_of(
        st.integers(2, 6).map(Categorical),
        st.floats(-3, -0.5).map(lambda low: Uniform(low, 1.0)),
        st.floats(0.25, 0.75).map(Bernoulli),
        st.floats(0.5, 2).map(lambda scale: Normal(0.0, scale)),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def valid_settings(draw, experiment):
    """Options that the experiment can be trained with, one of each field's."""
    values = {name: draw(each) for name, each in (VALID_SETTINGS | VALID_OF_TASK[experiment]).items()}
    share, parts = draw(st.sampled_from([(2, 1), (2, 2), (3, 1), (3, 3), (1, 1), (1, 2)]))
    values["train.batch"] = str(8 * share * parts)
    values["train.microbatch"] = draw(st.sampled_from(["0", str(8 * share)]))
    return values


@st.composite
def valid_codes(draw):
    """A specification of codes, and the options that go with it."""
    drawn = LatentCodes(draw(st.integers(1, 6)), tuple(draw(codes)))
    weight = draw(decimals(0.01, 5)) if drawn.categorical and draw(st.booleans()) else "0"
    values = {"objective.invariance.weight": weight}
    if weight == "0" and draw(st.booleans()):
        values["objective.plain_gan"] = ""
    return drawn, values


def options(values):
    return [word for name, value in values.items() for word in (flag(name), value) if word]


@pytest.fixture(scope="module")
def tiny(tiny_config, digits, tmp_path_factory):
    """Three experiments of tiny networks: two on 64 digits, and one on two photographs."""
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
    photographs = tmp_path_factory.mktemp("photographs")
    for name in "ab":
        pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(photographs / f"{name}.png")
    content = SuperResolutionConfig(
        experiment="tiny-content",
        data=Data("folder", "noise", folder=photographs, crop=20),
        networks=SuperResolution(blocks=1, channels=4, factor=2, discriminator_channels=2),
        low_crop=2,
        train=tiny_config.train,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("drawn"))
        patch.setattr(digits_source, "load", lambda name: few)
        # As where the feature network isn't installed, which takes its time and has tests of its own.
        patch.setattr(superresolution, "_distances", lambda config: ([], []))
        for config in (tiny_config, autoencoder, content):
            patch.setitem(experiments.EXPERIMENTS, config.experiment, config)
        yield


def test_every_field_has_something_that_it_must_not_be_and_something_that_it_may_be():
    def fields(kind, prefix=""):
        for field in dataclasses.fields(kind):
            if dataclasses.is_dataclass(field.type) and field.type not in (
                LatentCodes,
                Networks,
                Autoencoder,
            ):
                yield from fields(field.type, f"{prefix}{field.name}.")
            elif field.name not in ("experiment", "codes", "networks"):
                yield prefix + field.name

    for name, kind in KINDS.items():
        refused = INVALID.keys() | OF_TASK[name].keys()
        assert set(fields(kind)) == refused | ANYTHING_GOES.get(name, set())
        # What only another source has, or only with a layer's features or an earlier run.
        elsewhere = OF_DIGITS.keys() | {"data.source", "train.steps", "content.layer", "content.weights"}
        elsewhere |= {"content.weights_sha256"}
        elsewhere |= {"init_from", "networks.factor"}
        drawn = VALID_SETTINGS.keys() | VALID_OF_TASK[name].keys() | {"train.batch", "train.microbatch"}
        if kind is InfoGANConfig:
            drawn |= {"objective.invariance.weight", "objective.plain_gan"}
        assert set(fields(kind)) - elsewhere == drawn - elsewhere


def test_an_invalid_configuration_is_refused_by_the_field_s_name_at_once(tiny, capsys, tried):
    lines = []

    @given(st.data())
    @settings(max_examples=REFUSED)
    def drawn(data):
        lines.append(_refused(data, capsys))

    drawn()
    tried("configurations with one wrong field", len(lines), len(lines) * USUAL // CASES)


def _refused(data, capsys):
    """Draws a command line, which must be refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train", lambda *_, **__: pytest.fail("it was trained"))
        patch.setattr(sources, "load", lambda *_: pytest.fail("the data were loaded"))
        experiment = data.draw(st.sampled_from(sorted(OF_TASK)))
        wrong = INVALID | OF_TASK[experiment]
        name = data.draw(st.sampled_from(sorted(wrong)))
        others = data.draw(st.lists(st.sampled_from(sorted(RHYTHM.keys() - {name})), max_size=2, unique=True))
        values = {other: data.draw(RHYTHM[other]) for other in others} | {name: data.draw(wrong[name])}
        line = [experiment, *options(values), "--run-dir", "refused", "--no-compilation-cache"]
        began = time.process_time()
        status = cli.train(line)
        seconds = time.process_time() - began
        error = capsys.readouterr().err
        assert status == 2 and len(error.splitlines()) == 1 and error.startswith("error: "), error
        # Not only as the beginning of another's, as --train.keep is of --train.keep-every.
        assert re.search(rf"(?<![\w.-]){re.escape(flag(name))}(?![\w-]|\.\w)", error), error
        assert not Path("refused").exists()
        # The bound that refusals have, in time of the processor, whatever else the machine does.
        assert seconds < 2, line
    return line


@given(st.data())
@settings(max_examples=ACCEPTED)
def test_a_valid_configuration_is_taken_as_it_is_typed(tiny, data):
    experiment = data.draw(st.sampled_from(sorted(KINDS)))
    values = data.draw(valid_settings(experiment))
    trained = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train", lambda runs, *_, **__: trained.extend(runs) or signal.SIGTERM)
        line = [experiment, *options(values), "--run-dir", "taken", "--no-compilation-cache"]
        assert cli.train(line) == 128 + signal.SIGTERM
    shutil.rmtree("taken")
    (run,) = trained
    for name, value in values.items():
        taken = operator.attrgetter(name)(run.config)
        assert taken is True if value == "" else type(taken)(value) == taken, name


@pytest.mark.parametrize("experiment", sorted(KINDS))
def test_a_valid_configuration_trains_saves_resumes_and_is_measured(
    experiment, tiny, tiny_config, record_property
):
    done = []

    @given(st.data())
    @settings(max_examples=PROGRAMS[experiment])
    def drawn(data):
        rhythm = st.fixed_dictionaries(RHYTHM)
        several = st.lists(rhythm, min_size=RUNS, max_size=RUNS, unique_by=lambda each: each["seed"])
        rhythms = data.draw(several)
        # Not that of the least of everything, which hypothesis draws first.
        assume(rhythms[0]["seed"] != "0")
        values = data.draw(valid_settings(experiment))
        with pytest.MonkeyPatch.context() as patch:
            if experiment == "tiny":
                codes, of_codes = data.draw(valid_codes())
                patch.setitem(experiments.EXPERIMENTS, "tiny", dataclasses.replace(tiny_config, codes=codes))
                values |= of_codes
            for own in rhythms:
                _trains_saves_resumes_and_is_measured(experiment, values | own)
                done.append(own)

    drawn()
    assert len(done) >= RUNS * PROGRAMS[experiment]
    record_property("valid configurations, trained, resumed and measured", f"{len(done)} of {experiment}")


def _trains_saves_resumes_and_is_measured(experiment, values):
    folder = Path("run")
    shutil.rmtree(folder, ignore_errors=True)
    line = [experiment, "--run-dir", "run", "--no-compilation-cache", *options(values)]
    with pytest.MonkeyPatch.context() as unmeasured:
        # It is measured at its end, below.
        unmeasured.setattr(cli, "_measure", lambda *_, **__: 0)
        assert cli.train([*line, "--train.steps", "1"]) == 0
    assert run_folder.newest_whole(folder) == (1, {})
    assert cli.train([*line, "--train.steps", "2", "--resume"]) == 0
    assert run_folder.newest_whole(folder) == (2, {})
    steps = [json.loads(text)["step"] for text in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    metrics = json.loads((folder / "eval/metrics.json").read_text())
    assert (metrics["experiment"], metrics["seed"], metrics["step"]) == (experiment, int(values["seed"]), 2)
    assert run_folder.config(folder, 2).train.steps == 2
