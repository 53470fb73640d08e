"""SRGAN's training step in PyTorch: the same networks, losses and schedule, for comparison.

Plain functions of `torch.nn.functional` on the weights of a state of ours. As in
`infogan_jax.tasks.superresolution`, one forward pass of G serves both players, real and made images are
normalised apart, and the players are updated together. Crops come from the caller; low resolution is made
here, by PyTorch's own antialiased bicubic filter. No running statistics are kept, as no loss reads them.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infogan_jax.config import SuperResolutionConfig
from infogan_jax.tasks.superresolution import State

_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of EfficientNet-Lite0's stages from the second on."""

_DISCRIMINATOR_STRIDES = (2, 1, 2, 1, 2, 1, 2)


class Peer:
    """Both players with their optimisers.

    Args:
      config: an experiment's configuration.
      state: the state that it begins with; its weights are copied.
      features: what `tasks.superresolution.constants` returns: the feature network's weights, if any.

    Raises:
      ValueError: as `check` says.
    """

    def __init__(self, config: SuperResolutionConfig, state: State, *features: Any) -> None:
        check(config)
        self.config = config
        self.params = {name: as_torch(tree) for name, tree in state.params.items()}
        self.features = as_torch(features[0]) if features else None
        self.optimizers = {}
        for name, tree in self.params.items():
            for leaf in leaves(tree):
                leaf.requires_grad_()
            self.optimizers[name] = torch.optim.Adam(leaves(tree), config.learning_rate, fused=True)

    def step(self, crops: Tensor) -> dict[str, Tensor]:
        """One simultaneous update; crops are uint8 [batch, 3, side, side]."""
        grads, metrics = self.gradients(*self.pairs(crops))
        for name, tree in self.params.items():
            for parameter, grad in zip(leaves(tree), grads[name], strict=True):
                parameter.grad = grad
            self.optimizers[name].step()
        return metrics

    def pairs(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Low resolution in [0, 1] and high resolution in [-1, 1]."""
        high, scale = crops.float(), 1 / self.config.networks.factor
        low = F.interpolate(high, scale_factor=scale, mode="bicubic", antialias=True)
        return low.clamp(0, 255).round() / 255, high / 127.5 - 1

    def gradients(self, low: Tensor, high: Tensor) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor]]:
        """The gradients of each player, in the order of `leaves`, and the loss terms.

        Args:
          low: [batch, 3, h, w] in [0, 1].
          high: [batch, 3, factor h, factor w] in [-1, 1].
        """
        made = generate(self.config, self.params["generator"], low)
        content = self.content_error(made, high).mean()
        if "discriminator" not in self.params:
            grads = torch.autograd.grad(content, leaves(self.params["generator"]))
            return {"generator": grads}, {"content": content.detach()}
        real_logits, fake_logits = (judge(self.params["discriminator"], x) for x in (high, made))
        adversarial = F.softplus(-fake_logits).mean()
        losses = {
            "generator": content + self.config.adversarial_weight * adversarial,
            "discriminator": (F.softplus(-real_logits) + F.softplus(fake_logits)).mean(),
        }
        # Asked for one player's weights, autograd makes no gradient that only the other's need.
        grads = {
            name: torch.autograd.grad(loss, leaves(self.params[name]), retain_graph=name == "generator")
            for name, loss in losses.items()
        }
        metrics = {
            "content": content,
            "adversarial": adversarial,
            "loss_g": losses["generator"],
            "loss_d": losses["discriminator"],
        }
        return grads, {name: value.detach() for name, value in metrics.items()}

    def content_error(self, made: Tensor, high: Tensor) -> Tensor:
        """One value for each image."""
        content = self.config.content
        if content.error == "l1":
            return (made - high).abs().mean((1, 2, 3))
        if content.error == "l2":
            return ((made - high) ** 2).sum((1, 2, 3)) / (high.shape[2] * high.shape[3])
        maps = [
            content.rescale * efficientnet_lite0(self.features, (x + 1) / 2, int(content.layer))
            for x in (made, high)
        ]
        return ((maps[0] - maps[1]) ** 2).sum((1, 2, 3)) / (maps[0].shape[2] * maps[0].shape[3])


def check(config: SuperResolutionConfig) -> None:
    """Refuses what isn't here.

    Raises:
      ValueError: the configuration asks for it.
    """
    if config.content.error == "vgg19":
        raise ValueError("VGG19 is not in the peer: take pixels or efficientnet-lite0")
    if config.model.dtype != "float32" or config.train.microbatch or config.drop_after:
        raise ValueError("the peer computes whole batches in float32, at one learning rate")


def as_torch(tree: Any) -> Any:
    """A tree of ours with its arrays as tensors, in PyTorch's layout."""
    if isinstance(tree, dict):
        return {name: as_torch(tree[name]) for name in sorted(tree)}
    if isinstance(tree, list | tuple):
        return [as_torch(each) for each in tree]
    array = np.array(tree, np.float32)
    if array.ndim == 4 and array.shape[:3] == (1, 1, 1):
        array = array.reshape(-1)  # a bias or a slope; a kernel of one pixel has more than one input
    elif array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    return torch.from_numpy(np.ascontiguousarray(array))


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree, its names in their order."""
    if isinstance(tree, Tensor):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in leaves(child)]


def generate(config: SuperResolutionConfig, params: dict[str, Any], low: Tensor) -> Tensor:
    """G: [batch, 3, h, w] to [batch, 3, factor h, factor w]."""
    x = start = _prelu(params["PReLU_0"], _convolve(params["first"], low))
    for i in range(config.networks.blocks):
        block = params[f"block_{i}"]
        y = _prelu(block["PReLU_0"], _normed(block["_NormedConvolution_0"], x))
        x = x + _normed(block["_NormedConvolution_1"], y)
    x = start + _normed(params["trunk_end"], x)
    for i in range(config.networks.factor.bit_length() - 1):
        x = _prelu(params[f"PReLU_{i + 1}"], F.pixel_shuffle(_convolve(params[f"double_{i}"], x), 2))
    x = _convolve(params["last"], x)
    if not config.networks.over_bicubic:
        return x
    scale = config.networks.factor
    return x + 2 * F.interpolate(low, scale_factor=scale, mode="bicubic", antialias=True) - 1


def judge(params: dict[str, Any], x: Tensor) -> Tensor:
    """D: [batch, 3, h, w] to logits [batch]."""
    x = F.leaky_relu(_convolve(params["first"], x), 0.2)
    for i, stride in enumerate(_DISCRIMINATOR_STRIDES):
        x = F.leaky_relu(_normed(params[f"_NormedConvolution_{i}"], x, stride), 0.2)
    hidden, logit = params["hidden"], params["logit"]
    x = F.leaky_relu(F.linear(x.mean((2, 3)), hidden["kernel"], hidden["bias"]), 0.2)
    return F.linear(x, logit["kernel"], logit["bias"])[:, 0]


def efficientnet_lite0(params: dict[str, Any], images: Tensor, stage: int) -> Tensor:
    """The map at the end of a stage, of images in [0, 1]."""
    x = F.relu6(_convolve(params["stem"], (images - 127 / 255) / (128 / 255), 2))
    for first_stride, blocks in list(zip(_STRIDES, params["stages"], strict=True))[: stage - 1]:
        for number, block in enumerate(blocks):
            y = F.relu6(_convolve(block["expand"], x)) if "expand" in block else x
            y = F.relu6(_convolve(block["depthwise"], y, 1 if number else first_stride))
            y = _convolve(block["project"], y)
            x = x + y if y.shape == x.shape else y
    return F.relu6(_convolve(params["head"], x)) if stage == len(_STRIDES) + 2 else x


def _convolve(layer: dict[str, Tensor], x: Tensor, stride: int = 1) -> Tensor:
    """A convolution with padding "SAME"; one with a single input a kernel is depthwise."""
    kernel = layer["kernel"]
    size = kernel.shape[-1]
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    groups = x.shape[1] // kernel.shape[1]
    if pads[0] == pads[1] == pads[2] == pads[3]:
        return F.conv2d(x, kernel, layer.get("bias"), stride, pads[0], groups=groups)
    return F.conv2d(F.pad(x, pads), kernel, layer.get("bias"), stride, groups=groups)


def _normed(layer: dict[str, Any], x: Tensor, stride: int = 1) -> Tensor:
    norm = layer["BatchNorm_0"]
    x = _convolve(layer["_Convolution_0"], x, stride)
    return F.batch_norm(x, None, None, norm["scale"], norm["bias"], training=True)


def _prelu(layer: dict[str, Tensor], x: Tensor) -> Tensor:
    return F.prelu(x, layer["slope"])
