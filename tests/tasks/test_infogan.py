"""The step against gradients that are written down again from the objective, term by term."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infogan_jax.data.affine import affine_warp, draw_affine
from infogan_jax.networks.infogan import Discriminator, Generator
from infogan_jax.tasks import infogan
from infogan_jax.training import loop
from infogan_jax.training.devices import replicated

BATCH = 16


def with_objective(config, *, weight=0.0, **objective):
    invariance = dataclasses.replace(config.objective.invariance, weight=weight)
    return dataclasses.replace(
        config, objective=dataclasses.replace(config.objective, invariance=invariance, **objective)
    )


def one_replica(function):
    """Runs a function of (state, images) as the only replica of the mapped axis."""
    mapped = jax.vmap(function, in_axes=None, out_axes=None, axis_name=infogan.AXIS, axis_size=1)
    return jax.jit(mapped)


@pytest.fixture(scope="module")
def images(digits):
    return jnp.asarray(digits.train.images[:BATCH])


@pytest.fixture(scope="module")
def state(tiny_config):
    """A state away from the start: its weights are large enough for every term to matter."""
    state = jax.jit(infogan.init, static_argnums=0)(tiny_config, jax.random.key(3))
    params = jax.tree.map(lambda x: 10 * x if x.ndim > 1 else x, state.params)
    return dataclasses.replace(state, params=params, step=jnp.int32(7))


@pytest.fixture(scope="module")
def plain(tiny_config):
    """The tiny set-up without instance noise and invariance."""
    return with_objective(tiny_config, instance_noise=0.0, lambda_discrete=0.7, lambda_continuous=0.2)


@pytest.fixture(scope="module")
def reference(plain, state, images):
    """Every term's gradient for D and for G, by `jax.grad` of the objective as the paper writes it."""
    codes = plain.codes
    code_key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[0]
    draw = codes.sample(code_key, BATCH)
    real = images / jnp.float32(255)

    def generate(g):
        variables = {"params": g, "batch_stats": state.stats["generator"]}
        generator = Generator(plain.networks.generator)
        return generator.apply(variables, codes.encode(draw), train=True, mutable="batch_stats")[0]

    def discriminate(d, x):
        variables = {"params": d, "batch_stats": state.stats["real"]}
        discriminator = Discriminator(plain.networks.trunk, plain.networks.q_head, codes.posterior_dim)
        return discriminator.apply(variables, x, train=True, mutable="batch_stats")[0]

    def adversarial_d(d, g):
        real_logit, fake_logit = discriminate(d, real)[0], discriminate(d, generate(g))[0]
        return -jnp.mean(jnp.log(jax.nn.sigmoid(real_logit)) + jnp.log(1 - jax.nn.sigmoid(fake_logit)))

    def adversarial_g(d, g):
        return -jnp.mean(jnp.log(jax.nn.sigmoid(discriminate(d, generate(g))[0])))

    def bound(name, d, g):
        return jnp.mean(codes.log_prob(discriminate(d, generate(g))[1], draw)[name])

    terms = {"d": adversarial_d, "g": adversarial_g, "c1": partial(bound, "c1"), "c2": partial(bound, "c2")}
    players = state.params["discriminator"], state.params["generator"]

    @jax.jit
    def gradients(d, g):
        return {name: jax.grad(term, argnums=(0, 1))(d, g) for name, term in terms.items()}

    grads = gradients(*players)
    return {
        "discriminator": {name: both[0] for name, both in grads.items()},
        "generator": {name: both[1] for name, both in grads.items()},
    }


@pytest.fixture(scope="module")
def ours(plain, state, images):
    """The step's gradients, statistics and metrics for the plain set-up."""
    return one_replica(partial(infogan.gradients, plain))(state, images)


def combine(terms, **weights):
    return jax.tree.map(
        lambda *leaves: sum(w * x for w, x in zip(weights.values(), leaves, strict=True)),
        *(terms[name] for name in weights),
    )


def assert_close(a, b, tolerance=1e-5):
    scale = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(b))
    chex.assert_trees_all_close(a, b, atol=tolerance * scale, rtol=0)


