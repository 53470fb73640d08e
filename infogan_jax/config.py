"""The configuration of a run: frozen dataclasses, their checks, and their JSON form."""

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

import cattrs
import tyro
from cattrs.strategies import configure_tagged_union

from infogan_jax.codes import Code, LatentCodes, Normal, Uniform
from infogan_jax.errors import UserError
from infogan_jax.networks.tables import Autoencoder, Networks, SuperResolution


@dataclass(frozen=True)
class Data:
    """Where the images come from."""

    source: Literal["digits", "tfds", "folder", "scenes"]
    """digits: scikit-learn's, nothing to download; tfds: a prepared TensorFlow Datasets set; folder: image
    files; scenes: rendered here."""
    name: str
    """The set's name in its source, for example mnist or fashion_mnist; of a folder, what reports call it."""
    folder: Path | None = None
    """Of the source folder: the directory that holds the images."""
    crop: int = 0
    """Of the source folder: images are cut into squares of this many pixels; 0 takes them whole."""
    size: int = 0
    """Of the sources folder and tfds: squares from the images' centres are resized (Lanczos) to this many
    pixels; 0 takes them as they are."""
    grey: bool = False
    """Of the source folder: colour becomes grey."""
    skip_unreadable: bool = False
    """Of the source folder: leave out files that can't be read, where they would be refused."""
    extra: bool = False
    """Of the source tfds: train on the split extra too, which SVHN has."""
    limit: int = 0
    """Of the source tfds: read at most this many images of each split, the same with every seed; 0 reads all,
    and they must fit into memory."""
    render: int = 0
    """Of the source scenes: training images to render, and a fifth as many for testing."""
    endless: bool = False
    """Of the source scenes: every batch is new images, rendered in the step; those of --data.render are then
    for measuring alone."""
    stream: Literal["auto", "yes", "no"] = "auto"
    """no: every device holds all training images, unless they are endless; yes: this machine's memory does,
    and those of a call are brought to the devices while the one before it runs; auto: yes where they take
    more than half of a device's memory. A step sees the same images either way."""


@dataclass(frozen=True)
class Invariance:
    """Code invariance: the categories of a real image and of a small affine transform of it agree."""

    weight: float = 0.0
    """Weight of the mutual information between the two readings; 0 leaves the term out."""
    rotation: float = 0.2
    """Largest rotation in radians, either way."""
    scale: float = 0.15
    """Largest relative change of size, either way."""
    shear: float = 0.25
    """Largest shear, either way."""
    shift: float = 2.0
    """Largest shift in pixels, in both directions and either way."""


# By name alone, here and below: a number in another's place would go unnoticed.
@dataclass(frozen=True, kw_only=True)
class Objective:
    """The weights of the objective's terms."""

    lambda_discrete: float = 1.0
    """Weight of L_I of the categorical and binary codes."""
    lambda_continuous: float = 0.1
    """Weight of L_I of the continuous codes."""
    scale_weighting: float = 0.0
    """Gradients of L_I of a continuous code are multiplied by its sigma to twice this power. 0: a
    likelihood's own. 1: the mean is pulled as if sigma were fixed at 1, as in the authors' code and with the
    paper's lambdas; sigma is learned all the same."""
    instance_noise: float = 0.0
    """Standard deviation of the noise added to D's inputs, in units of the image's range."""
    plain_gan: bool = False
    """Leave L_I out of the objective of G and of D's trunk: Q alone learns, from a stopped gradient, to show
    what L_I a plain GAN has."""
    invariance: Invariance = Invariance()


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Adam for D with Q, and Adam for G."""

    lr_discriminator: float = 2e-4
    """Learning rate of D and Q."""
    lr_recognition: float = 0.0
    """Learning rate of the layers that are Q's alone; 0: that of D."""
    lr_generator: float = 1e-3
    """Learning rate of G."""
    beta1: float = 0.5
    """Adam's decay of the gradient's mean."""
    generator_ema: float = 0.0
    """Decay per step of the moving average of G's weights that evaluation then uses; 0: no average."""


@dataclass(frozen=True)
class Model:
    """How the networks compute."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of activations and products; weights, optimiser, statistics and losses are float32 in any case."""


