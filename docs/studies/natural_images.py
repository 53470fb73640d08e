"""Pixel errors and SRGAN's on photographs: the figure and the tables of docs/natural-images.md.

    python docs/studies/natural_images.py DIR

DIR holds photographs. Distortions of equal pixel error are scored by features, and the average of the
patches that share a low-resolution patch is set against one of them, by each of SRGAN's terms. Every fifth
photograph is held out for scoring, the next trains the discriminator, the other three are the gallery.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.ndimage import shift
from scipy.spatial import cKDTree

import losses
from infogan_jax.data.image_files import SUFFIXES

PICTURE = Path(__file__).parents[1] / "images" / "natural-images.png"
SEED = 0
FACTOR = 4
"""SRGAN's r: a low-resolution pixel is the mean of r x r pixels."""
CROP = 96
"""Side of the distorted crops, as in SRGAN's training."""
MARGIN = 8
SIDE = 12
"""Side of a patch: 3 x 3 low-resolution pixels."""
NEIGHBOURS = 32
GALLERY_STRIDE = 4
TRAINING, SCORED = 4000, 2000
"""Patches that the discriminator is trained on, and that are scored."""
STEPS, BATCH, RATE = 500, 64, 2e-3
WAVELENGTHS, ORIENTATIONS, RADIUS = (3, 6), 4, 6
"""Of the Gabor filters, in pixels: detail of a wavelength below 8 is lost at r = 4."""
POOLS = (1, 4, 12)
"""Sides of the squares over which the filters' amplitudes are averaged."""
WEIGHT = 1e-3
"""SRGAN's weight of the adversarial term."""
DISTORTIONS = ("bicubic", "JPEG", "noise", "shift", "contrast")
ANSWERS = ("average", "bicubic", "draw", "truth")
COLOURS = {"average": "C0", "draw": "C3"}


class Distorted(NamedTuple):
    """Crops and what a distortion makes of them at the pixel error of the bicubic one."""

    truth: np.ndarray
    photograph: np.ndarray
    made: dict[str, np.ndarray]
    strengths: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]


class Patches(NamedTuple):
    """Low-resolution patches, their photographs, and answers to them, the truth among these."""

    answers: dict[str, np.ndarray]
    photograph: np.ndarray
    low: np.ndarray
    neighbours: np.ndarray
    distance: float
    """Of the neighbours' low-resolution patches before the correction, root mean square over pixels."""


def read(folder: Path) -> list[np.ndarray]:
    """The photographs in the order of their names, grey, in [-1, 1]."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    photographs = []
    for file in files:
        with Image.open(file) as image:
            photographs.append(np.asarray(image.convert("L"), np.float32) / np.float32(127.5) - 1)
    return photographs


def shrink(images: np.ndarray) -> np.ndarray:
    """The means of r x r pixels, of images [n, height, width]."""
    places = range(FACTOR)
    return sum(images[:, y::FACTOR, x::FACTOR] for y in places for x in places) / np.float32(FACTOR**2)


def bicubic(images: np.ndarray) -> np.ndarray:
    """Images [n, height, width] enlarged r times by Pillow's bicubic filter."""
    size = (FACTOR * images.shape[2], FACTOR * images.shape[1])
    return np.stack([np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)) for x in images])


def enlarge_exactly(images: np.ndarray) -> np.ndarray:
    """Bicubic enlargements corrected, by bicubic ones, until shrinking gives ``images`` back."""
    side = images.shape[1]
    units = np.eye(side**2, dtype=np.float32).reshape(-1, side, side)
    up = bicubic(units).reshape(side**2, -1)
    down = shrink(bicubic(units)).reshape(side**2, -1)
    coefficients = np.linalg.solve(down.T.astype(np.float64), images.reshape(len(images), -1).T).T
    return (coefficients @ up).astype(np.float32).reshape(-1, FACTOR * side, FACTOR * side)


def gradient_energy(images: np.ndarray) -> np.ndarray:
    """Mean squared difference of neighbouring pixels, of images [..., height, width]."""
    across, down = np.diff(images, axis=-1), np.diff(images, axis=-2)
    return (across**2).mean((-1, -2)) + (down**2).mean((-1, -2))


