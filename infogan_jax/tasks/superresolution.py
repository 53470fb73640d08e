"""The step of a super-resolver, for one replica: SRResNet, which has no discriminator, and SRGAN.

    min_G  E content(G(I_LR), I_HR) + weight (-log D(G(I_LR)))
    max_D  E log D(I_HR) + E log(1 - D(G(I_LR)))

I_HR are random crops of the images, I_LR the same made small by the bicubic filter. One forward pass of G
serves both players, which are updated together where the paper alternates.

References:
    Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
    network", eqs. 1 to 6 and section 3.2.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from infogan_jax.config import Content, SuperResolutionConfig
from infogan_jax.data.bicubic import enlarge, low_resolution
from infogan_jax.data.crops import crop, draw_crops
from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import UserError
from infogan_jax.images import ROUNDING_ERROR, to_uint8
from infogan_jax.networks.features import phi
from infogan_jax.networks.features.efficientnet_lite0 import EfficientNetLite0
from infogan_jax.networks.features.vgg19 import VGG19
from infogan_jax.networks.superresolution import Discriminator, Generator
from infogan_jax.tasks.replica import (
    AXIS,
    INIT_STREAM,
    Metrics,
    Part,
    accumulated,
    norm,
    replica_mean,
    this_replica,
    to_float,
)
from losses import adversarial, perceptual, reconstruction

_SAMPLES = 6
_SAMPLE_SIDE = 96


@flax.struct.dataclass
class State:
    """Everything that a step reads and writes.

    Attributes:
        step: updates so far, int32.
        key: the run's base key; every step's randomness is folded from it.
        params: of the "generator" and, where there is an adversarial term, the "discriminator".
        stats: the generator's running statistics of batch norm. The discriminator's are not kept: after the
            training nothing asks it.
        opt: the optimisers' states.
        start: "params" and "stats" of the generator of the earlier run that this one began with, for the
            comparison at the end; None where there is none.
    """

    step: Array
    key: Array
    params: dict[str, Any]
    stats: Any
    opt: dict[str, optax.OptState]
    start: dict[str, Any] | None


def _generator(config: SuperResolutionConfig) -> Generator:
    return Generator(config.networks, AXIS, config.model.dtype)


def _discriminator(config: SuperResolutionConfig) -> Discriminator:
    return Discriminator(config.networks, AXIS, config.model.dtype)


def _optimizer(config: SuperResolutionConfig) -> optax.GradientTransformation:
    drops = {config.drop_after: 0.1} if config.drop_after else {}
    return optax.adam(optax.piecewise_constant_schedule(config.learning_rate, drops))


def init(config: SuperResolutionConfig, key: Array) -> State:
    """The state before the first step, but for what `take_over` takes.

    Args:
        config: the run's configuration.
        key: the run's base key (typed).
    """
    g_key, d_key = jax.random.split(jax.random.fold_in(key, INIT_STREAM))
    # Colour: what the feature networks and the measures want.
    g = _generator(config).init(g_key, jnp.zeros((1, 1, 1, 3)), train=False)
    params = {"generator": g["params"]}
    if config.adversarial_weight:
        params["discriminator"] = _discriminator(config).init(d_key, jnp.zeros((1, 1, 1, 3)), train=False)[
            "params"
        ]
    opt = {name: _optimizer(config).init(each) for name, each in params.items()}
    start = {"params": g["params"], "stats": g["batch_stats"]} if config.init_from else None
    # A copy: the state is donated, and one buffer can't be donated twice.
    return State(jnp.zeros((), jnp.int32), key, params, g["batch_stats"], opt, jax.tree.map(jnp.copy, start))


def take_over(state: State, earlier: State) -> State:
    """The first state of a run, with the generator of an earlier one."""
    params, stats = earlier.params["generator"], earlier.stats
    return dataclasses.replace(
        state,
        params=state.params | {"generator": params},
        stats=stats,
        start=jax.tree.map(jnp.copy, {"params": params, "stats": stats}),
    )


def constants(config: SuperResolutionConfig) -> tuple[Any, ...]:
    """The weights of the feature network, where the content error has one.

    Raises:
        UserError: they aren't there or can't be used, or the network has no such layer.
    """
    if not config.content.has_features:
        return ()
    return (load_features(config.content).params,)


def load_features(content: Content) -> VGG19 | EfficientNetLite0:
    """The feature network of a content error by features.

    Raises:
        UserError: its weights aren't there, can't be used, or aren't those that the configuration notes; or
            the network has no such layer.
    """
    loaded = phi.load(content.error, content.layer, content.weights)
    if content.weights_sha256 not in ("", loaded.sha256):
        raise UserError(
            f"{content.weights or f'the weights of {content.error}'} has the SHA-256 {loaded.sha256}, but "
            f"--content.weights-sha256 is {content.weights_sha256}: put the file of that hash in its place"
        )
    return loaded


def content_error(config: SuperResolutionConfig, made: Array, true: Array, *features: Any) -> Array:
    """The content error that the configuration names, one value for each image.

    Args:
        config: the run's configuration.
        made: enlarged images, float [batch, height, width, 3] in [-1, 1] or near it.
        true: the true images, of that shape.
        *features: what `constants` returns.

    Returns:
        Float [batch].
    """
    content = config.content
    if content.error in ("l1", "l2"):
        of_pixels = reconstruction.l1_mean if content.error == "l1" else perceptual.pixel_content_error
        error: Array = of_pixels(made, true)
        return error

    def maps(images: Array) -> Array:
        (params,) = features
        return phi.features(content.error, content.layer, params, _unit(images))

    return perceptual.feature_content_error(maps, made, true, rescale=content.rescale)


def _unit(images: Array) -> Array:
    """From [-1, 1] to [0, 1]."""
    return (images + 1) / 2


def step(config: SuperResolutionConfig, state: State, images: Array, *features: Any) -> tuple[State, Metrics]:
    """One update of G and, where there is one, simultaneously of D; runs inside an axis named `replica.AXIS`.

    Args:
        config: the run's configuration.
        state: the state, the same on every replica.
        images: this replica's images, uint8 [batch / replicas, h, w, 3].
        *features: what `constants` returns.

    Returns:
        The next state and the step's scalars, both the same on every replica: "content", the content error;
        "psnr" of the crops in dB; with an adversarial term "loss_g" (the sum), "loss_d" and "adversarial"
        (both in nats); "grad_norm_g" and "grad_norm_d".
    """
    grads, stats, metrics = gradients(config, state, images, *features)
    updates, opt = {}, {}
    for name, each in grads.items():
        updates[name], opt[name] = _optimizer(config).update(each, state.opt[name])
        metrics[f"grad_norm_{name[0]}"] = norm(each)
    params = optax.apply_updates(state.params, updates)
    return dataclasses.replace(state, step=state.step + 1, params=params, stats=stats, opt=opt), metrics


def gradients(
    config: SuperResolutionConfig, state: State, images: Array, *features: Any
) -> tuple[dict[str, Any], Any, Metrics]:
    """The gradients of each player, the generator's new running statistics and the loss terms.

    Arguments and metrics are those of `step`; runs inside a mapped axis named `AXIS`.
    """

    def of_part(images: Array, part: Part) -> tuple[dict[str, Any], Any, Metrics]:
        return _gradients_of_part(config, state, images, part, *features)

    grads, stats, metrics = accumulated(of_part, images, config.train.microbatch)
    grads, metrics = replica_mean((grads, metrics))
    return grads, stats, metrics


def _gradients_of_part(
    config: SuperResolutionConfig, state: State, images: Array, part: Part, *features: Any
) -> tuple[dict[str, Any], Any, Metrics]:
    """What `gradients` returns, of a microbatch of one replica."""
    low, high = _pairs(config, jax.random.fold_in(state.key, state.step), images, part)
    generator, discriminator = _generator(config), _discriminator(config)

    def judge(params: Any, x: Array) -> Array:
        # Real and made images are normalised apart. Running statistics start anew, and are let go.
        logits: Array = discriminator.apply({"params": params}, x, train=True, mutable="batch_stats")[0]
        return logits

    def players(params: dict[str, Any]) -> tuple[dict[str, Array], tuple[Any, Metrics]]:
        """The loss of each."""
        variables = {"params": params["generator"], "batch_stats": state.stats}
        made, new = generator.apply(variables, low, train=True, mutable="batch_stats")
        content = content_error(config, made, high, *features)
        metrics = {"content": content.mean(), "psnr": _psnr(made, high).mean()}
        if "discriminator" not in params:
            return {"generator": metrics["content"]}, (new["batch_stats"], metrics)
        real_logits, fake_logits = (judge(params["discriminator"], x) for x in (high, made))
        weight = config.adversarial_weight
        loss_g = perceptual.perceptual_error(content, fake_logits, adversarial_weight=weight).mean()
        loss_d = adversarial.discriminator_logistic(real_logits, fake_logits).mean()
        metrics |= {
            "loss_g": loss_g,
            "loss_d": loss_d,
            "adversarial": adversarial.generator_non_saturating(fake_logits).mean(),
        }
        return {"generator": loss_g, "discriminator": loss_d}, (new["batch_stats"], metrics)

    # One forward pass, a cotangent for each player: a player's loss reaches that player's weights.
    _, vjp, (stats, metrics) = jax.vjp(players, state.params, has_aux=True)
    grads = {}
    for name in state.params:
        (of_all,) = vjp({each: jnp.float32(each == name) for each in state.params})
        grads[name] = of_all[name]
    return grads, stats, metrics


def _pairs(config: SuperResolutionConfig, key: Array, images: Array, part: Part) -> tuple[Array, Array]:
    """Crops in low resolution, float in [0, 1], and in high resolution, float in [-1, 1]."""
    factor = config.networks.factor
    side, batch = factor * config.low_crop, part.share * jax.lax.axis_size(AXIS)
    _, height, width, _ = images.shape
    drawn = draw_crops(key, batch, image=(height, width), side=side)
    high = crop(images, this_replica(drawn, part), side=side)
    low = low_resolution(high, factor)
    return low.astype(jnp.float32) / 255, to_float(config, high)


def _psnr(made: Array, true: Array) -> Array:
    """Peak signal-to-noise ratio in dB of images in [-1, 1], by all their numbers, [batch].

    A black crop can be made without any error: by `ROUNDING_ERROR` its ratio is finite all the same.
    """
    return -10 * jnp.log10(jnp.maximum(reconstruction.l2_mean(_unit(made), _unit(true)), ROUNDING_ERROR))


def super_resolve(config: SuperResolutionConfig, params: Any, stats: Any, images: Array) -> Array:
    """Enlarges images, by running statistics.

    Args:
        config: the run's configuration.
        params: the generator's: `State.params["generator"]`, or those of `State.start`.
        stats: the generator's running statistics.
        images: of low resolution, uint8 [batch, height, width, 3].

    Returns:
        Float32 [batch, factor height, factor width, 3], black to white in [-1, 1], and not clipped.
    """
    variables = {"params": params, "batch_stats": stats}
    made = _generator(config).apply(variables, images.astype(jnp.float32) / 255, train=False)
    return cast(Array, made)


def samples(config: SuperResolutionConfig, dataset: Dataset) -> Callable[[State], tuple[np.ndarray, int]]:
    """The middles of held-out images, as `rows_of_ways` lays them out.

    Returns:
        A function of the state: images uint8 [n, h, w, c], and the number of columns.
    """
    return rows_of_ways(config, middles(config, spread(dataset.test.images)))


def spread(items: Any) -> Any:
    """The few of many, spread evenly over all, that a sheet of crops shows."""
    return items[:: max(len(items) // _SAMPLES, 1)][:_SAMPLES]


def middles(config: SuperResolutionConfig, images: Sequence[np.ndarray]) -> np.ndarray:
    """Squares from the images' middles.

    Args:
        config: the run's configuration.
        images: uint8 [h, w, 3], of any sizes.

    Returns:
        uint8 [n, side, side, 3], the side a multiple of the factor.
    """
    factor = config.networks.factor
    side = min(_SAMPLE_SIDE, *(length for image in images for length in image.shape[:2])) // factor * factor

    def middle(image: np.ndarray) -> np.ndarray:
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        return image[top : top + side, left : left + side]

    return np.stack([middle(image) for image in images])


def rows_of_ways(
    config: SuperResolutionConfig, high: np.ndarray
) -> Callable[[State], tuple[np.ndarray, int]]:
    """Images in rows: nearest pixels, bicubic, (the start,) what G makes, the truth.

    Args:
        config: the run's configuration.
        high: uint8 [n, h, w, 3], height and width multiples of the factor.

    Returns:
        A function of the state: images uint8 [rows n, h, w, 3], and n.
    """
    factor = config.networks.factor
    low = np.asarray(low_resolution(high, factor))
    nearest = low.repeat(factor, axis=1).repeat(factor, axis=2)
    bicubic = to_uint8(np.asarray(enlarge(low.astype(np.float32), factor)), 0, 255)
    apply: Any = jax.jit(partial(super_resolve, config))

    def made(params: Any, stats: Any) -> np.ndarray:
        return to_uint8(np.asarray(apply(params, stats, low)), *config.networks.image_range)

    def make(state: State) -> tuple[np.ndarray, int]:
        start = [made(**state.start)] if state.start else []
        own = made(state.params["generator"], state.stats)
        return np.concatenate([nearest, bicubic, *start, own, high]), len(high)

    return make


def describe(config: SuperResolutionConfig, metrics: Mapping[str, float]) -> str:
    """The content error, the crops' PSNR, and D's and G's terms."""
    words = f"{config.content.error} {metrics['content']:.4g}  PSNR {metrics['psnr']:.2f} dB"
    if "loss_d" in metrics:
        words += f"  D {metrics['loss_d']:.2f}  G {metrics['adversarial']:.2f}"
    return words