@dataclass(frozen=True)
class Train:
    """The length and rhythm of a run."""

    steps: int
    """Training steps in all."""
    batch: int = 128
    """Images in a step, over all devices."""
    microbatch: int = 0
    """Images at a time, over all devices, where a batch takes more memory than there is; the update is that
    of the batch, up to rounding. But batch norm normalises each microbatch by itself, and its running
    statistics and code invariance are means over microbatches. 0: the whole batch."""
    steps_per_call: int = 25
    """Steps in one call of the compiled program; metrics are logged once a call."""
    checkpoint_every: int = 500
    """Steps between checkpoints (taken at the end of a call)."""
    keep: int = 2
    """Number of newest checkpoints kept."""
    keep_every: int = 0
    """Keep, for good, checkpoints at least this many steps apart; 0: none."""
    sample_every: int = 500
    """Steps between pictures of samples (taken at the end of a call)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a run's numbers depend on: what the experiments of every task have."""

    experiment: tyro.conf.Suppress[str]
    data: Data
    train: Train
    model: Model = Model()
    seed: int = 0
    """Seed of the weights, the draws and the order of the images; of endless ones, which."""


@dataclass(frozen=True, kw_only=True)
class InfoGANConfig(Config):
    """An experiment of `tasks/infogan.py`."""

    codes: tyro.conf.Suppress[LatentCodes]
    networks: tyro.conf.Suppress[Networks]
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer()


