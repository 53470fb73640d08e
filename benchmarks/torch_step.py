"""InfoGAN's training step in PyTorch: the same networks, losses and schedule, for comparison.

The modules are built from the tables that the Flax modules read. As in `infogan_jax.tasks.infogan`,
one forward pass of G serves both players, real and fake images are normalised apart, and the
players are updated together. There is no code invariance and no instance noise.

Two differences don't reach a loss or a gradient of training: D's batch norm keeps one pair of
running statistics, updated by real and by fake images, and PyTorch's running variance has Bessel's
correction. The normalisation itself divides by n in both systems.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infogan_jax.codes import LOG_SCALE_LIMIT, Bernoulli, Categorical, Code, Uniform
from infogan_jax.config import InfoGANConfig
from infogan_jax.networks.tables import KERNEL_SIZE, Layer
from infogan_jax.tasks.infogan import State, information_weights

Shape = tuple[int, ...]

# In place, as PyTorch's DCGAN example does: no backward pass here needs what they overwrite.
_ACTIVATIONS = {
    "relu": lambda: nn.ReLU(inplace=True),
    "lrelu": lambda: nn.LeakyReLU(0.1, inplace=True),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Generator(nn.Module):
    """G: noise and codes [batch, input_dim] to images.

    `torch.compile` takes no notice of a bare `nn.Sequential` that is asked to `compile` itself.
    """

    def __init__(self, config: InfoGANConfig) -> None:
        super().__init__()
        self.layers = _sequential(config.networks.generator, (config.codes.input_dim,))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)


class Discriminator(nn.Module):
    """D and Q on a shared trunk: images to D's logits [batch] and Q's output [batch, posterior_dim]."""

    def __init__(self, config: InfoGANConfig) -> None:
        super().__init__()
        networks = config.networks
        features = _last(networks.trunk, networks.image_shape)
        self.trunk = _sequential(networks.trunk, networks.image_shape)
        self.d_logit = nn.Linear(math.prod(features), 1)
        self.q_head = _sequential(networks.q_head, features)
        self.q_output = nn.Linear(math.prod(_last(networks.q_head, features)), config.codes.posterior_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        logits = self.d_logit(features.flatten(1))[:, 0]
        return logits, self.q_output(self.q_head(features).flatten(1))


class Peer:
    """Both players with their optimisers.

    Args:
      config: an experiment's configuration.
      channels_last: images and kernels lie in memory as [batch, height, width, channels].
      compiled: both networks go through `torch.compile`.
      device: where the networks are.

    Raises:
      ValueError: as `check` says.
    """

    def __init__(
        self,
        config: InfoGANConfig,
        *,
        channels_last: bool = False,
        compiled: bool = False,
        device: str = "cpu",
    ) -> None:
        check(config)
        self.config = config
        self.device = device
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        for module in (*self.generator.modules(), *self.discriminator.modules()):
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        for network in (self.generator, self.discriminator):
            network.to(device)
            if channels_last:
                network.to(memory_format=self.layout)
        if compiled:
            self.generator.compile()
            self.discriminator.compile()
        o = config.optimizer
        self.optimizers = {
            name: torch.optim.Adam(
                module.parameters(), rate, (o.beta1, 0.999), fused=True, capturable=device != "cpu"
            )
            for name, module, rate in (
                ("discriminator", self.discriminator, o.lr_discriminator),
                ("generator", self.generator, o.lr_generator),
            )
        }

    def step(self, images: Tensor, draw: dict[str, Tensor]) -> dict[str, Tensor]:
        """One simultaneous update; arguments and result are those of `gradients`."""
        grads, metrics = self.gradients(images, draw)
        for name, module in (("discriminator", self.discriminator), ("generator", self.generator)):
            for parameter, grad in zip(module.parameters(), grads[name], strict=True):
                parameter.grad = grad
            self.optimizers[name].step()
        return metrics

    def captured(self, batch: int) -> Callable[[Tensor], dict[str, Tensor]]:
        """The whole step with its draw as one CUDA graph: images to loss terms, valid until the next call.

        Each call launches the same kernels, with no Python between them.
        """
        images = torch.zeros(
            (batch, *_channels_first(self.config.networks.image_shape)), dtype=torch.uint8, device=self.device
        )

        def step() -> dict[str, Tensor]:
            return self.step(images, sample(self.config, batch, self.device))

        # What a library does on its first calls, as choosing kernels, can't be captured.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            metrics = step()

        def replay(batch_images: Tensor) -> dict[str, Tensor]:
            images.copy_(batch_images)
            graph.replay()
            return metrics

        return replay

    def gradients(
        self, images: Tensor, draw: dict[str, Tensor]
    ) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor]]:
        """The gradients of both players, in the order of their parameters, and the loss terms.

        Args:
          images: real images, uint8 [batch, channels, height, width].
          draw: the codes and noise that the fake images are made from.
        """
        codes = self.config.codes.named
        low, high = self.config.networks.image_range
        real = (low + (high - low) / 255 * images.float()).contiguous(memory_format=self.layout)
        fake = self.generator(_encode(codes, draw))
        real_logits, _ = self.discriminator(real)
        fake_logits, q_output = self.discriminator(fake)

        loss_d = (F.softplus(-real_logits) + F.softplus(fake_logits)).mean()
        loss_g = F.softplus(-fake_logits).mean()
        outputs = q_output.split([code.posterior_dim for code in codes.values()], dim=1)
        information = {
            name: _log_prob(code, output, draw[name], self.config.objective.scale_weighting).mean()
            + code.entropy
            for (name, code), output in zip(codes.items(), outputs, strict=True)
        }
        weights = information_weights(self.config)
        bound = sum(weights[name] * information[name] for name in codes)

        # Asked for one player's weights, eager autograd makes no gradient that only the other's need. The
        # backward pass that `torch.compile` makes of a network is one program with all of them.
        grads = {
            "discriminator": torch.autograd.grad(
                loss_d - bound, tuple(self.discriminator.parameters()), retain_graph=True
            ),
            "generator": torch.autograd.grad(loss_g - bound, tuple(self.generator.parameters())),
        }
        metrics = {"loss_d": loss_d, "loss_g": loss_g} | {f"mi_{k}": v for k, v in information.items()}
        return grads, {name: value.detach() for name, value in metrics.items()}


def check(config: InfoGANConfig) -> None:
    """Refuses what isn't here.

    Raises:
      ValueError: the configuration asks for it.
    """
    objective = config.objective
    if objective.invariance.weight or objective.instance_noise or config.optimizer.generator_ema:
        raise ValueError("code invariance, instance noise and averaged weights are not in the peer")
    if objective.plain_gan:
        raise ValueError("the peer's Q always trains the trunk: a plain GAN is not in it")
    if config.optimizer.lr_recognition:
        raise ValueError("the peer's Q has D's learning rate")
    if config.model.dtype != "float32":
        raise ValueError("the peer computes in float32")
    if not config.codes.codes:
        raise ValueError("the peer needs a latent code")


def sample(config: InfoGANConfig, n: int, device: str = "cpu") -> dict[str, Tensor]:
    """Draws ``n`` noise vectors and codes from their priors."""
    codes = config.codes
    draw = {"noise": _sample(codes.noise, (n, codes.noise_dim), device)}
    return draw | {name: _sample(code, (n,), device) for name, code in codes.named.items()}


def load_weights(peer: Peer, state: State) -> None:
    """Copies a state's weights and running statistics (of D, those on real images) into the peer."""
    weights = {name: torch_layout(peer.config, name, state.params[name]) for name in state.params}
    stats = {
        "generator": torch_layout(peer.config, "generator", state.stats["generator"]),
        "discriminator": torch_layout(peer.config, "discriminator", state.stats["real"]),
    }
    for name, module in (("discriminator", peer.discriminator), ("generator", peer.generator)):
        running = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        with torch.no_grad():
            for old, new in zip([*module.parameters(), *running], weights[name] + stats[name], strict=True):
                old.copy_(torch.tensor(new))


