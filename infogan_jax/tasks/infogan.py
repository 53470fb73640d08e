"""InfoGAN's training step for one replica, and what its trained networks can be asked.

    max_D  V(D, G) = E log D(x) + E log(1 - D(G(z, c)))
    min_G,Q        non-saturating V  -  sum_c lambda_c L_I(c; G, Q)

As in the authors' code the bound is part of D's objective too: D and Q share a trunk, and Q's
weights are in D's optimiser. One forward pass of G serves both players, which are updated
together (the authors' code alternates). Of a plain GAN, whose Q is there to measure L_I, Q alone
has the bound as its objective: the gradient stops where Q leaves the trunk.

References:
    Chen et al. 2016, "InfoGAN", eqs. 1 and 6.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from infogan_jax.codes import Bernoulli, Categorical, CategoricalPosterior
from infogan_jax.config import InfoGANConfig
from infogan_jax.data.affine import affine_warp, draw_affine
from infogan_jax.data.dataset import Dataset
from infogan_jax.images import to_uint8
from infogan_jax.networks.infogan import Q_ALONE, Discriminator, Generator
from infogan_jax.tasks.replica import (
    AXIS,
    INIT_STREAM,
    Metrics,
    Part,
    accumulated,
    norm,
    replica_mean,
    sample_key,
    this_replica,
    to_float,
)
from losses.adversarial import discriminator_logistic, generator_non_saturating
from losses.information import paired_mutual_information, weighted_information

_SAMPLE_ROWS = 10


@flax.struct.dataclass
class State:
    """Everything that a step reads and writes.

    Attributes:
        step: updates so far, int32.
        key: the run's base key; every step's randomness is folded from it.
        params: of the "generator" and the "discriminator" (which holds Q).
        stats: batch norm's running statistics: of the "generator", and the discriminator's on
            "real" and on "fake" images, which are normalised apart.
        opt: the optimisers' states.
        average: the generator's params and stats averaged over steps, or None.
    """

    step: Array
    key: Array
    params: dict[str, Any]
    stats: dict[str, Any]
    opt: dict[str, optax.OptState]
    average: dict[str, Any] | None


def _generator(config: InfoGANConfig) -> Generator:
    return Generator(config.networks.generator, AXIS, config.model.dtype)


def _discriminator(config: InfoGANConfig) -> Discriminator:
    return Discriminator(
        config.networks.trunk,
        config.networks.q_head,
        config.codes.posterior_dim,
        detached=config.objective.plain_gan,
        axis_name=AXIS,
        dtype=config.model.dtype,
    )


def _optimizers(config: InfoGANConfig) -> dict[str, optax.GradientTransformation]:
    o = config.optimizer
    adam = partial(optax.adam, b1=o.beta1)
    discriminator = adam(o.lr_discriminator)
    if o.lr_recognition:
        discriminator = optax.partition(
            {"shared": discriminator, "recognition": adam(o.lr_recognition)},
            lambda params: {name: "recognition" if name in Q_ALONE else "shared" for name in params},
        )
    return {"generator": adam(o.lr_generator), "discriminator": discriminator}


def init(config: InfoGANConfig, key: Array) -> State:
    """The state before the first step.

    Args:
        config: the run's configuration.
        key: the run's base key (typed).
    """
    g_key, d_key = jax.random.split(jax.random.fold_in(key, INIT_STREAM))
    g = _generator(config).init(g_key, jnp.zeros((1, config.codes.input_dim)), train=False)
    d = _discriminator(config).init(d_key, jnp.zeros((1, *config.networks.image_shape)), train=False)
    params = {"generator": g["params"], "discriminator": d["params"]}
    d_stats = d.get("batch_stats", {})
    stats = {
        "generator": g.get("batch_stats", {}),
        "real": d_stats,
        # A copy: the state is donated, and one buffer can't be donated twice.
        "fake": jax.tree.map(jnp.copy, d_stats),
    }
    opt = {name: tx.init(params[name]) for name, tx in _optimizers(config).items()}
    average = None
    if config.optimizer.generator_ema:
        average = jax.tree.map(jnp.copy, {"params": params["generator"], "stats": stats["generator"]})
    return State(jnp.zeros((), jnp.int32), key, params, stats, opt, average)


def step(config: InfoGANConfig, state: State, images: Array) -> tuple[State, Metrics]:
    """One simultaneous update of D with Q and of G, on this replica's share of the batch.

    Runs inside a mapped axis named `AXIS`.

    Args:
        config: the run's configuration.
        state: the state, the same on every replica.
        images: this replica's real images, uint8 [batch / replicas, h, w, c].

    Returns:
        The next state and the step's scalars, both the same on every replica: "loss_d" and
        "loss_g" (the adversarial terms), "mi_<code>" (L_I in nats), "invariance" (nats, where it is
        trained), "grad_norm_d" and "grad_norm_g".
    """
    grads, stats, metrics = gradients(config, state, images)
    updates, opt = {}, {}
    for name, tx in _optimizers(config).items():
        updates[name], opt[name] = tx.update(grads[name], state.opt[name], state.params[name])
    params = optax.apply_updates(state.params, updates)
    average = state.average
    if average is not None:
        new = {"params": params["generator"], "stats": stats["generator"]}
        average = optax.incremental_update(new, average, 1 - config.optimizer.generator_ema)
    metrics |= {
        "grad_norm_d": norm(grads["discriminator"]),
        "grad_norm_g": norm(grads["generator"]),
    }
    return State(state.step + 1, state.key, params, stats, opt, average), metrics


def gradients(
    config: InfoGANConfig, state: State, images: Array
) -> tuple[dict[str, Any], dict[str, Any], Metrics]:
    """The gradients of both players, the new running statistics and the loss terms.

    Arguments and metrics are those of `step`; runs inside a mapped axis named `AXIS`.
    """
    of_part = partial(_gradients_of_part, config, state)
    grads, stats, metrics = accumulated(of_part, images, config.train.microbatch)
    grads, metrics = replica_mean((grads, metrics))
    return grads, stats, metrics


def _gradients_of_part(
    config: InfoGANConfig, state: State, images: Array, part: Part
) -> tuple[dict[str, Any], dict[str, Any], Metrics]:
    """What `gradients` returns, of a microbatch of one replica."""
    objective, codes = config.objective, config.codes
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 5)
    code_key, real_noise_key, fake_noise_key, view_key, view_noise_key = keys
    batch = part.share * jax.lax.axis_size(AXIS)

    def noisy(x: Array, key: Array) -> Array:
        if objective.instance_noise == 0:
            return x
        low, high = config.networks.image_range
        noise = jax.random.normal(key, (batch, *x.shape[1:]))
        noised: Array = x + objective.instance_noise * (high - low) * this_replica(noise, part)
        return noised

    draw = this_replica(codes.sample(code_key, batch), part)
    real = to_float(config, images)
    generator, discriminator = _generator(config), _discriminator(config)

    def discriminate(params: Any, on: Literal["real", "fake"], x: Array) -> tuple[tuple[Array, Array], Any]:
        variables = {"params": params, "batch_stats": state.stats[on]}
        outputs, new = discriminator.apply(variables, x, train=True, mutable="batch_stats")
        return outputs, new.get("batch_stats", {})

    def players(d_params: Any, g_params: Any) -> tuple[tuple[Array, Array], tuple[Any, Metrics]]:
        """The losses of D with Q and of G."""
        variables = {"params": g_params, "batch_stats": state.stats["generator"]}
        fake, g_new = generator.apply(variables, codes.encode(draw), train=True, mutable="batch_stats")
        (real_logits, real_q), real_stats = discriminate(d_params, "real", noisy(real, real_noise_key))
        (fake_logits, fake_q), fake_stats = discriminate(d_params, "fake", noisy(fake, fake_noise_key))

        loss_d = discriminator_logistic(real_logits, fake_logits).mean()
        loss_g = generator_non_saturating(fake_logits).mean()
        nats = codes.information(fake_q, draw, objective.scale_weighting)
        information = {name: values.mean() for name, values in nats.items()}
        bound = weighted_information(information, information_weights(config))
        metrics = {"loss_d": loss_d, "loss_g": loss_g} | {f"mi_{k}": v for k, v in information.items()}

        invariance = 0.0
        if objective.invariance.weight > 0:
            i = objective.invariance
            maps = draw_affine(
                view_key,
                batch,
                rotation=i.rotation,
                scale=i.scale,
                shear=i.shear,
                shift=i.shift,
            )
            view = affine_warp(real, this_replica(maps, part))
            (_, view_q), _ = discriminate(d_params, "real", noisy(view, view_noise_key))
            readings = zip(codes.posteriors(real_q).values(), codes.posteriors(view_q).values(), strict=True)
            metrics["invariance"] = sum(
                paired_mutual_information(a.logits, b.logits, axis_name=AXIS)
                for a, b in readings
                if isinstance(a, CategoricalPosterior) and isinstance(b, CategoricalPosterior)
            )
            invariance = i.weight * metrics["invariance"]

        stats = {"generator": g_new.get("batch_stats", {}), "real": real_stats, "fake": fake_stats}
        return (loss_d - bound - invariance, loss_g - bound), (stats, metrics)

    # One forward pass, two cotangents: D's loss reaches D's weights, G's loss G's.
    _, vjp, (stats, metrics) = jax.vjp(
        players, state.params["discriminator"], state.params["generator"], has_aux=True
    )
    d_grads, _ = vjp((jnp.float32(1), jnp.float32(0)))
    _, g_grads = vjp((jnp.float32(0), jnp.float32(1)))
    return {"discriminator": d_grads, "generator": g_grads}, stats, metrics


def information_weights(config: InfoGANConfig) -> dict[str, float]:
    """Lambda of each code."""
    o = config.objective
    return {
        name: o.lambda_discrete if isinstance(code, Categorical | Bernoulli) else o.lambda_continuous
        for name, code in config.codes.named.items()
    }


def samples(config: InfoGANConfig, dataset: Dataset) -> Callable[[State], tuple[np.ndarray, int]]:
    """Generated images of the same codes at each call: c1 along the columns where there is a code.

    Returns:
        A function of the state: images uint8 [n, h, w, c], and the number of columns.
    """
    key = sample_key(jax.random.key(config.seed), 0)
    if config.codes.codes:
        grid = config.codes.traversal("c1", key, rows=_SAMPLE_ROWS)
        draw, columns = grid.draw, len(grid.columns)
    else:
        draw, columns = config.codes.sample(key, _SAMPLE_ROWS**2), _SAMPLE_ROWS
    make: Any = jax.jit(partial(generate, config))
    return lambda state: (to_uint8(np.asarray(make(state, draw)), *config.networks.image_range), columns)


def describe(config: InfoGANConfig, metrics: Mapping[str, float]) -> str:
    """The two losses, and L_I of each code of its H(c) in nats."""
    bounds = (f"{name} {metrics[f'mi_{name}']:.2f}/{h:.2f}" for name, h in config.codes.entropy.items())
    return "  ".join([f"D {metrics['loss_d']:.2f}  G {metrics['loss_g']:.2f}", "L_I", *bounds])


def generate(config: InfoGANConfig, state: State, draw: dict[str, Array]) -> Array:
    """Images for a draw of the codes, float [n, h, w, c], by G's averaged weights where kept.

    Batch norm uses its running statistics, so an image doesn't depend on its neighbours.
    """
    return make_images(config, generator_variables(state), draw)


def generator_variables(state: State) -> dict[str, Any]:
    """G's "params" and "batch_stats", averaged over steps where the average is kept."""
    if state.average is not None:
        return {"params": state.average["params"], "batch_stats": state.average["stats"]}
    return {"params": state.params["generator"], "batch_stats": state.stats["generator"]}


