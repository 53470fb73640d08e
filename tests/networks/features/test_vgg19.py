import hashlib
import math

import jax
import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.networks.features import vgg19

# Column E of the paper's table 1.
CHANNELS = {1: (64, 64), 2: (128, 128), 3: (256,) * 4, 4: (512,) * 4, 5: (512,) * 4}
# Where the convolutions stand in torchvision's row of convolutions, activations and poolings.
PLACES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
TORCHVISION_MEAN, TORCHVISION_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
KERAS_MEAN_BGR = [103.939, 116.779, 123.68]

IMAGES = np.random.default_rng(1).uniform(size=(1, 17, 35, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    """Kernels [out, in, 3, 3] and biases by the paper's name; variances keep the maps' scale (He 2015)."""
    random = np.random.default_rng(0)
    inputs, found = 3, {}
    for block, widths in CHANNELS.items():
        for number, out in enumerate(widths, start=1):
            kernel = random.standard_normal((out, inputs, 3, 3), np.float32) * math.sqrt(2 / (9 * inputs))
            found[f"conv{block}_{number}"] = kernel, random.standard_normal(out, np.float32) / 10
            inputs = out
    return found


def torchvision_names(weights):
    named = {}
    for place, (kernel, bias) in zip(PLACES, weights.values(), strict=True):
        named |= {f"features.{place}.weight": kernel, f"features.{place}.bias": bias}
    return named | {"classifier.6.bias": np.zeros(1000, np.float32)}


def keras_names(weights):
    named = {}
    for layer, (kernel, bias) in weights.items():
        name = layer.replace("conv", "block").replace("_", "_conv")
        kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        named |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    return named


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory, weights, torch_zip):
    path = tmp_path_factory.mktemp("vgg19") / "vgg19.pth"
    torch_zip(path, torchvision_names(weights))
    return path


@pytest.fixture(scope="module")
def torchvision(torchvision_file):
    return vgg19.load(torchvision_file)


@pytest.fixture(scope="module")
def reference(weights, convolved):
    """The maps of one image on the network's own scale, by name, from NumPy."""

    def maps(x):
        found = {}
        for block, widths in CHANNELS.items():
            for number in range(1, len(widths) + 1):
                kernel, bias = weights[f"conv{block}_{number}"]
                x = np.maximum(convolved(x, kernel, stride=1, pads=[(1, 1), (1, 1)]) + bias, 0)
                found[f"conv{block}_{number}"] = x
            x = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
            x = x.reshape(len(x) // 2, 2, x.shape[1] // 2, 2, x.shape[2]).max(axis=(1, 3))
        return found

    return maps


@pytest.fixture(scope="module")
def torchvision_maps(reference):
    return reference((IMAGES[0] - TORCHVISION_MEAN) / TORCHVISION_STD)


@pytest.fixture(scope="module")
def deepest(torchvision):
    """The map that is the default."""
    return vgg19.features(torchvision.params, IMAGES)


@pytest.mark.parametrize(
    ("layer", "shape"), [("conv1_1", (17, 35, 64)), ("conv2_2", (8, 17, 128)), ("conv3_4", (4, 8, 256))]
)
def test_maps_agree_with_numpy(torchvision, torchvision_maps, layer, shape):
    found = vgg19.features(torchvision.params, IMAGES, layer=layer)
    assert found.shape == (1, *shape)
    np.testing.assert_allclose(found[0], torchvision_maps[layer], atol=1e-4 * found.max())


def test_the_paper_s_deepest_map_is_the_default(deepest, torchvision_maps):
    assert deepest.shape == (1, 1, 2, 512)
    assert deepest.dtype == np.float32
    assert deepest.min() == 0 < deepest.std()
    np.testing.assert_allclose(deepest[0], torchvision_maps["conv5_4"], atol=1e-4 * deepest.max())


def test_weights_from_keras_take_its_own_normalisation(tmp_path, weights, safetensors, reference):
    path = tmp_path / "vgg19.safetensors"
    safetensors(path, keras_names(weights))
    params = vgg19.load(path).params
    # The same kernels, read as Keras' are: the first one takes blue, green, red from 0 to 255.
    images = IMAGES[:, :16, :16]
    expected = reference(255 * images[0, :, :, ::-1] - KERAS_MEAN_BGR)["conv2_2"]
    found = vgg19.features(params, images, layer="conv2_2")[0]
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_weights_from_a_keras_file(tmp_path, weights, torchvision):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "vgg19.h5"
    with h5py.File(path, "w") as file:
        for name, array in keras_names(weights).items():
            layer, kind = name.split("/")
            group = file.require_group(layer)
            stored = f"{layer}_{'W' if kind == 'kernel' else 'b'}_1:0"
            group[stored] = array
            group.attrs["weight_names"] = [*group.attrs.get("weight_names", []), stored]
    params = vgg19.load(path).params
    np.testing.assert_array_equal(
        params["conv1_1"]["kernel"], torchvision.params["conv1_1"]["kernel"][:, :, ::-1]
    )
    np.testing.assert_array_equal(params["conv5_4"]["kernel"], torchvision.params["conv5_4"]["kernel"])
    np.testing.assert_array_equal(params["conv5_4"]["bias"], torchvision.params["conv5_4"]["bias"])


def test_the_parameters_are_float32_in_hwio_with_the_file_s_hash(torchvision, torchvision_file):
    leaves = jax.tree.leaves(torchvision.params)
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}
    # What torchvision's vgg19().features has, with a mean and a deviation for each channel.
    assert sum(leaf.size for leaf in leaves) == 20_024_384 + 6
    assert torchvision.params["conv2_1"]["kernel"].shape == (3, 3, 64, 128)
    assert torchvision.sha256 == hashlib.sha256(torchvision_file.read_bytes()).hexdigest()


def test_the_gradient_with_respect_to_images(torchvision):
    @jax.jit
    def total(images):
        return vgg19.features(torchvision.params, images, layer="conv2_2").sum()

    images, step = IMAGES[:, :4, :4], 1e-3
    direction = np.random.default_rng(2).choice([-1, 1], images.shape).astype(np.float32)
    slope = np.vdot(jax.grad(total)(images), direction)
    expected = (total(images + step * direction) - total(images - step * direction)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=0.02)


def test_other_networks_are_refused(tmp_path, weights, safetensors):
    arrays = torchvision_names(weights)
    path = tmp_path / "a.safetensors"
    sixteen = {name: x for name, x in arrays.items() if not name.startswith("features.16.")}
    safetensors(path, sixteen)  # VGG16 has a pooling there
    with pytest.raises(UserError, match=r"no layer features\.16\.weight, .* \(256, 256, 3, 3\)"):
        vgg19.load(path)
    half = arrays | {"features.5.weight": arrays["features.5.weight"][:64]}
    safetensors(path, half)
    with pytest.raises(
        UserError, match=r"features\.5\.weight has the shape \(64, 64, 3, 3\); it must be \(128, 64"
    ):
        vgg19.load(path)


def test_small_images_and_unknown_layers_are_refused(torchvision):
    with pytest.raises(ValueError, match="images is 15 x 35: conv5_4 needs at least 16 x 16"):
        vgg19.features(torchvision.params, IMAGES[:, :15])
    with pytest.raises(ValueError, match="layer is 'conv5_5': it must be one of conv1_1, "):
        vgg19.features(torchvision.params, IMAGES, layer="conv5_5")


def test_pytorch_has_the_same_maps(weights, deepest):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = torch.from_numpy(((IMAGES - TORCHVISION_MEAN) / TORCHVISION_STD).astype(np.float32)).permute(
        0, 3, 1, 2
    )
    for layer, (kernel, bias) in weights.items():
        if layer in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            x = torch.nn.functional.max_pool2d(x, 2)
        x = torch.nn.functional.conv2d(x, torch.from_numpy(kernel), torch.from_numpy(bias), padding=1).relu()
    expected = x.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(deepest, expected, atol=1e-4 * expected.max())