ReconstructionError = Literal["l0", "l1", "l2", "bce", "dice", "edge"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(Config):
    """An experiment of `tasks/autoencoder.py`."""

    networks: tyro.conf.Suppress[Autoencoder]
    error: ReconstructionError = "l2"
    """The reconstruction error. l0: a smooth count of wrong pixels (Geman-McClure); l1, l2: sums of |r| and
    r^2; bce: binary cross-entropy; dice: 1 - Dice overlap; edge: binary cross-entropy weighted towards edges,
    plus Dice."""
    scale: float = 0.1
    """Of l0: the residual that counts half."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    pixel_size: float = 0.0
    """Nanometres a pixel: edges are then measured in nm; 0: in pixels."""


@dataclass(frozen=True)
class Content:
    """The content error: how far an enlarged image may stray from the true one."""

    error: Literal["l1", "l2", "vgg19", "efficientnet-lite0"] = "l2"
    """l1, l2: of the pixels (l2 is SRGAN's eq. 4); vgg19, efficientnet-lite0: of that network's feature maps
    (eq. 5)."""
    layer: str = ""
    """Of features: the layer, of vgg19 conv1_1 to conv5_4, of efficientnet-lite0 a stage from 1 to 9."""
    weights: Path | None = None
    """Of vgg19: the file with its weights, torchvision's .pth or .safetensors or Keras' .h5. Those of
    efficientnet-lite0 come from the extra features."""
    weights_sha256: str = ""
    """Of features: the SHA-256 of the file with the weights, in place of which no other is used. A new run
    notes it by itself."""
    rescale: float = 1.0
    """Of features: what they are multiplied by before they are compared."""

    @property
    def has_features(self) -> bool:
        """Whether feature maps are compared, not pixels."""
        return self.error not in ("l1", "l2")


@dataclass(frozen=True, kw_only=True)
class SuperResolutionConfig(Config):
    """An experiment of `tasks/superresolution.py`."""

    networks: SuperResolution
    content: Content = Content()
    adversarial_weight: float = 0.0
    """Weight of the adversarial term; 0: content alone, and no discriminator."""
    init_from: Path | None = None
    """The folder of an earlier run, with the same networks, whose generator this one begins with; of a folder
    with several seeds' runs, that of the same seed."""
    low_crop: int = 24
    """Side in pixels of the low-resolution crops in a batch."""
    learning_rate: float = 1e-4
    """Learning rate of Adam, of both players."""
    drop_after: int = 0
    """Steps after which the learning rate is a tenth; 0: never."""


_POSITIVE = (lambda v: v > 0 and math.isfinite(v), "a number above 0")
_NOT_NEGATIVE = (lambda v: v >= 0 and math.isfinite(v), "0 or more")
_COUNT = (lambda v: v >= 1, "1 or more")
_FRACTION = (lambda v: 0 <= v < 1, "in [0, 1)")

_LIMITS: dict[type[Config], dict[str, tuple[Callable[[Any], bool], str]]] = {
    Config: {
        "seed": (lambda v: 0 <= v < 2**32, "in [0, 2^32)"),
        "data.crop": _NOT_NEGATIVE,
        "data.size": _NOT_NEGATIVE,
        "data.limit": _NOT_NEGATIVE,
        "data.render": _NOT_NEGATIVE,
        "train.steps": (lambda v: 1 <= v < 2**31, "1 or more, and below 2^31"),
        "train.batch": (lambda v: 2 <= v <= 2**20, "2 or more (batch norm needs two) and at most 2^20"),
        "train.microbatch": _NOT_NEGATIVE,
        "train.steps_per_call": _COUNT,
        "train.checkpoint_every": _COUNT,
        "train.keep": _COUNT,
        "train.keep_every": _NOT_NEGATIVE,
        "train.sample_every": _COUNT,
    },
    InfoGANConfig: {
        "objective.lambda_discrete": _NOT_NEGATIVE,
        "objective.lambda_continuous": _NOT_NEGATIVE,
        "objective.scale_weighting": (lambda v: 0 <= v <= 1, "from 0 to 1"),
        "objective.instance_noise": _NOT_NEGATIVE,
        "objective.invariance.weight": _NOT_NEGATIVE,
        "objective.invariance.rotation": _NOT_NEGATIVE,
        "objective.invariance.scale": _FRACTION,
        "objective.invariance.shear": _NOT_NEGATIVE,
        "objective.invariance.shift": _NOT_NEGATIVE,
        "optimizer.lr_discriminator": _POSITIVE,
        "optimizer.lr_recognition": _NOT_NEGATIVE,
        "optimizer.lr_generator": _POSITIVE,
        "optimizer.beta1": _FRACTION,
        "optimizer.generator_ema": _FRACTION,
    },
    AutoencoderConfig: {
        "learning_rate": _POSITIVE,
        "scale": _POSITIVE,
        "pixel_size": _NOT_NEGATIVE,
    },
    SuperResolutionConfig: {
        "content.rescale": _POSITIVE,
        "adversarial_weight": _NOT_NEGATIVE,
        "low_crop": _COUNT,
        "learning_rate": _POSITIVE,
        "drop_after": _NOT_NEGATIVE,
    },
}

# The fields of the data that only some sources read.
_OF_SOURCES = {
    "folder": ("folder",),
    "crop": ("folder",),
    "size": ("folder", "tfds"),
    "grey": ("folder",),
    "skip_unreadable": ("folder",),
    "extra": ("tfds",),
    "limit": ("tfds",),
    "render": ("scenes",),
    "endless": ("scenes",),
}


def limits(kind: type[Config]) -> dict[str, tuple[Callable[[Any], bool], str]]:
    """What each field of a task's configuration may be: by path, a predicate and its meaning."""
    return {path: limit for base in reversed(kind.__mro__) for path, limit in _LIMITS.get(base, {}).items()}


def _unset(name: str) -> str:
    """How a command line makes a field of `Data` what it is unless it is given."""
    default = next(field.default for field in dataclasses.fields(Data) if field.name == name)
    return f"say {flag(f'data.no_{name}')}" if default is False else f"set it to {default}"


def flag(path: str) -> str:
    """The command line's name of a field."""
    return "--" + path.replace("_", "-")


def validate(config: Config) -> None:
    """Refuses a value outside its limits.

    Raises:
        UserError: names the field, its value and what is allowed.
    """
    for path, (allowed, meaning) in limits(type(config)).items():
        value: Any = config
        for name in path.split("."):
            value = getattr(value, name)
        if not allowed(value):
            raise UserError(f"{flag(path)} is {value}: it must be {meaning}")
    for name, sources in _OF_SOURCES.items():
        if getattr(config.data, name) and config.data.source not in sources:
            raise UserError(
                f"{flag(f'data.{name}')} is given, but --data.source is {config.data.source}, "
                f"not {' or '.join(sources)}: leave it out, or {_unset(name)}"
            )
    batch, microbatch = config.train.batch, config.train.microbatch
    if microbatch and (batch % microbatch or microbatch == 1):
        divisors = [n for n in range(2, min(batch, 4096) + 1) if batch % n == 0]
        near = min(divisors, key=lambda n: abs(n - microbatch))
        raise UserError(
            f"--train.microbatch is {microbatch}: it must be 2 or more and divide --train.batch {batch}, as "
            f"{near} does"
        )
    if config.data.source == "scenes" and not config.data.render:
        raise UserError("--data.render is 0: say how many images of the scene to render")
    if config.data.endless and config.data.stream == "yes":
        raise UserError(
            "--data.stream is yes, but with --data.endless the devices render what they see: leave it out "
            "or say --data.no-endless"
        )
    if config.data.crop and config.data.size:
        raise UserError(
            f"--data.crop is {config.data.crop} and --data.size is {config.data.size}: images are either cut "
            "or resized, so one of them must be 0"
        )
    if isinstance(config, InfoGANConfig):
        _validate_infogan(config)
    if isinstance(config, SuperResolutionConfig):
        _validate_superresolution(config)


def _validate_infogan(config: InfoGANConfig) -> None:
    codes, objective = config.codes, config.objective
    if objective.invariance.weight > 0 and not codes.categorical:
        raise UserError("--objective.invariance.weight is above 0, but there is no categorical code")
    if objective.plain_gan:
        if not codes.codes:
            raise UserError("--objective.plain-gan measures L_I, but there is no code")
        if objective.invariance.weight > 0:
            raise UserError(
                "--objective.plain-gan leaves Q the bound alone: set --objective.invariance.weight 0"
            )


def _validate_superresolution(config: SuperResolutionConfig) -> None:
    content = config.content
    if content.has_features != bool(content.layer):
        raise UserError(
            f"--content.layer is {content.layer!r}, but --content.error is {content.error}: name a layer for "
            "the features of a network, and none for pixels"
        )
    if content.weights_sha256 and not content.has_features:
        raise UserError(
            f"--content.weights-sha256 is given, but --content.error is {content.error}: only features have "
            "weights, so leave it out"
        )
    if content.weights and content.error != "vgg19":
        raise UserError(
            f"--content.weights is {content.weights}, but --content.error is {content.error}: only vgg19 "
            "takes a file, so leave it out"
        )


def differences(old: Config, new: Config) -> list[str]:
    """The fields, by path, in which two configurations differ."""

    def compare(a: Any, b: Any, path: str) -> list[str]:
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return [p for k in a for p in compare(a[k], b[k], f"{path}.{k}" if path else k)]
        return [] if a == b else [path]

    return compare(to_json(old), to_json(new), "")


_TASKS = {
    InfoGANConfig: "infogan",
    AutoencoderConfig: "autoencoder",
    SuperResolutionConfig: "superresolution",
}

_AnyConfig = InfoGANConfig | AutoencoderConfig | SuperResolutionConfig


# Made on first use: it takes as long as a help text's other half.
@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    configure_tagged_union(Code, converter, tag_name="kind")
    configure_tagged_union(Union[Uniform, Normal], converter, tag_name="kind")  # noqa: UP007
    configure_tagged_union(_AnyConfig, converter, tag_name="task", tag_generator=_TASKS.__getitem__)
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    return converter


def to_json(config: Config) -> dict[str, Any]:
    """The configuration as JSON values."""
    values: dict[str, Any] = _converter().unstructure(config, _AnyConfig)
    return values


def from_json(values: dict[str, Any]) -> Config:
    """The configuration that `to_json` wrote.

    Raises:
        UserError: the values are not those of a configuration of this version.
    """
    try:
        # cattrs takes any type, and annotates classes alone.
        return _converter().structure(values, _AnyConfig)  # type: ignore[arg-type]
    except cattrs.errors.BaseValidationError as error:
        causes = "; ".join(cattrs.transform_error(error))
        raise UserError(f"the configuration is not one of this version: {causes}") from error
