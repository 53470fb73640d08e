from pathlib import Path

import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.networks.features import efficientnet_lite0, phi, vgg19


def test_a_network_is_loaded_from_where_its_weights_are(monkeypatch):
    monkeypatch.setattr(vgg19, "load", lambda path: ("vgg19", path))
    monkeypatch.setattr(efficientnet_lite0, "packaged_weights", lambda: Path("in a package"))
    monkeypatch.setattr(efficientnet_lite0, "load", lambda path: ("lite0", path))
    assert phi.load("vgg19", "conv2_2", Path("vgg.pth")) == ("vgg19", Path("vgg.pth"))
    assert phi.load("efficientnet-lite0", "9", None) == ("lite0", Path("in a package"))
    with pytest.raises(
        UserError, match=r"vgg19's weights are missing: name the file with --content\.weights"
    ):
        phi.load("vgg19", "conv2_2", None)


@pytest.mark.parametrize(
    ("network", "layer", "allowed"),
    [
        ("vgg19", "conv1_3", "conv1_1, conv1_2, conv2_1"),
        ("efficientnet-lite0", "10", "1, 2, 3, 4, 5, 6, 7, 8, 9"),
    ],
)
def test_a_layer_that_is_not_there_is_refused_before_weights_are_looked_for(network, layer, allowed):
    with pytest.raises(UserError, match=f"{network} has no layer '{layer}': take one of {allowed}"):
        phi.load(network, layer, Path("nowhere"))


def test_features_are_those_of_the_named_layer(monkeypatch):
    monkeypatch.setattr(vgg19, "features", lambda params, images, *, layer: (params, images, layer))
    monkeypatch.setattr(
        efficientnet_lite0, "features", lambda params, images, *, stage: (params, images, stage)
    )
    images = np.zeros((1, 8, 8, 3))
    assert phi.features("vgg19", "conv5_4", "weights", images) == ("weights", images, "conv5_4")
    assert phi.features("efficientnet-lite0", "4", "weights", images) == ("weights", images, 4)