def make_images(config: InfoGANConfig, variables: dict[str, Any], draw: dict[str, Array]) -> Array:
    """What `generate` does, with G's variables alone."""
    return cast(Array, _generator(config).apply(variables, config.codes.encode(draw), train=False))


def recognize_generated(config: InfoGANConfig, state: State, images: Array) -> Array:
    """Q's output for generated images, float [n, posterior_dim], normalised by their own statistics.

    That is how Q has learned to read them. The running statistics are of earlier steps, whose weights were
    others: L_I by them can fall short by nats (docs/batch-norm.md).

    Args:
        config: the run's configuration.
        state: the state.
        images: float [n, h, w, c] in the range of the generator's output.
    """
    variables = {"params": state.params["discriminator"]}
    discriminator = _discriminator(config).clone(axis_name=None)
    (_, output), _ = discriminator.apply(variables, images, train=True, mutable="batch_stats")
    return cast(Array, output)


def discriminator_variables(state: State, stats: Literal["real", "fake"]) -> dict[str, Any]:
    """The "params" of D with Q, and the "batch_stats" of one kind of images."""
    return {"params": state.params["discriminator"], "batch_stats": state.stats[stats]}


def read_images(config: InfoGANConfig, variables: dict[str, Any], images: Array) -> dict[str, Array]:
    """The likeliest value of each code by name, [n] each, with the variables of D and Q alone.

    Args:
        config: the run's configuration.
        variables: as `discriminator_variables` picks them.
        images: float [n, h, w, c] in the range of the generator's output.
    """
    _, output = _discriminator(config).apply(variables, images, train=False)
    posteriors = config.codes.posteriors(cast(Array, output))
    return {name: posterior.mode for name, posterior in posteriors.items()}