def gabor_filters() -> np.ndarray:
    """Complex filters [filters, height, width], without a mean and of norm 1."""
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    filters = []
    for wavelength in WAVELENGTHS:
        envelope = np.exp(-(x**2 + y**2) / (2 * (0.4 * wavelength) ** 2))
        for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS:
            wave = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
            # Less of the envelope, so that a constant gives 0.
            kernel = envelope * (wave - (envelope * wave).sum() / envelope.sum())
            filters.append(kernel / np.linalg.norm(kernel))
    return np.stack(filters).astype(np.complex64)


FILTERS = gabor_filters()


def features(images: Array, *, pool: int) -> Array:
    """The fixed phi: amplitudes of the filtered image, averaged over squares, [batch, h', w', filters]."""
    padded = jnp.pad(images[..., 0], ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)), mode="reflect")
    size = padded.shape[1:]
    spectrum = jnp.fft.fft2(padded)[:, jnp.newaxis] * jnp.fft.fft2(FILTERS, size)[jnp.newaxis]
    # What wraps around lies in the first 2 RADIUS rows and columns.
    amplitude = jnp.abs(jnp.fft.ifft2(spectrum))[:, :, 2 * RADIUS :, 2 * RADIUS :]
    return nn.avg_pool(jnp.moveaxis(amplitude, 1, -1), (pool, pool), (pool, pool))


@partial(jax.jit, static_argnames=("pool", "rescale"))
def feature_error(x: Array, y: Array, *, pool: int, rescale: float) -> Array:
    """Eq. 5 with the Gabor features."""
    return losses.feature_content_error(partial(features, pool=pool), x, y, rescale=rescale)