def test_gradients_are_those_of_the_objective(ours, reference):
    grads = ours[0]
    assert_close(grads["discriminator"], combine(reference["discriminator"], d=1, c1=-0.7, c2=-0.2))
    assert_close(grads["generator"], combine(reference["generator"], g=1, c1=-0.7, c2=-0.2))


def test_the_bound_reaches_the_discriminators_trunk(ours, reference):
    without = combine(reference["discriminator"], d=1)["trunk"]
    differences = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), ours[0]["discriminator"]["trunk"], without)
    assert min(jax.tree.leaves(differences)) > 1e-4


def test_lambda_zero_leaves_the_gradients_of_a_plain_gan(plain, state, images, reference):
    config = with_objective(plain, lambda_discrete=0.0, lambda_continuous=0.0)
    grads, _, _ = one_replica(partial(infogan.gradients, config))(state, images)
    assert_close(grads["generator"], reference["generator"]["g"])
    assert_close(grads["discriminator"], reference["discriminator"]["d"])
    for leaf in jax.tree.leaves([grads["discriminator"][name] for name in ("q_head", "q_output")]):
        assert not leaf.any()


def test_metrics_are_the_terms(plain, state, images, ours):
    metrics = ours[2]
    assert set(metrics) == {"loss_d", "loss_g", "mi_c1", "mi_c2"}
    assert metrics["mi_c1"] <= np.log(4) + 1e-6
    for name in ("loss_d", "loss_g"):
        assert metrics[name] > 0


def test_real_and_generated_batches_are_normalised_apart(state, ours):
    stats = ours[1]
    assert jax.tree.structure(stats) == jax.tree.structure(state.stats)
    differences = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), stats["real"], stats["fake"])
    assert min(jax.tree.leaves(differences)) > 0


def test_invariance_reaches_the_trunk_but_neither_g_nor_the_continuous_codes(plain, state, images, ours):
    config = with_objective(plain, weight=0.5)
    grads, stats, metrics = one_replica(partial(infogan.gradients, config))(state, images)
    assert_close(grads["generator"], ours[0]["generator"])
    assert_close(stats, ours[1])
    with_term, without = grads["discriminator"], ours[0]["discriminator"]
    added = jax.tree.map(lambda a, b: jnp.abs(a - b), with_term, without)
    assert min(float(x.max()) for x in jax.tree.leaves(added["trunk"])) > 1e-5
    # Q's output: four logits of c1, then the mean and log-scale of c2.
    assert added["q_output"]["kernel"][:, :4].max() > 1e-4
    assert added["q_output"]["kernel"][:, 4:].max() < 1e-6
    assert 0 < metrics["invariance"] < np.log(4)


def test_invariance_is_the_information_between_the_two_readings(plain, state, images):
    config = with_objective(plain, weight=0.5)
    metrics = one_replica(partial(infogan.gradients, config))(state, images)[2]
    view_key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[3]
    ranges = dataclasses.asdict(config.objective.invariance)
    ranges.pop("weight")
    real = images / jnp.float32(255)
    view = affine_warp(real, draw_affine(view_key, BATCH, **ranges))
    discriminator = Discriminator(config.networks.trunk, config.networks.q_head, config.codes.posterior_dim)

    def probabilities(x):
        variables = {"params": state.params["discriminator"], "batch_stats": state.stats["real"]}
        _, output = discriminator.apply(variables, x, train=True, mutable="batch_stats")[0]
        return np.asarray(jax.nn.softmax(output[:, :4]), np.float64)

    joint = np.einsum("nk,nl->kl", probabilities(real), probabilities(view)) / BATCH
    joint = (joint + joint.T) / 2
    marginals = np.outer(joint.sum(1), joint.sum(0))
    assert metrics["invariance"] == pytest.approx(np.sum(joint * np.log(joint / marginals)), rel=1e-3)


def test_instance_noise_disturbs_what_d_sees(plain, state, images, ours):
    config = with_objective(plain, instance_noise=0.3)
    _, stats, metrics = one_replica(partial(infogan.gradients, config))(state, images)
    assert metrics["loss_d"] != ours[2]["loss_d"]
    # G's own images are not disturbed.
    chex.assert_trees_all_equal(stats["generator"], ours[1]["generator"])


