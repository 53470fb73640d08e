import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.config import InfoGANConfig, differences, flag, from_json, limits, to_json, validate
from infogan_jax.errors import UserError
from infogan_jax.experiments import DEFAULT, EXPERIMENTS


def changed(config, path, value):
    """The configuration with one field, given by its path, replaced."""
    name, _, rest = path.partition(".")
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


PRESET = EXPERIMENTS[DEFAULT]
EVERY_CODE = LatentCodes(
    3,
    (Categorical(4), Bernoulli(0.25), Uniform(-2.0, 2.0), Uniform(sigma=0.5), Normal(1.0, 2.0, sigma=0.1)),
    Normal(0.0, 0.5),
)
CONFIGS = {
    **EXPERIMENTS,
    "moving average": changed(PRESET, "optimizer.generator_ema", 0.999),
    "every code": changed(PRESET, "codes", EVERY_CODE),
    "no codes": changed(changed(PRESET, "codes", LatentCodes(5)), "objective.invariance.weight", 0.0),
    "last seed": changed(PRESET, "seed", 2**32 - 1),
}
by_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def test_the_default_is_a_preset_and_every_preset_has_its_own_name():
    assert DEFAULT in EXPERIMENTS
    assert {name: preset.experiment for name, preset in EXPERIMENTS.items()} == {n: n for n in EXPERIMENTS}


@by_config
def test_presets_are_valid(config):
    validate(config)


# JSON


@by_config
def test_json_round_trip(config):
    values = json.loads(json.dumps(to_json(config), allow_nan=False))
    restored = from_json(values)
    assert restored == config
    assert hash(restored) == hash(config)  # lists became tuples again: jit takes it as static
    assert json.loads(json.dumps(to_json(restored))) == values


def test_json_keeps_types_and_shows_the_kinds_of_codes():
    values = json.loads(json.dumps(to_json(CONFIGS["every code"])))
    kinds = [code["kind"] for code in values["codes"]["codes"]]
    assert kinds == ["Categorical", "Bernoulli", "Uniform", "Uniform", "Normal"]
    assert values["codes"]["noise"] == {"kind": "Normal", "mean": 0.0, "std": 0.5, "sigma": None}
    assert isinstance(from_json(values).codes.codes[0].categories, int)


def test_reading_leaves_the_values_alone():
    values = to_json(CONFIGS["every code"])
    before = copy.deepcopy(values)
    from_json(values)
    assert values == before


def at(values, path):
    for name in path:
        values = values[name]
    return values


SECTIONS = [
    (),
    ("data",),
    ("codes",),
    ("codes", "noise"),
    ("codes", "codes", 0),
    ("networks",),
    ("networks", "generator", 0),
    ("train",),
    ("model",),
    ("objective",),
    ("objective", "invariance"),
    ("optimizer",),
]
by_section = pytest.mark.parametrize("path", SECTIONS, ids=str)


@by_section
def test_an_unknown_key_is_refused(path):
    values = json.loads(json.dumps(to_json(PRESET)))
    at(values, path)["surprise"] = 1
    with pytest.raises(UserError, match=r"not one of this version: .*surprise"):
        from_json(values)


MISSING = [
    ("experiment",),
    ("data",),
    ("data", "name"),
    ("codes",),
    ("codes", "noise_dim"),
    ("codes", "noise", "kind"),
    ("codes", "codes", 0, "kind"),
    ("codes", "codes", 0, "categories"),
    ("networks", "trunk"),
    ("networks", "trunk", 0, "kind"),
    ("train", "steps"),
]