def contents(rescales: dict[int, float]) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """The content errors by name, each of grey images [n, height, width]."""

    def of(error: Callable[..., Array], x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(error(x[..., np.newaxis], y[..., np.newaxis]))

    made = {"pixels": partial(of, losses.pixel_content_error)}
    for pool, rescale in rescales.items():
        made[f"features {pool}"] = partial(of, partial(feature_error, pool=pool, rescale=rescale))
    return made


def cut_crops(photographs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Four crops from the middle of each photograph, with a margin, and the photographs' numbers."""
    crops = []
    for image in photographs:
        top, left = image.shape[0] // 2, image.shape[1] // 2
        for y in (top - CROP, top):
            for x in (left - CROP, left):
                crops.append(image[y - MARGIN : y + CROP + MARGIN, x - MARGIN : x + CROP + MARGIN])
    return np.stack(crops), np.repeat(np.arange(len(photographs)), 4)


def inner(crops: np.ndarray) -> np.ndarray:
    """Crops [..., height, width] without their margin."""
    return crops[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def find_rescales(photographs: list[np.ndarray]) -> dict[int, float]:
    """By pool, the rescaling that gives bicubic crops as much feature error as pixel error, in the mean."""
    truth = inner(cut_crops(photographs)[0])
    made = bicubic(shrink(truth))
    pixels = np.mean(contents({})["pixels"](made, truth))
    return {
        pool: float(np.sqrt(pixels / np.mean(contents({pool: 1.0})[f"features {pool}"](made, truth))))
        for pool in POOLS
    }


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image written as JPEG and read again."""
    file = io.BytesIO()
    pixels = np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as read_again:
        return np.asarray(read_again, np.float32) / np.float32(127.5) - 1


def candidates(name: str, crop: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[float, np.ndarray]]:
    """A distortion in growing strength: the strength and the crop [CROP, CROP]."""
    image = inner(crop)
    if name == "bicubic":
        yield FACTOR, bicubic(shrink(image[np.newaxis]))[0]
    elif name == "JPEG":
        for quality in range(60, 0, -1):
            yield quality, jpeg(image, quality)
    elif name == "noise":
        yield 1, image + rng.normal(size=image.shape).astype(np.float32)
    elif name == "shift":
        for distance in np.arange(0.25, MARGIN, 0.25):
            yield distance, inner(shift(crop, (0, distance), order=3, mode="nearest"))
    elif name == "contrast":
        yield 0, np.full_like(image, image.mean())


def first_reaching(
    error: float, truth: np.ndarray, tried: Iterator[tuple[float, np.ndarray]]
) -> tuple[float, np.ndarray]:
    """Strength and residual of the first candidate with at least that mean squared error, or of the last."""
    for strength, image in tried:
        found = strength, image - truth
        if np.mean(found[1] ** 2) >= error:
            break
    return found


def distort(crops: np.ndarray, photograph: np.ndarray, rng: np.random.Generator) -> Distorted:
    """Each distortion in the least strength of at least the bicubic error, then scaled to just that error."""
    truth = inner(crops)
    target = np.mean((bicubic(shrink(truth)) - truth) ** 2, axis=(1, 2))
    made, strengths, scales = {}, {}, {}
    for name in DISTORTIONS:
        images, used, factors = [], [], []
        for crop, image, error in zip(crops, truth, target, strict=True):
            strength, residual = first_reaching(error, image, candidates(name, crop, rng))
            used.append(strength)
            factors.append(np.sqrt(error / np.mean(residual**2)))
            images.append(image + factors[-1] * residual)
        made[name] = np.stack(images).astype(np.float32)
        strengths[name], scales[name] = np.array(used), np.array(factors)
    return Distorted(truth, photograph, made, strengths, scales)


def windows(photograph: np.ndarray, stride: int) -> np.ndarray:
    """The patches at every ``stride``-th place, [patches, SIDE, SIDE]."""
    return sliding_window_view(photograph, (SIDE, SIDE))[::stride, ::stride].reshape(-1, SIDE, SIDE)


class Gallery(NamedTuple):
    """The patches that answers are made of, and the tree that finds them by low-resolution patch."""

    patches: np.ndarray
    tree: cKDTree


def build_gallery(photographs: list[np.ndarray]) -> Gallery:
    """All patches of the photographs on a grid."""
    patches = np.concatenate([windows(image, GALLERY_STRIDE) for image in photographs])
    return Gallery(patches, cKDTree(shrink(patches).reshape(len(patches), -1)))


def answer(photographs: list[np.ndarray], gallery: Gallery, count: int, rng: np.random.Generator) -> Patches:
    """Patches drawn from the photographs, and what the gallery has for their low-resolution patches.

    The neighbours are corrected by a smooth image, so that each has the low-resolution patch exactly.
    """
    parts = [windows(image, SIDE) for image in photographs]
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    chosen = rng.choice(len(numbers), count, replace=False)
    truth = np.concatenate(parts)[chosen]
    low = shrink(truth)
    distance, index = gallery.tree.query(low.reshape(count, -1), NEIGHBOURS)
    found = gallery.patches[index].reshape(-1, SIDE, SIDE)
    missing = np.repeat(low, NEIGHBOURS, axis=0) - shrink(found)
    neighbours = (found + enlarge_exactly(missing)).reshape(count, NEIGHBOURS, SIDE, SIDE)
    answers = {
        "average": neighbours.mean(1),
        "bicubic": enlarge_exactly(low),
        "draw": neighbours[np.arange(count), rng.integers(NEIGHBOURS, size=count)],
        "truth": truth,
    }
    return Patches(
        answers,
        numbers[chosen],
        low,
        neighbours,
        float(np.sqrt(np.mean(distance**2) / low[0].size)),
    )


class Discriminator(nn.Module):
    """Logits of grey patches, from two convolutions and their mean over places."""

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """Of images [batch, height, width], one logit each."""
        x = images[..., jnp.newaxis]
        for channels in (16, 32):
            x = nn.leaky_relu(nn.Conv(channels, (3, 3), padding="VALID")(x), 0.2)
        return nn.Dense(1)(x.mean((1, 2)))[:, 0]


def train_discriminator(real: np.ndarray, fake: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Trains a discriminator on pairs of patches; returns its logits as a function of patches."""
    network = Discriminator()
    params = network.init(jax.random.key(SEED), jnp.asarray(real[:1]))
    optimizer = optax.adam(RATE)

    @jax.jit
    def update(params: dict, state: optax.OptState, real: Array, fake: Array) -> tuple[dict, optax.OptState]:
        def loss(params: dict) -> Array:
            logits = network.apply(params, jnp.concatenate([real, fake]))
            return jnp.mean(losses.discriminator_logistic(logits[: len(real)], logits[len(real) :]))

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    rng = np.random.default_rng(SEED)
    for _ in range(STEPS):
        rows = rng.choice(len(real), BATCH, replace=False)
        params, state = update(params, state, real[rows], fake[rows])
    apply = jax.jit(network.apply)
    return lambda images: np.asarray(apply(params, images))


def accuracy(logits: Callable[[np.ndarray], np.ndarray], real: np.ndarray, fake: np.ndarray) -> float:
    """The share of patches, half of them real, that the discriminator calls by their name."""
    return float((np.mean(logits(real) > 0) + np.mean(logits(fake) < 0)) / 2)


def photographs_where(condition: np.ndarray, photograph: np.ndarray) -> int:
    """The number of photographs over which the mean of ``condition`` is below 0."""
    return sum(condition[photograph == n].mean() < 0 for n in np.unique(photograph))


class Scores(NamedTuple):
    """What the errors say of held-out patches: one value for each patch, by answer."""

    content: dict[str, dict[str, np.ndarray]]
    logits: dict[str, np.ndarray]
    photograph: np.ndarray

    def adversarial(self, name: str) -> np.ndarray:
        """-log D in nats."""
        return np.asarray(losses.generator_non_saturating(self.logits[name]))

    def perceptual(self, content: str, name: str, weight: float) -> np.ndarray:
        """Eq. 3."""
        logits = self.logits[name]
        return np.asarray(
            losses.perceptual_error(self.content[content][name], logits, adversarial_weight=weight)
        )

    def flip(self, content: str) -> float:
        """The weight at which the mean errors of average and draw are equal; below 0 the draw always wins."""
        loss = self.content[content]["draw"].mean() - self.content[content]["average"].mean()
        return float(loss / (self.adversarial("average").mean() - self.adversarial("draw").mean()))


def tiles(crops: np.ndarray) -> np.ndarray:
    """Crops cut into patches without overlap."""
    return np.concatenate([windows(crop, SIDE) for crop in crops])


def picture(axes: Axes, image: np.ndarray, title: str, below: str = "") -> None:
    """A grey image without ticks."""
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(below, fontsize=8, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])


def draw_distortions(figure: Figure, distorted: Distorted, error: dict[str, np.ndarray]) -> None:
    """A row with the crop of median contrast, in each distortion."""
    axes = figure.subplots(1, 1 + len(DISTORTIONS))
    shown = int(np.argsort(np.var(distorted.truth, axis=(1, 2)))[len(distorted.truth) // 2])
    picture(axes[0], distorted.truth[shown], "truth", "feature error 0")
    for place, name in zip(axes[1:], DISTORTIONS, strict=True):
        ratio = error[name][shown] / error["bicubic"][shown]
        picture(place, distorted.made[name][shown], name, f"feature error {ratio:.2f}")
    figure.suptitle(
        f"Five distortions of one pixel error; their feature error (squares of {POOLS[-1]}), bicubic's is 1",
        fontsize=11,
    )


def draw_patches(figure: Figure, patches: Patches, scores: Scores) -> None:
    """Rows of a low-resolution patch, what could be behind it and the average, with D's probability."""
    order = np.argsort(patches.low.std((1, 2)))
    # Evenly spaced among those with the most contrast at low resolution, where a patch shows something.
    rows = order[(np.linspace(0.8, 0.98, 4) * len(order)).astype(int)]
    names = ("truth", "draw", "average", "bicubic")
    axes = figure.subplots(len(rows), 1 + len(names))
    for places, row in zip(axes, rows, strict=True):
        picture(places[0], patches.low[row], "low resolution" if row == rows[0] else "")
        for place, name in zip(places[1:], names, strict=True):
            probability = 1 / (1 + np.exp(-scores.logits[name][row]))
            title = name if row == rows[0] else ""
            picture(place, patches.answers[name][row], title, f"D = {probability:.2f}")
    title = f"One of {NEIGHBOURS} sharp patches with the same low-resolution patch, and their average"
    figure.suptitle(f"{title}\nD: the probability of being real", fontsize=11)


def draw_sum(axes: Axes, scores: Scores) -> None:
    """The perceptual error of a draw over that of the average, by the weight of the adversarial term."""
    weights = np.logspace(-4, 0, 81)
    for content in scores.content:
        # The mean of eq. 3 is linear in the weight: each weight compiled anew would take a minute.
        draw, average = (
            scores.content[content][name].mean() + weights * scores.adversarial(name).mean()
            for name in ("draw", "average")
        )
        label = content.replace("features", "features, squares of")
        axes.plot(weights, draw / average, label=label)
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.axvline(WEIGHT, color="0.6", linestyle=":", label="SRGAN's weight")
    axes.set(xscale="log", xlabel="weight of the adversarial term", ylabel="error of a draw / of the average")
    axes.set_title("Above 1 the average is preferred", fontsize=11)
    axes.legend(frameon=False, fontsize=8, title="content")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Runs the study, prints its tables and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="the directory of photographs")
    photographs = read(parser.parse_args().folder)
    held_out, others = photographs[0::5], photographs[1::5]
    gallery = build_gallery([image for n, image in enumerate(photographs) if n % 5 > 1])
    rng = np.random.default_rng(SEED)

    training = answer(others, gallery, TRAINING, rng).answers
    logits = train_discriminator(training["truth"], training["average"])
    of_draws = train_discriminator(training["truth"], training["draw"])
    rescales = find_rescales(others)
    errors = contents(rescales)
    patches = answer(held_out, gallery, SCORED, rng)
    answers = patches.answers
    scores = Scores(
        {
            key: {name: error(x, answers["truth"]) for name, x in answers.items()}
            for key, error in errors.items()
        },
        {name: logits(x) for name, x in answers.items()},
        patches.photograph,
    )
    distorted = distort(*cut_crops(held_out), rng)
    made = {"truth": distorted.truth, **distorted.made}
    on_crops = {
        key: {name: error(x, distorted.truth) for name, x in made.items()} for key, error in errors.items()
    }

    console = Console(width=120)
    print(f"photographs: {len(held_out)} held out, {len(others)} for the discriminator")
    print(f"{len(gallery.patches):,} patches in the gallery")
    print("rescaling:", ", ".join(f"squares of {pool}: {s:.4f}" for pool, s in rescales.items()))
    print(f"neighbours: low-resolution distance {patches.distance:.4f} before the correction")
    for name, judge in (("average", logits), ("draw", of_draws)):
        right = accuracy(judge, answers["truth"], answers[name])
        print(f"discriminator of truth and {name}: right for {right:.1%} of the held-out patches")

    table = Table("distortion", "strength", "scale", *errors, "-log D", title="Crops, mean errors x 1000")
    for name, x in made.items():
        strength = scale = ""
        if name != "truth":
            scales = distorted.scales[name]
            strength = f"{np.median(distorted.strengths[name]):g}"
            scale = f"{np.median(scales):.2f} ({scales.min():.2f} to {scales.max():.2f})"
        nats = np.mean(losses.generator_non_saturating(logits(tiles(x))))
        figures = [f"{1000 * on_crops[key][name].mean():.2f}" for key in errors]
        table.add_row(name, strength, scale, *figures, f"{nats:.2f}")
    console.print(table)

    table = Table(
        "photographs",
        *list(errors)[1:],
        title="Photographs where the mean feature error is below that of bicubic",
    )
    for name in DISTORTIONS[1:]:
        counts = [
            photographs_where(on_crops[key][name] - on_crops[key]["bicubic"], distorted.photograph)
            for key in list(errors)[1:]
        ]
        table.add_row(name, *map(str, counts))
    console.print(table)

    table = Table("answer", "gradient energy", *errors, "-log D", title="Patches, mean errors x 1000")
    for name, x in answers.items():
        energy = gradient_energy(x).mean() / gradient_energy(answers["truth"]).mean()
        figures = [f"{1000 * scores.content[key][name].mean():.2f}" for key in errors]
        table.add_row(name, f"{energy:.1%}", *figures, f"{scores.adversarial(name).mean():.2f}")
    console.print(table)

    columns = ("weight 0", "photographs", f"weight {WEIGHT:g}", "photographs", "equal at")
    title = "Error of a draw / of the average, and photographs where the draw has less"
    table = Table("content", *columns, title=title)
    for key in errors:
        cells = []
        for weight in (0.0, WEIGHT):
            draw, average = (scores.perceptual(key, name, weight) for name in ("draw", "average"))
            count = photographs_where(draw - average, scores.photograph)
            cells += [f"{draw.mean() / average.mean():.3f}", str(count)]
        table.add_row(key, *cells, f"{scores.flip(key):.4f}")
    console.print(table)

    figure = Figure(figsize=(13, 8.6), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 2))
    left, right = bottom.subfigures(1, 2, width_ratios=(1.35, 1))
    draw_distortions(top, distorted, on_crops[f"features {POOLS[-1]}"])
    draw_patches(left, patches, scores)
    draw_sum(right.subplots(), scores)
    figure.savefig(PICTURE, metadata={"Software": None})
    print(f"figure: {PICTURE}")


if __name__ == "__main__":
    main()