def torch_layout(config: InfoGANConfig, player: str, tree: dict[str, Any]) -> list[np.ndarray]:
    """The leaves of Flax's tree of a player, in the layout and the order of the peer's.

    Args:
      config: the configuration.
      player: "generator" or "discriminator".
      tree: the player's weights, gradients or running statistics.
    """
    networks = config.networks
    if player == "generator":
        return _table_layout(networks.generator, (config.codes.input_dim,), tree.get("table", {}))
    features = _last(networks.trunk, networks.image_shape)
    hidden = _last(networks.q_head, features)
    return [
        *_table_layout(networks.trunk, networks.image_shape, tree.get("trunk", {})),
        *_dense_layout(tree.get("d_logit", {}), features, (1,)),
        *_table_layout(networks.q_head, features, tree.get("q_head", {})),
        *_dense_layout(tree.get("q_output", {}), hidden, (config.codes.posterior_dim,)),
    ]


def _rows(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer with the shape, channels last, of one example before and after it."""
    for layer in layers:
        before = shape
        if layer.kind == "dense":
            shape = layer.features
        else:
            stride = layer.stride
            whole = layer.kind == "up" or before[0] % stride == before[1] % stride == 0
            if stride not in (1, 2) or not whole:
                raise ValueError(f"{layer} on {before}: the peer has strides 1 and 2, and even sizes for 2")
            height, width = (n * stride if layer.kind == "up" else n // stride for n in before[:2])
            shape = (height, width, *layer.features)
        yield layer, before, shape


def _last(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    return [shape, *(after for _, _, after in _rows(layers, shape))][-1]


def _sequential(layers: tuple[Layer, ...], shape: Shape) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer, before, after in _rows(layers, shape):
        bias = not layer.norm
        is_image = len(after) == 3
        if layer.kind == "dense":
            modules += [nn.Flatten(), nn.Linear(math.prod(before), math.prod(after), bias)]
            if is_image:
                modules.append(nn.Unflatten(1, _channels_first(after)))
        else:
            convolution = nn.Conv2d if layer.kind == "conv" else nn.ConvTranspose2d
            # "SAME" is 1 pixel on each side; at stride 1 there is one more below and to the right.
            padding = 1
            if layer.kind == "conv" and layer.stride == 1:
                modules.append(nn.ZeroPad2d((1, 2, 1, 2)))
                padding = 0
            modules.append(convolution(before[-1], after[-1], KERNEL_SIZE, layer.stride, padding, bias=bias))
            if layer.kind == "up" and layer.stride == 1:
                modules.append(_WithoutLast())
        if layer.norm:
            norm = nn.BatchNorm2d if is_image else nn.BatchNorm1d
            modules.append(norm(after[-1], momentum=0.01))
        modules.append(_ACTIVATIONS[layer.activation]())
    return nn.Sequential(*modules)


class _WithoutLast(nn.Module):
    """Leaves out the last row and column, which a transposed convolution of stride 1 has too many."""

    def forward(self, images: Tensor) -> Tensor:
        return images[..., :-1, :-1]


def _channels_first(shape: Shape) -> Shape:
    return (shape[-1], *shape[:-1])


def _table_layout(layers: tuple[Layer, ...], shape: Shape, tree: dict[str, Any]) -> list[np.ndarray]:
    leaves = []
    counts = {"Dense": 0, "_Convolution": 0, "BatchNorm": 0}

    def following(kind: str) -> dict[str, Any]:
        """The next of Flax's automatic names."""
        counts[kind] += 1
        return tree.get(f"{kind}_{counts[kind] - 1}", {})

    for layer, before, after in _rows(layers, shape):
        if layer.kind == "dense":
            leaves += _dense_layout(following("Dense"), before, after)
        else:
            leaves += _convolution_layout(following("_Convolution"), layer)
        if layer.norm:
            norm = following("BatchNorm")
            leaves += [np.array(norm[k]) for k in ("scale", "bias", "mean", "var") if k in norm]
    return leaves


def _dense_layout(tree: dict[str, Any], before: Shape, after: Shape) -> list[np.ndarray]:
    """[h w c, h' w' c'] to [c' h' w', c h w]; a vector has no height and width."""
    leaves = []
    n, m = len(before), len(after)
    inputs, outputs = _channels_first(tuple(range(n))), _channels_first(tuple(range(n, n + m)))
    if "kernel" in tree:
        kernel = np.asarray(tree["kernel"]).reshape(*before, *after).transpose(*outputs, *inputs)
        leaves.append(kernel.reshape(math.prod(after), math.prod(before)))
    if "bias" in tree:
        bias = np.array(tree["bias"]).reshape(after)
        leaves.append(bias.transpose(_channels_first(tuple(range(m)))).reshape(-1))
    return leaves


def _convolution_layout(tree: dict[str, Any], layer: Layer) -> list[np.ndarray]:
    """[h, w, in, out] to [out, in, h, w], or for a transposed convolution [in, out, h, w], turned."""
    leaves = []
    if "kernel" in tree:
        kernel = np.array(tree["kernel"])
        # lax.conv_transpose correlates the spread image with the kernel, ConvTranspose2d convolves.
        # Their paddings then are the same: 4 - 1 - 1 zeros on each side of the spread image.
        kernel = (
            kernel.transpose(3, 2, 0, 1) if layer.kind == "conv" else kernel[::-1, ::-1].transpose(2, 3, 0, 1)
        )
        leaves.append(np.ascontiguousarray(kernel))
    if "bias" in tree:
        leaves.append(np.array(tree["bias"]).reshape(-1))
    return leaves


def _sample(code: Code, shape: Shape, device: str) -> Tensor:
    if isinstance(code, Categorical):
        return torch.randint(code.categories, shape, device=device)
    if isinstance(code, Bernoulli):
        return torch.bernoulli(torch.full(shape, code.p, device=device))
    if isinstance(code, Uniform):
        return torch.empty(shape, device=device).uniform_(code.low, code.high)
    return torch.empty(shape, device=device).normal_(code.mean, code.std)


def _encode(codes: dict[str, Code], draw: dict[str, Tensor]) -> Tensor:
    parts = [draw["noise"]]
    for name, code in codes.items():
        if isinstance(code, Categorical):
            parts.append(F.one_hot(draw[name], code.categories).float())
        else:
            parts.append(draw[name][:, None])
    return torch.cat(parts, dim=1)


def _log_prob(code: Code, output: Tensor, value: Tensor, scale_weighting: float) -> Tensor:
    """Log Q(c | x) in nats, [batch]; its gradients by `losses.scale_weighted`."""
    if isinstance(code, Categorical):
        return -F.cross_entropy(output, value, reduction="none")
    if isinstance(code, Bernoulli):
        return -F.binary_cross_entropy_with_logits(output[:, 0], value, reduction="none")
    if code.sigma is None:
        log_scale = LOG_SCALE_LIMIT * torch.tanh(output[:, 1] / LOG_SCALE_LIMIT)
    else:
        log_scale = torch.full_like(value, math.log(code.sigma))
    deviation = (value - output[:, 0]) * torch.exp(-log_scale)
    nats = -0.5 * deviation**2 - log_scale - 0.5 * math.log(2 * math.pi)
    weighted = torch.exp(2 * scale_weighting * log_scale).detach() * nats
    return nats.detach() + (weighted - weighted.detach())