@pytest.mark.parametrize("path", MISSING, ids=str)
def test_a_missing_key_is_refused(path):
    values = json.loads(json.dumps(to_json(PRESET)))
    del at(values, path[:-1])[path[-1]]
    with pytest.raises(UserError, match="not one of this version: "):
        from_json(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("data", "source"), "elsewhere"),
        (("codes", "codes", 0, "kind"), "Poisson"),
        (("codes", "codes", 0, "categories"), 1),  # the code's own check
        (("codes", "noise", "kind"), "Categorical"),
        (("networks", "trunk", 0, "kind"), "pool"),
        (("networks", "generator", 0, "activation"), "gelu"),
        (("train", "steps"), "many"),
        (("train", "steps"), None),
        (("objective", "invariance"), 3),
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused(path, value):
    values = json.loads(json.dumps(to_json(PRESET)))
    at(values, path[:-1])[path[-1]] = value
    with pytest.raises(UserError, match="not one of this version: "):
        from_json(values)


# Limits

TINY, NAN, INFINITE = 1e-9, math.nan, math.inf
LIMITS = {
    # field: (just inside, just outside)
    "seed": ([0, 2**32 - 1], [-1, 2**32]),
    "data.crop": ([0], [-1]),
    "data.size": ([0], [-1]),
    "data.limit": ([0], [-1]),
    "data.render": ([0], [-1]),
    "train.steps": ([1], [0, -1]),
    "train.batch": ([2], [1, 0]),
    "train.microbatch": ([0], [-1]),
    "train.steps_per_call": ([1], [0]),
    "train.checkpoint_every": ([1], [0]),
    "train.keep": ([1], [0]),
    "train.keep_every": ([0], [-1]),
    "train.sample_every": ([1], [0]),
    "objective.lambda_discrete": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.lambda_continuous": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.scale_weighting": ([0.0, 1.0], [-TINY, 1 + TINY, NAN]),
    "objective.instance_noise": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.invariance.weight": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.invariance.rotation": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.invariance.scale": ([0.0, 1 - TINY], [-TINY, 1.0, NAN]),
    "objective.invariance.shear": ([0.0], [-TINY, NAN, INFINITE]),
    "objective.invariance.shift": ([0.0], [-TINY, NAN, INFINITE]),
    "optimizer.lr_discriminator": ([TINY], [0.0, -TINY, NAN, INFINITE]),
    "optimizer.lr_recognition": ([0.0], [-TINY, NAN, INFINITE]),
    "optimizer.lr_generator": ([TINY], [0.0, -TINY, NAN, INFINITE]),
    "optimizer.beta1": ([0.0, 1 - TINY], [-TINY, 1.0, NAN]),
    "optimizer.generator_ema": ([0.0, 1 - TINY], [-TINY, 1.0, NAN]),
}


def cases(side):
    return [(path, value) for path, values in LIMITS.items() for value in values[side]]


def test_these_are_all_the_limits():
    assert LIMITS.keys() == limits(InfoGANConfig).keys()


@pytest.mark.parametrize(("path", "value"), cases(0))
def test_a_value_just_inside_its_limit_is_taken(path, value):
    validate(changed(PRESET, path, value))


@pytest.mark.parametrize(("path", "value"), cases(1))
def test_a_value_just_outside_its_limit_is_refused_by_the_name_of_its_flag(path, value):
    with pytest.raises(UserError) as refusal:
        validate(changed(PRESET, path, value))
    assert str(refusal.value).startswith(f"{flag(path)} is {value}: it must be ")


@pytest.mark.parametrize(
    ("field", "value", "sources"),
    [
        ("folder", Path("images"), ["folder"]),
        ("crop", 4, ["folder"]),
        ("size", 4, ["folder", "tfds"]),
        ("grey", True, ["folder"]),
        ("skip_unreadable", True, ["folder"]),
        ("extra", True, ["tfds"]),
        ("limit", 4, ["tfds"]),
        ("render", 4, ["scenes"]),
        ("endless", True, ["scenes"]),
    ],
)
def test_a_field_of_the_data_belongs_to_its_sources(field, value, sources):
    for source in ("digits", "tfds", "folder", *sources):
        config = changed(changed(PRESET, "data.source", source), f"data.{field}", value)
        if source in sources:
            validate(changed(config, "data.render", 4) if source == "scenes" else config)
            continue
        with pytest.raises(UserError) as refusal:
            validate(config)
        expected = (
            f"{flag(f'data.{field}')} is given, but --data.source is {source}, not {' or '.join(sources)}"
        )
        unset = f"say {flag(f'data.no_{field}')}" if value is True else "set it to "
        assert str(refusal.value).startswith(f"{expected}: leave it out, or {unset}")


