"""The training step against the equations written once more, with `jax.grad` on the networks alone."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.config import Invariance, Model, Objective, Optimizer
from infogan_jax.data.affine import affine_warp, draw_affine
from infogan_jax.networks.infogan import Discriminator, Generator
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import AXIS, sample_key, to_float
from infogan_jax.training import loop
from infogan_jax.training.loop import replicated

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH = 16
LAMBDAS = {"c1": 0.7, "c2": 0.3}
WARP = {"rotation": 0.3, "scale": 0.1, "shear": 0.2, "shift": 0.5}
WEIGHT = 0.5
DECAY = 0.8


@pytest.fixture(scope="module")
def base(tiny_config):
    """The smallest networks in which batch norm, both heads and both convolutions are there."""
    return dataclasses.replace(
        tiny_config,
        networks=Networks(
            generator=(Layer("dense", (4, 4, 4), norm=True), Layer("up", (1,), 2, activation="sigmoid")),
            trunk=(Layer("conv", (4,), 2, activation="lrelu"), Layer("dense", (8,), 1, True, "lrelu")),
            q_head=(Layer("dense", (8,), activation="lrelu"),),
        ),
    )


def objective(config, *, bound=True, invariance=0.0, noise=0.0):
    discrete, continuous = LAMBDAS.values() if bound else (0.0, 0.0)
    changed = Objective(
        lambda_discrete=discrete,
        lambda_continuous=continuous,
        instance_noise=noise,
        invariance=Invariance(invariance, **WARP),
    )
    return dataclasses.replace(config, objective=changed)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 1), np.uint8)


def filled(config, seed=4):
    """A state in which all terms matter: Q is sure of its codes, and no running statistic is 0 or 1.

    The weights of the start are so small that all logits are near 0.
    """
    rng = np.random.default_rng(seed)
    key = jax.random.key(seed)
    shapes = jax.eval_shape(partial(infogan.init, config), key)

    def normal(x):
        return (0.3 * rng.normal(size=x.shape)).astype(x.dtype)

    def zeros(x):
        return np.zeros(x.shape, x.dtype)

    def weights(path, x):
        if path[-1].key == "var":
            return np.abs(normal(x)) + 0.5
        if "q_output" in (entry.key for entry in path):
            return normal(x) * np.where(np.arange(x.shape[-1]) < 4, 10, 1).astype(x.dtype)  # c1's logits
        return normal(x)

    return infogan.State(
        step=jnp.int32(7),
        key=key,
        params=jax.tree.map_with_path(weights, shapes.params),
        stats=jax.tree.map_with_path(weights, shapes.stats),
        opt=jax.tree.map(zeros, shapes.opt),
        average=jax.tree.map_with_path(weights, shapes.average),
    )


def on_replicas(function, config, count=1):
    """`function` of the state and the whole batch, shared by ``count`` replicas."""
    mapped = jax.vmap(partial(function, config), in_axes=(None, 0), axis_name=AXIS)
    return jax.jit(lambda state, images: mapped(state, images.reshape(count, -1, *images.shape[1:])))


def on_one_replica(function, config):
    mapped = on_replicas(function, config)
    return jax.jit(lambda state, images: jax.tree.map(lambda x: x[0], mapped(state, images)))


@pytest.fixture(scope="module")
def state(base):
    return filled(base)


# The equations once more


@pytest.fixture(scope="module")
def reference(base, state, images):
    """The terms, each player's gradients of what concerns it, and batch norm's new statistics."""
    codes, networks = base.codes, base.networks
    assert codes == LatentCodes(3, (Categorical(4), Uniform(-1, 1)))
    generator = Generator(networks.generator)
    discriminator = Discriminator(networks.trunk, networks.q_head, codes.posterior_dim)
    code_key, _, _, view_key, _ = jax.random.split(jax.random.fold_in(state.key, state.step), 5)

    def terms(d, g):
        draw = codes.sample(code_key, BATCH)
        inputs = jnp.concatenate([draw["noise"], jnp.eye(4)[draw["c1"]], draw["c2"][:, None]], axis=1)
        real = images.astype(jnp.float32) / 255
        view = affine_warp(real, draw_affine(view_key, BATCH, **WARP))

        def apply(module, params, name, x):
            variables = {"params": params, "batch_stats": state.stats[name]}
            return module.apply(variables, x, train=True, mutable="batch_stats")

        fake, g_stats = apply(generator, g, "generator", inputs)
        (real_logits, real_q), real_stats = apply(discriminator, d, "real", real)
        (fake_logits, fake_q), fake_stats = apply(discriminator, d, "fake", fake)
        (_, view_q), _ = apply(discriminator, d, "real", view)

        sigma = jnp.exp(4 * jnp.tanh(fake_q[:, 5] / 4))
        p = jax.nn.softmax(fake_q[:, :4])[jnp.arange(BATCH), draw["c1"]]
        joint = jax.nn.softmax(real_q[:, :4]).T @ jax.nn.softmax(view_q[:, :4]) / BATCH
        joint = (joint + joint.T) / 2
        independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        values = {
            "loss_d": -jnp.mean(jax.nn.log_sigmoid(real_logits) + jax.nn.log_sigmoid(-fake_logits)),
            "loss_g": -jnp.mean(jax.nn.log_sigmoid(fake_logits)),
            "mi_c1": jnp.mean(jnp.log(p)) + np.log(4),
            "mi_c2": jnp.mean(jax.scipy.stats.norm.logpdf(draw["c2"], fake_q[:, 4], sigma)) + np.log(2),
            "invariance": jnp.sum(joint * jnp.log(joint / independent)),
        }
        stats = {"generator": g_stats, "real": real_stats, "fake": fake_stats}
        return values, {name: s["batch_stats"] for name, s in stats.items()}

    def total(name):
        def value(d, g):
            values, _ = terms(d, g)
            return sum(w * values[f"mi_{c}"] for c, w in LAMBDAS.items()) if name == "bound" else values[name]

        return value

    @jax.jit
    def everything(d, g):
        values, stats = terms(d, g)
        of_d = {name: jax.grad(total(name), 0)(d, g) for name in ("loss_d", "bound", "invariance")}
        of_g = {name: jax.grad(total(name), 1)(d, g) for name in ("loss_g", "bound")}
        return values, {"discriminator": of_d, "generator": of_g}, stats

    return jax.tree.map(np.asarray, everything(state.params["discriminator"], state.params["generator"]))


def assert_close(actual, expected, tolerance=1e-4):
    """Equality within ``tolerance`` of each array's largest value.

    Batch norm's variance is a difference of two larger numbers, so float32's rounding shows as up
    to 2e-5 in these gradients; in float64 they agree to 1e-12.
    """
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for (path, a), e in zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True):
        bound = tolerance * max(np.abs(e).max(), 1e-4)
        np.testing.assert_allclose(a, e, rtol=0, atol=bound, err_msg=jax.tree_util.keystr(path))


def gradients(config, state, images):
    return jax.tree.map(np.asarray, on_one_replica(infogan.gradients, config)(state, images))


def largest(tree):
    return max(np.abs(x).max() for x in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def invariant(base, state, images):
    """Gradients, statistics and metrics of a step with lambda = 0: a GAN, and code invariance beside it."""
    return gradients(objective(base, bound=False, invariance=WEIGHT), state, images)


@pytest.fixture(scope="module")
def full(base, state, images):
    """The same with the bound."""
    return gradients(objective(base, invariance=WEIGHT), state, images)


def test_metrics_are_the_terms(reference, invariant, full):
    values, _, _ = reference
    for metrics in (invariant[2], full[2]):
        assert metrics.keys() == values.keys()
        for name, value in metrics.items():
            np.testing.assert_allclose(value, values[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_with_lambda_zero_the_generator_is_a_plain_gans(reference, invariant):
    # Invariance is on, and concerns D and Q alone.
    _, slopes, _ = reference
    assert_close(invariant[0]["generator"], slopes["generator"]["loss_g"])


def test_invariance_trains_the_discriminator(reference, invariant):
    _, slopes, _ = reference
    d = slopes["discriminator"]
    tolerance = 1e-3
    expected = jax.tree.map(lambda v, t: v - WEIGHT * t, d["loss_d"], d["invariance"])
    assert_close(invariant[0]["discriminator"], expected, tolerance)
    # Far above the tolerance: without the term, or with another weight, the lines above would fail.
    for part in ("trunk", "q_head", "q_output"):
        share = WEIGHT * largest(d["invariance"][part]) / largest(expected[part])
        assert share > 10 * tolerance, part


def test_the_shared_backward_pass_gives_what_two_separate_ones_do(reference, full):
    _, slopes, _ = reference
    d, g = slopes["discriminator"], slopes["generator"]
    expected_d = jax.tree.map(lambda v, i, t: v - i - WEIGHT * t, d["loss_d"], d["bound"], d["invariance"])
    assert_close(full[0]["discriminator"], expected_d)
    assert_close(full[0]["generator"], jax.tree.map(np.subtract, g["loss_g"], g["bound"]))


def test_the_bounds_gradient_reaches_the_trunk(reference, invariant, full):
    _, slopes, _ = reference
    with_bound, without = full[0]["discriminator"], invariant[0]["discriminator"]
    difference = jax.tree.map(np.subtract, with_bound, without)
    expected = jax.tree.map(np.negative, slopes["discriminator"]["bound"])
    for part in ("trunk", "q_head", "q_output"):
        assert_close(difference[part], expected[part], tolerance=2e-4)
    for path, slope in jax.tree.leaves_with_path(expected["trunk"]):
        assert np.abs(slope).max() > 1e-4, jax.tree_util.keystr(path)
    assert largest(difference["d_logit"]) < 1e-6  # D's own head knows nothing of the bound


def test_of_a_plain_gan_q_alone_is_trained_by_the_bound(base, state, images, reference):
    _, slopes, _ = reference
    d = slopes["discriminator"]
    config = objective(base)
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, plain_gan=True))
    grads, _, metrics = gradients(config, state, images)
    assert_close(grads["generator"], slopes["generator"]["loss_g"])
    for part in ("trunk", "d_logit"):
        assert_close(grads["discriminator"][part], d["loss_d"][part])
    for part in ("q_head", "q_output"):
        assert_close(grads["discriminator"][part], jax.tree.map(np.negative, d["bound"][part]))
        assert largest(d["bound"][part]) > 1e-3, part
    np.testing.assert_allclose(metrics["mi_c1"], reference[0]["mi_c1"], rtol=1e-5)


def test_invariance_leaves_the_continuous_codes_outputs_alone(invariant):
    output = invariant[0]["discriminator"]["q_output"]
    for slopes in (output["kernel"].T, output["bias"]):
        assert np.all(np.abs(slopes[:4]).sum(axis=tuple(range(1, slopes.ndim))) > 0)
        np.testing.assert_array_equal(slopes[4:], np.zeros_like(slopes[4:]))


def test_real_and_fake_statistics_are_recorded_apart(reference, state, full):
    _, _, expected = reference
    assert_close(full[1], expected)  # the transformed view's pass leaves no trace
    for path, moved in jax.tree.leaves_with_path(jax.tree.map(np.subtract, expected, state.stats)):
        assert np.abs(moved).max() > 1e-4, jax.tree_util.keystr(path)
    moves = [jax.tree.map(np.subtract, full[1][name], state.stats[name]) for name in ("real", "fake")]
    assert largest(jax.tree.map(np.subtract, *moves)) > 1e-3


# Draws, seen through stand-ins for the networks that record what they are given


class Recorder:
    """A network that returns ``outputs`` of its input and records the input in its statistics."""

    def __init__(self, outputs, seen=None):
        self.outputs, self.seen = outputs, seen

    def apply(self, variables, x, *, train, mutable):
        assert train and mutable == "batch_stats"
        if self.seen is not None:
            jax.debug.callback(lambda x: self.seen.append(np.array(x)), x)
        return self.outputs(variables["params"], x), {"batch_stats": {"input": x}}


def recorded(config, replicas=1, seen=None):
    """`infogan.gradients` on recorders: a function of the images, the seed and the step.

    It returns the inputs of G, and of D on real and on fake images, then the metrics. All that D
    is given is also appended to ``seen``, where the view that invariance compares can be found.
    """

    def make_images(params, inputs):
        return jnp.full((len(inputs), *config.networks.image_shape), 0.7) * params["w"]

    def judge(params, x):
        logits = params["w"] * x.mean(axis=(1, 2, 3))
        return logits, logits[:, None] * jnp.arange(1.0, config.codes.posterior_dim + 1)[None]

    run = on_replicas(infogan.gradients, config, replicas)
    params = {name: {"w": np.float32(1)} for name in ("generator", "discriminator")}
    stats = {"generator": {}, "real": {}, "fake": {}}

    def call(images, seed=0, step=0):
        state = infogan.State(jnp.int32(step), jax.random.key(seed), params, stats, {}, None)
        _, inputs, metrics = run(state, images)
        jax.effects_barrier()
        found = {name: np.asarray(x["input"]) for name, x in inputs.items()}
        return {name: x.reshape(-1, *x.shape[2:]) for name, x in found.items()}, metrics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infogan, "_generator", lambda config: Recorder(make_images))
        patch.setattr(infogan, "_discriminator", lambda config: Recorder(judge, seen))
        call(np.zeros((BATCH, 8, 8, 1), np.uint8))  # the program is traced here and kept
    return call


@pytest.fixture(scope="module")
def noisy(base):
    """A recorded step with noise and invariance on, and what its D was given."""
    seen = []
    config = objective(base, noise=0.1, invariance=WEIGHT)
    return config, recorded(config, seen=seen), seen


def test_replicas_share_one_global_draw(images, noisy):
    config, run, _ = noisy
    whole, metrics = run(images)
    key = jax.random.split(jax.random.fold_in(jax.random.key(0), 0), 5)[0]
    expected = config.codes.encode(config.codes.sample(key, BATCH))
    np.testing.assert_allclose(whole["generator"], expected, rtol=1e-6)
    split, split_metrics = recorded(config, 8)(images)
    for name, x in whole.items():
        np.testing.assert_allclose(split[name], x, atol=1e-6, err_msg=name)
    for name, value in metrics.items():
        np.testing.assert_allclose(split_metrics[name], np.full(8, value[0]), rtol=1e-4, atol=1e-6)


def test_the_step_number_and_the_key_fix_the_draws(images, noisy):
    _, run, _ = noisy
    one, same = run(images, seed=1, step=5)[0], run(images, seed=1, step=5)[0]
    for name, x in one.items():
        np.testing.assert_array_equal(x, same[name])
    for other in (run(images, seed=1, step=6)[0], run(images, seed=2, step=5)[0]):
        for name, x in one.items():
            random = [0, 1, 2, 7] if name == "generator" else ...  # noise and c2; categories repeat
            assert np.all(np.any(x[:, random] != other[name][:, random], axis=tuple(range(1, x.ndim))))
        assert np.any(one["generator"][:, 3:7] != other["generator"][:, 3:7])


# Images of one value, which no affine map changes.
FLAT = np.full((BATCH, 8, 8, 1), 51, np.uint8)


def assert_noise(*noises, scale):
    """Independent noises of this scale, to four standard errors."""
    n = FLAT.size
    for noise in noises:
        assert abs(noise.mean()) < 4 * scale / np.sqrt(n)
        assert noise.std() == pytest.approx(scale, rel=4 / np.sqrt(2 * n))
    correlations = np.corrcoef([noise.ravel() for noise in noises])[np.triu_indices(len(noises), 1)]
    assert np.all(np.abs(correlations) < 4 / np.sqrt(n))


def test_instance_noise_is_drawn_anew_for_real_fake_and_transformed_images(base, noisy):
    _, run, seen = noisy
    seen.clear()
    inputs, metrics = run(FLAT)
    known = inputs["real"], inputs["fake"]
    (view,) = (x for x in seen if not any(np.array_equal(x.ravel(), k.ravel()) for k in known))
    assert_noise(inputs["real"] - 0.2, inputs["fake"] - 0.7, view - 0.2, scale=0.1)

    quiet, quiet_metrics = recorded(objective(base))(FLAT)
    np.testing.assert_allclose(quiet["real"], np.full_like(quiet["real"], 0.2), rtol=1e-6)
    np.testing.assert_allclose(quiet["fake"], np.full_like(quiet["fake"], 0.7), rtol=1e-6)
    for name in ("loss_d", "loss_g", "mi_c1", "mi_c2"):
        assert abs(metrics[name][0] - quiet_metrics[name][0]) > 1e-6


def test_instance_noise_is_measured_in_the_images_range(base):
    table = base.networks.generator
    tanh = (*table[:-1], dataclasses.replace(table[-1], activation="tanh"))
    networks = dataclasses.replace(base.networks, generator=tanh)
    inputs, _ = recorded(dataclasses.replace(objective(base, noise=0.1), networks=networks))(FLAT)
    assert_noise(inputs["real"] + 0.6, inputs["fake"] - 0.7, scale=0.2)


# The whole step


@pytest.fixture(scope="module")
def averaged(base):
    """A configuration with all terms and a moving average of G."""
    return dataclasses.replace(
        objective(base, noise=0.1, invariance=WEIGHT),
        optimizer=Optimizer(lr_discriminator=3e-4, lr_generator=2e-3, beta1=0.4, generator_ema=DECAY),
    )


@pytest.fixture(scope="module")
def step(averaged):
    """The step on one replica; being traced a second time is an error."""
    traced_once = chex.assert_max_traces(infogan.step, n=1)
    return on_one_replica(traced_once, averaged)


@pytest.fixture(scope="module")
def three_steps(averaged, step, images):
    """The states before and after each of three steps, with their metrics."""
    states, metrics = [filled(averaged, seed=1)], []
    for i in range(3):
        after, m = step(states[-1], np.roll(images, i, axis=2))
        states.append(after)
        metrics.append(m)
    return states, metrics


def bits(state):
    return dataclasses.replace(state, key=jax.random.key_data(state.key))


def test_the_step_compiles_once_for_all_data_and_seeds(averaged, step, three_steps, images):
    states, _ = three_steps
    step(filled(averaged, seed=2), 255 - images)
    assert [int(state.step) for state in states] == [7, 8, 9, 10]
    for state in states[1:]:
        np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(states[0].key))


def test_a_step_is_a_function_of_its_state_bit_for_bit(step, three_steps, images):
    states, metrics = three_steps
    after, again = step(states[0], images)
    chex.assert_trees_all_equal((bits(after), again), (bits(states[1]), metrics[0]))


def test_the_next_step_draws_other_codes_and_noise(step, three_steps, images):
    states, metrics = three_steps
    later = dataclasses.replace(states[0], step=states[0].step + 1)
    for name, value in step(later, images)[1].items():
        assert value != metrics[0][name], name


@pytest.mark.parametrize(("player", "rate"), [("discriminator", 3e-4), ("generator", 2e-3)])
def test_adam_updates_each_player_at_its_own_rate(three_steps, player, rate):
    states, metrics = three_steps
    adam = states[1].opt[player][0]
    grads = jax.tree.map(lambda mu: mu / (1 - 0.4), adam.mu)
    assert_close(adam.nu, jax.tree.map(lambda g: 0.001 * g**2, grads), tolerance=1e-4)
    # The first step is -rate g / (|g| + 1e-8), whatever the decays.
    expected = jax.tree.map(lambda p, g: p - rate * g / (np.abs(g) + 1e-8), states[0].params[player], grads)
    chex.assert_trees_all_close(states[1].params[player], expected, rtol=0, atol=1e-3 * rate)
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in jax.tree.leaves(grads)))
    np.testing.assert_allclose(metrics[0][f"grad_norm_{player[0]}"], norm, rtol=1e-4)


def test_the_layers_that_are_qs_alone_have_a_rate_of_their_own(averaged, three_steps, images):
    states, _ = three_steps
    rates = dataclasses.replace(averaged.optimizer, lr_recognition=1.5e-3)
    config = dataclasses.replace(averaged, optimizer=rates)
    after, _ = on_one_replica(infogan.step, config)(filled(config, seed=1), images)
    for name, own in after.params["discriminator"].items():
        before, usual = (states[i].params["discriminator"][name] for i in (0, 1))
        times = 5 if name in ("q_head", "q_output") else 1
        expected = jax.tree.map(lambda a, b, times=times: a + times * (b - a), before, usual)
        chex.assert_trees_all_close(own, expected, rtol=0, atol=1e-6)


def test_the_generators_average_is_the_one_computed_by_hand(three_steps):
    states, _ = three_steps

    def generator(state):
        return {"params": state.params["generator"], "stats": state.stats["generator"]}

    average = jax.tree.map(np.asarray, states[0].average)
    for state in states[1:]:
        average = jax.tree.map(lambda a, x: DECAY * a + (1 - DECAY) * x, average, generator(state))
    chex.assert_trees_all_close(states[-1].average, average, rtol=1e-5, atol=1e-6)
    assert largest(jax.tree.map(np.subtract, states[-1].average, generator(states[-1]))) > 1e-2


def test_one_two_and_eight_devices_train_alike(base, images):
    config = objective(base, noise=0.1, invariance=WEIGHT)
    count, state = 10, dataclasses.replace(filled(base), step=jnp.int32(0))
    trained = {}
    for n in (1, 2, 8):
        devices = jax.devices()[:n]
        # Copies: the state is donated.
        placed = jax.device_put(jax.tree.map(jnp.copy, (state, images)), replicated(devices))
        batches = loop.device_batches(config, 0, count, len(images), n)
        after, metrics = loop.compile_steps(config, devices)(*placed, batches)
        trained[n] = jax.tree.map(np.asarray, (after.params, metrics))
    params, metrics = trained[1]
    assert {name: m.shape for name, m in metrics.items()} == dict.fromkeys(metrics, (count,))
    assert metrics["invariance"].max() > 1e-3  # no term is idle
    for n in (2, 8):
        chex.assert_trees_all_close(trained[n][1], metrics, rtol=1e-5, atol=1e-5)
        # Adam divides a gradient by its own size, so one that is zero but for rounding (a bias
        # just before batch norm, a unit that is off) moves its weight by up to the learning
        # rate, and rounding alone says which way. Few weights have such a gradient.
        distance = {
            player: np.concatenate(
                [
                    np.abs(a - b).ravel()
                    for a, b in zip(
                        jax.tree.leaves(params[player]), jax.tree.leaves(trained[n][0][player]), strict=True
                    )
                ]
            )
            for player in params
        }
        for moved in distance.values():
            assert np.mean(moved > 1e-5) < 0.02


# The state before the first step


@pytest.fixture(scope="module")
def initial(averaged):
    """The state before the first step, by seed."""
    compiled = jax.jit(infogan.init, static_argnums=0)
    return lambda seed: compiled(averaged, jax.random.key(seed))


def test_the_first_state(initial, base):
    state, again, other = initial(0), initial(0), initial(2**32 - 1)
    chex.assert_trees_all_equal(bits(state), bits(again))
    assert state.step == 0 and state.step.dtype == jnp.int32
    for path, values in jax.tree.leaves_with_path(state.params):
        if path[-1].key == "kernel":
            found = other.params
            for entry in path:
                found = found[entry.key]
            assert np.all(values != found), jax.tree_util.keystr(path)
    chex.assert_trees_all_equal(state.stats["real"], state.stats["fake"])
    average = {"params": state.params["generator"], "stats": state.stats["generator"]}
    chex.assert_trees_all_equal(state.average, average)
    assert jax.eval_shape(partial(infogan.init, base), jax.random.key(0)).average is None


def test_no_two_arrays_of_the_first_state_share_a_buffer(averaged):
    # The state is donated, and a buffer can't be donated twice. Outside jit, which gives each
    # result a buffer of its own.
    row = Layer("dense", (8, 8, 1), norm=True, activation="sigmoid")
    config = dataclasses.replace(averaged, networks=Networks((row,), (row,)))
    state = infogan.init(config, jax.random.key(0))
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(bits(state))]
    assert len(set(pointers)) == len(pointers)


# Other codes and networks, without compiling them


@pytest.mark.parametrize(
    ("codes", "names", "norm"),
    [
        (LatentCodes(4), [], False),
        (LatentCodes(0, (Categorical(3),)), ["mi_c1", "invariance"], True),
        (LatentCodes(2, (Uniform(), Normal(sigma=0.5), Bernoulli())), ["mi_c1", "mi_c2", "mi_c3"], False),
        (LatentCodes(2, (Categorical(2), Categorical(3))), ["mi_c1", "mi_c2", "invariance"], True),
    ],
    ids=["none", "a category alone", "no category", "two categories"],
)
def test_a_step_keeps_the_shape_of_any_state(base, images, codes, names, norm):
    def rows(table):
        return tuple(dataclasses.replace(row, norm=norm and row.norm) for row in table)

    n = base.networks
    config = dataclasses.replace(
        objective(base, noise=0.1, invariance=WEIGHT if codes.categorical else 0.0),
        codes=codes,
        networks=Networks(rows(n.generator), rows(n.trunk), rows(n.q_head)),
    )
    before = jax.eval_shape(partial(infogan.init, config), jax.random.key(0))
    after, metrics = jax.eval_shape(on_one_replica(infogan.step, config), before, images)
    chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
    assert metrics.keys() == {"loss_d", "loss_g", "grad_norm_d", "grad_norm_g", *names}


def test_pictures_have_keys_of_their_own():
    key = jax.random.key(0)
    keys = [sample_key(key, picture) for picture in (0, 1, 2, 2**31 - 1)]
    keys += [jax.random.fold_in(key, step) for step in (0, 1, 2, 2**31 - 1)]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)


def test_lambda_is_chosen_by_the_kind_of_code(base):
    codes = LatentCodes(1, (Uniform(), Categorical(2), Bernoulli(), Normal()))
    config = dataclasses.replace(objective(base), codes=codes)
    assert infogan.information_weights(config) == {"c1": 0.3, "c2": 0.7, "c3": 0.7, "c4": 0.3}


@pytest.mark.parametrize(("activation", "low"), [("sigmoid", 0.0), ("tanh", -1.0)])
def test_images_become_floats_in_the_generators_range(base, activation, low):
    networks = Networks((Layer("dense", (8, 8, 1), activation=activation),), ())
    config = dataclasses.replace(base, networks=networks)
    pixels = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
    floats = to_float(config, pixels)
    assert floats.dtype == jnp.float32
    np.testing.assert_allclose(np.ravel(floats), low + (1 - low) * np.array([0, 0.2, 1]), atol=1e-6)


# The trained networks


def test_images_are_made_by_the_average_where_there_is_one(averaged):
    state = filled(averaged)
    draw = averaged.codes.sample(jax.random.key(0), 4)
    generate = jax.jit(partial(infogan.generate, averaged))
    images = generate(state, draw)
    assert images.shape == (4, 8, 8, 1)
    # The average as the weights of a run that keeps none.
    plain = dataclasses.replace(
        state,
        params=state.params | {"generator": state.average["params"]},
        stats=state.stats | {"generator": state.average["stats"]},
        average=None,
    )
    np.testing.assert_allclose(images, generate(plain, draw), atol=1e-6)
    assert np.abs(images - generate(dataclasses.replace(state, average=None), draw)).max() > 1e-2


def test_what_is_read_depends_on_the_statistics_and_not_on_the_neighbours(base, state, images):
    floats = to_float(base, images)
    read = jax.jit(partial(infogan.read_images, base))
    c2 = {}
    for name in ("real", "fake"):
        variables = infogan.discriminator_variables(state, name)
        whole, first = read(variables, floats), read(variables, floats[:1])
        assert whole["c1"].shape == whole["c2"].shape == (BATCH,)
        np.testing.assert_array_equal(first["c1"], whole["c1"][:1])
        np.testing.assert_allclose(first["c2"], whole["c2"][:1], rtol=1e-4, atol=1e-5)
        c2[name] = whole["c2"]
    assert np.abs(c2["real"] - c2["fake"]).max() > 1e-2


def test_generated_images_are_recognised_as_in_the_step(base, state, reference):
    values, _, _ = reference
    code_key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[0]
    draw = base.codes.sample(code_key, BATCH)
    variables = infogan.generator_variables(dataclasses.replace(state, average=None))
    generator = Generator(base.networks.generator)
    fake, _ = generator.apply(variables, base.codes.encode(draw), train=True, mutable="batch_stats")
    nats = base.codes.information(infogan.recognize_generated(base, state, fake), draw)
    for name, of_each in nats.items():
        np.testing.assert_allclose(of_each.mean(), values[f"mi_{name}"], rtol=1e-4, atol=1e-5)


def test_a_step_in_bfloat16_keeps_its_state_and_terms_in_float32(base, state, images):
    half = dataclasses.replace(base, model=Model("bfloat16"))
    new, metrics = on_one_replica(infogan.step, half)(state, images)
    chex.assert_trees_all_equal_shapes_and_dtypes(new, state)
    assert {value.dtype for value in metrics.values()} == {jnp.dtype("float32")}
    _, exact = on_one_replica(infogan.step, base)(state, images)
    errors = {name: abs(float(metrics[name] - exact[name])) for name in exact}
    assert all(error < 0.1 * max(1, abs(float(exact[name]))) for name, error in errors.items()), errors
    assert max(errors.values()) > 1e-5
