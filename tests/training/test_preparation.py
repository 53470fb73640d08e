"""What a run notes of the weights that it is trained with, and what it then goes on with."""

import dataclasses
from pathlib import Path

import pytest

from infogan_jax.config import Content, Data, SuperResolutionConfig, Train
from infogan_jax.errors import UserError
from infogan_jax.networks.features import phi, vgg19
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.training.preparation import check_arrays, check_resumed
from infogan_jax.training.run_folder import Run

CONFIG = SuperResolutionConfig(
    experiment="tiny",
    data=Data("folder", "noise", Path("none")),
    networks=SuperResolution(blocks=1, channels=2, factor=2, discriminator_channels=1),
    content=Content("vgg19", "conv1_1", Path("vgg.pth")),
    train=Train(steps=2),
)


def noting(sha256):
    return dataclasses.replace(CONFIG, content=dataclasses.replace(CONFIG.content, weights_sha256=sha256))


def test_a_run_notes_its_weights_and_goes_on_with_no_others(monkeypatch):
    file = {"sha256": "a" * 64}
    monkeypatch.setattr(phi, "load", lambda *_: vgg19.VGG19({}, file["sha256"]))
    begun = check_arrays(Run(CONFIG, Path("run")))
    assert begun == Run(noting("a" * 64), Path("run"))
    by_pixels = dataclasses.replace(CONFIG, content=Content())
    assert check_arrays(Run(by_pixels, Path("run"))).config == by_pixels
    # Asked for by the command line, which begins with what is stored, and as it was at first.
    for asked in (begun.config, CONFIG):
        resumed = check_resumed(begun.config, asked, Path("run"), 1)
        assert resumed == begun.config
        assert check_arrays(Run(resumed, Path("run"), 1)).config == begun.config
    # A run that has not noted them.
    assert check_resumed(CONFIG, CONFIG, Path("run"), 1) == CONFIG
    file["sha256"] = "b" * 64
    with pytest.raises(UserError, match=r"vgg\.pth has the SHA-256 bbbb.*, but .*-sha256 is aaaa"):
        check_arrays(Run(resumed, Path("run"), 1))
    with pytest.raises(UserError, match=r"--content\.weights-sha256 can't change in a resumed run"):
        check_resumed(begun.config, noting("b" * 64), Path("run"), 1)