def test_images_are_cut_or_resized_and_not_both():
    masks = EXPERIMENTS["masks"]
    with pytest.raises(
        UserError, match=r"^--data\.crop is 64 and --data\.size is 32: .* one of them must be 0"
    ):
        validate(changed(masks, "data.size", 32))
    validate(changed(changed(masks, "data.size", 32), "data.crop", 0))


def test_a_scene_has_images_to_render():
    with pytest.raises(UserError, match=r"^--data\.render is 0: say how many"):
        validate(changed(EXPERIMENTS["heads"], "data.render", 0))


def test_images_that_are_rendered_in_the_step_are_not_streamed():
    endless = changed(EXPERIMENTS["heads"], "data.endless", True)
    validate(endless)
    validate(changed(endless, "data.stream", "no"))
    with pytest.raises(
        UserError, match=r"^--data\.stream is yes, but with --data\.endless .* or say --data\.no-endless"
    ):
        validate(changed(endless, "data.stream", "yes"))


def test_the_limits_of_an_autoencoder():
    masks = EXPERIMENTS["masks"]
    for path, value in (("learning_rate", 0.0), ("scale", NAN), ("pixel_size", -TINY), ("data.crop", -1)):
        with pytest.raises(UserError, match=f"^{flag(path)} is "):
            validate(changed(masks, path, value))


def test_flags_are_named_as_on_the_command_line():
    assert flag("train.steps_per_call") == "--train.steps-per-call"
    assert flag("seed") == "--seed"


def test_invariance_needs_a_categorical_code():
    without = changed(PRESET, "codes", LatentCodes(4, (Uniform(), Bernoulli())))
    with pytest.raises(UserError, match=r"^--objective\.invariance\.weight is above 0, but there is no cat"):
        validate(without)
    validate(changed(without, "objective.invariance.weight", 0.0))


def test_a_plain_gan_has_codes_to_measure_and_no_other_term_for_q():
    plain = changed(EXPERIMENTS["mnist"], "objective.plain_gan", True)
    validate(plain)
    with pytest.raises(UserError, match=r"^--objective\.plain-gan measures L_I, but there is no code$"):
        validate(changed(plain, "codes", LatentCodes(4)))
    with pytest.raises(
        UserError, match=r"^--objective\.plain-gan .*: set --objective\.invariance\.weight 0$"
    ):
        validate(changed(plain, "objective.invariance.weight", 1.0))


# Differences


def test_a_configuration_does_not_differ_from_itself_or_from_its_json():
    for config in CONFIGS.values():
        assert differences(config, config) == []
        assert differences(config, from_json(json.loads(json.dumps(to_json(config))))) == []


def test_differences_are_paths_to_the_fields_that_differ():
    other = changed(changed(PRESET, "seed", 1), "objective.invariance.shift", 1.5)
    other = changed(other, "train.steps", 7)
    assert set(differences(PRESET, other)) == {"seed", "objective.invariance.shift", "train.steps"}
    assert set(differences(other, PRESET)) == {"seed", "objective.invariance.shift", "train.steps"}


def test_differences_of_codes_and_networks():
    codes = PRESET.codes.codes
    other = changed(PRESET, "codes.codes", (codes[0],))
    assert differences(PRESET, other) == ["codes.codes"]
    assert differences(PRESET, changed(PRESET, "codes.noise", Normal())) == ["codes.noise"]
    assert differences(PRESET, changed(PRESET, "codes.noise", Uniform(-2, 1))) == ["codes.noise.low"]
    shallow = replace(PRESET.networks, q_head=())
    assert differences(PRESET, changed(PRESET, "networks", shallow)) == ["networks.q_head"]