def test_the_step_compiles_once_whatever_the_data(tiny_config, digits):
    step = chex.assert_max_traces(partial(infogan.step, tiny_config), n=1)
    step = one_replica(step)
    for seed in range(3):
        state = jax.jit(infogan.init, static_argnums=0)(tiny_config, jax.random.key(seed))
        for start in (0, BATCH):
            state, _ = step(state, jnp.asarray(digits.train.images[start : start + BATCH]))
        assert state.step == 2


def test_one_two_and_eight_devices_agree(tiny_config, digits):
    results = {}
    for count in (1, 2, 8):
        devices = jax.devices()[:count]
        images = jax.device_put(digits.train.images, replicated(devices))
        batches = loop.device_batches(tiny_config, 0, 10, len(images), count)
        run = loop.compile_steps(tiny_config, devices)
        state, metrics = run(loop.initial_state(tiny_config, devices), images, batches)
        results[count] = jax.device_get((metrics, state.params, state.stats))
    metrics, params, stats = results[1]
    assert metrics["loss_d"].shape == (10,)
    for count in (2, 8):
        chex.assert_trees_all_close(results[count][0], metrics, atol=1e-5, rtol=1e-5)
        # Adam divides by the gradient's own size: where that is rounding error, so is the update's
        # direction, and a weight may differ by a few learning rates (1e-3). They are few.
        for ours, theirs in zip(
            jax.tree.leaves((params, stats)), jax.tree.leaves(results[count][1:]), strict=True
        ):
            assert np.mean(np.abs(ours - theirs) > 1e-5) < 0.02
            np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_a_step_is_adam_on_the_gradients_and_moves_on(plain, state, images, ours):
    config = dataclasses.replace(plain, optimizer=dataclasses.replace(plain.optimizer, generator_ema=0.9))
    average = {"params": state.params["generator"], "stats": state.stats["generator"]}
    start = dataclasses.replace(state, average=average)
    step = one_replica(partial(infogan.step, config))
    after, metrics = step(start, images)
    assert after.step == state.step + 1
    rates = {"generator": 1e-3, "discriminator": 2e-4}
    for player, rate in rates.items():
        tx = optax.adam(rate, b1=0.5)
        params = state.params[player]
        updates, _ = tx.update(ours[0][player], tx.init(params), params)
        chex.assert_trees_all_close(after.params[player], optax.apply_updates(params, updates), atol=1e-6)
    new = {"params": after.params["generator"], "stats": after.stats["generator"]}
    expected = jax.tree.map(lambda old, x: 0.9 * old + 0.1 * x, average, new)
    chex.assert_trees_all_close(after.average, expected, rtol=1e-5, atol=1e-7)
    norm = np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(ours[0]["generator"])))
    assert metrics["grad_norm_g"] == pytest.approx(norm, rel=1e-4)
    # The same state gives the same step; the next one draws other codes.
    again, _ = step(start, images)
    chex.assert_trees_all_equal(after.params, again.params)
    later, _ = step(dataclasses.replace(start, step=start.step + 1), images)
    assert not np.array_equal(
        later.stats["generator"]["table"]["BatchNorm_0"]["mean"],
        after.stats["generator"]["table"]["BatchNorm_0"]["mean"],
    )


def test_generating_with_the_average_and_reading_do_not_depend_on_neighbours(plain, state, images):
    draw = plain.codes.sample(jax.random.key(0), 4)
    average = jax.tree.map(
        jnp.zeros_like, {"params": state.params["generator"], "stats": state.stats["generator"]}
    )
    grey = infogan.generate(plain, dataclasses.replace(state, average=average), draw)
    np.testing.assert_array_equal(grey, np.full((4, 8, 8, 1), 0.5, np.float32))
    full = infogan.generate(plain, state, draw)
    first = infogan.generate(plain, state, jax.tree.map(lambda x: x[:1], draw))
    np.testing.assert_allclose(first, full[:1], rtol=1e-5, atol=1e-6)
    x = infogan.to_float(plain, images)
    assert x.min() == 0 and x.max() == 1
    read = infogan.recognize(plain, state, x, "real")
    np.testing.assert_allclose(infogan.recognize(plain, state, x[:1], "real"), read[:1], rtol=1e-4, atol=1e-5)
