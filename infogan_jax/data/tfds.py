"""Images that TensorFlow Datasets has prepared on this machine, read without TensorFlow or network."""

import io
import struct
import warnings
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from infogan_jax.data import image_files, known_sets, prepared
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.data.resize import centre_square
from infogan_jax.errors import UserError

_TEST_EVERY = 10
"""Every tenth image is held out where a set has no split to test on."""

_LIMIT_SEED = 0
# Images decoded at a time: large enough to spread Python's costs, small enough to stay in cache.
_BATCH = 1000
_MODES = {1: "L", 3: "RGB"}


def image_shape(name: str, *, size: int = 0, extra: bool = False) -> tuple[int, int, int]:
    """Height, width and channels of a prepared set's images, from its folder's JSON files alone.

    Args:
        name: as for `prepared.find`.
        size: the side that images are resized to, in pixels; 0: none.
        extra: as for `load`.

    Raises:
        UserError: as `prepared.find`; or the set has no images, or they have several shapes and no size is
            given.
    """
    height, width, channels = _stored_shape(name, prepared.find(name, extra=extra))
    if size:
        return size, size, channels
    if min(height, width) < 1:
        raise UserError(
            f"{name} has images of several shapes: resize them to N x N pixels with --data.size N"
        )
    return height, width, channels


def count(name: str, *, extra: bool = False, limit: int = 0) -> int:
    """Images that `load` reads, of all splits; its arguments and exceptions are `load`'s."""
    found = prepared.find(name, extra=extra)
    lengths = prepared.lengths(found.folder)
    train = sum(lengths[split] for split in found.train)
    sizes = [train, lengths[found.test]] if found.test else [train]
    return sum(min(size, limit) if limit else size for size in sizes)


def load(name: str, *, size: int = 0, extra: bool = False, limit: int = 0) -> Dataset:
    """Loads a prepared set of images into memory, where each takes height x width x channels bytes.

    The test split is the set's `test`, or where there is none its `validation`. A set without either is
    divided: every tenth image of `train`, in the order that it is stored in, is for testing alone.

    Args:
        name: as for `prepared.find`.
        size: squares from the images' centres are resized to this side in pixels, as `centre_square` does;
            0 takes the images as they are.
        extra: whether the images of the split `extra` follow those of `train`.
        limit: of each split only so many images are read, drawn once with a fixed seed; 0 reads all.

    Returns:
        The feature `image` (uint8, 1 or 3 channels); the labels, where `label` or what `known_sets` names in
        its place is a class label; and the factors that `known_sets` knows.

    Raises:
        UserError: as `image_shape`; or the images don't fit into memory, or a file is damaged, or a split is
            empty.
    """
    found = prepared.find(name, extra=extra)
    stored, shape = _stored_shape(name, found), image_shape(name, size=size, extra=extra)
    # Imported here: it takes seconds, and what is above answers without it.
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(found.folder)
    features = dict(builder.info.features.items())
    known = known_sets.find(builder.name)
    label = features.get(known.label)
    num_classes = label.num_classes if isinstance(label, tfds.features.ClassLabel) else None
    columns = tuple(column for column in known.columns if column.feature in features)
    # Only these are parsed: to take CelebA's attributes apart takes longer than to decode its images.
    names = {"image", *(column.feature for column in columns), *([known.label] if num_classes else [])}
    parts = _Parts(
        tfds.features.FeaturesDict({each: features[each] for each in names}),
        stored,
        known.binary,
        known.label if num_classes else None,
        columns,
    )

    def source(split: str) -> Any:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        return builder.as_data_source(split=split, file_format=prepared.FORMAT, deserialize_method=raw)

    try:
        train = source("+".join(found.train))
        positions = np.arange(len(train))
        if found.test:
            test = source(found.test)
            chosen = positions, np.arange(len(test))
        else:
            test, held_out = train, positions % _TEST_EVERY == 0
            chosen = positions[~held_out], positions[held_out]
        of_train, of_test = (
            _read_split(records, _drawn(indices, limit), parts, shape)
            for records, indices in zip((train, test), chosen, strict=True)
        )
    # RuntimeError is what array_record raises where a file's checksums do not hold.
    except (RuntimeError, image_files.Unreadable) as error:
        raise UserError(
            f"a file of {found.folder} is damaged ({image_files.reason(error)}); "
            f"delete that folder, then {prepared.how_to_prepare(name)}"
        ) from error
    except MemoryError as error:
        raise UserError(
            f"{name} doesn't fit into memory ({error}): take fewer images with --data.limit"
        ) from error
    try:
        return Dataset(name, of_train, of_test, num_classes, tuple(column.factor for column in columns))
    except ValueError as error:
        raise UserError(f"{name} cannot be used: {error}") from error


class _Parts(NamedTuple):
    """What is read of each record."""

    features: Any  # a FeaturesDict
    stored_shape: tuple[int, int, int]
    binary: bool
    label: str | None
    columns: tuple[known_sets.Column, ...]


def _stored_shape(name: str, found: prepared.Prepared) -> tuple[int, int, int]:
    """Height, width and channels of the images as they are stored; -1 for what differs between them."""
    described = prepared.read_json(found.folder / "features.json")
    if "featuresDict" not in described:
        raise UserError(
            f"{found.folder} is from an old TFDS: delete it, then {prepared.how_to_prepare(name)}"
        )
    _check_names(name, described)
    features = described["featuresDict"]["features"]
    image = features.get("image", {}).get("image", {})
    shape = tuple(int(size) for size in image.get("shape", {}).get("dimensions", ()))
    if image.get("dtype") != "uint8" or len(shape) != 3 or shape[2] not in _MODES:
        raise UserError(
            f"{name} has no feature `image` of uint8 with 1 or 3 channels; "
            f"its features are: {', '.join(features)}"
        )
    return shape


def _check_names(name: str, described: Any) -> None:
    """Refuses classes of others than TFDS: it would import what a feature names."""
    if isinstance(described, list):
        described = dict(enumerate(described))
    if not isinstance(described, dict):
        return
    for key, value in described.items():
        if key == "pythonClassName" and not str(value).startswith("tensorflow_datasets."):
            raise UserError(
                f"{name} has a feature of the class {value}, which is no part of TensorFlow Datasets: its "
                "code is not run; take a set without it"
            )
        _check_names(name, value)


def _drawn(indices: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of the indices, in their order; 0: all."""
    if not limit or limit >= len(indices):
        return indices
    return np.sort(np.random.default_rng(_LIMIT_SEED).permutation(indices)[:limit])


def _read_split(source: Any, indices: np.ndarray, parts: _Parts, shape: tuple[int, int, int]) -> Split:
    images = np.empty((len(indices), *shape), np.uint8)
    labels = np.empty(len(indices), np.int32)
    factors = np.empty((len(indices), len(parts.columns)), np.float32)
    for start in range(0, len(indices), _BATCH):
        here = slice(start, start + _BATCH)
        examples = _examples(source.__getitems__(indices[here].tolist()), parts)
        pixels = _decode([example["image"] for example in examples], parts.stored_shape)
        if parts.binary:
            pixels = [np.uint8(255) * (image > 0) for image in pixels]
        if parts.stored_shape != shape:
            pixels = [centre_square(image, shape[0]) for image in pixels]
        images[here] = pixels
        if parts.label:
            labels[here] = _int32([example[parts.label] for example in examples])
        for number, column in enumerate(parts.columns):
            values = np.array([example[column.feature] for example in examples], np.float32)
            factors[here, number] = column.first + column.step * values
    return Split(images, labels if parts.label else None, factors if parts.columns else None)


def _examples(records: list[bytes], parts: _Parts) -> list[dict[str, Any]]:
    """What records hold, their images as the PNG or JPEG files that they are stored as.

    Those decode faster many at a time.

    Raises:
        Unreadable: one is no record of these features, or has not all of them. array_record itself returns
            empty ones from a file that was cut to its first 64 KiB.
    """
    from tensorflow_datasets import decode

    decoders = {"image": decode.SkipDecoding()}
    try:
        # NumPy would warn of a label that is no number, and make one of it.
        with np.errstate(invalid="raise"):
            examples = [
                parts.features.deserialize_example_np(record, decoders=decoders) for record in records
            ]
    except MemoryError:
        raise
    # TFDS and protobuf have an error for each thing that bytes can be instead.
    except Exception as error:
        raise image_files.Unreadable(f"a record can't be read: {image_files.reason(error)}") from error
    for example in examples:
        missing = [name for name, value in example.items() if value is None]
        if missing:
            raise image_files.Unreadable(f"a record has no {', '.join(missing)}")
        if not isinstance(example["image"], bytes):
            raise image_files.Unreadable("a record's image is no file")
    return examples


def _int32(values: list[int]) -> np.ndarray:
    try:
        return np.array(values, np.int32)
    except OverflowError as error:
        raise image_files.Unreadable(f"a label is out of bounds: {error}") from error


def _decode(files: list[bytes], shape: tuple[int, int, int]) -> np.ndarray | list[np.ndarray]:
    """Decodes PNG or JPEG files into uint8 [N, H, W, C], or where their shapes differ, each by itself.

    Raises:
        Unreadable: one is no such image, not all of one, of another shape, or too large to be meant.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decoded(files, shape)
    except MemoryError:
        # There are many at a time: it need not be this one's fault.
        raise
    except image_files.DAMAGE as error:
        raise image_files.Unreadable(image_files.reason(error)) from error


def _decoded(files: list[bytes], shape: tuple[int, int, int]) -> np.ndarray | list[np.ndarray]:
    height, width, channels = shape
    if min(shape) > 0:
        colour_type = {1: 0, 3: 2}[channels]
        # What every PNG of this shape with 8 bits a value, not interlaced, begins with.
        header = b"\x89PNG\r\n\x1a\n" + struct.pack(
            ">I4sIIBBBBB", 13, b"IHDR", width, height, 8, colour_type, 0, 0, 0
        )
        if all(file.startswith(header) for file in files):
            return _decode_pngs(files, shape)
    return [_decode_one(file, shape) for file in files]


def _decode_pngs(files: list[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    # Opening 60,000 small files in Pillow takes longer than decoding them. Inside, a PNG is the
    # deflated rows of the image, each filtered against the row above; so the rows of many images,
    # with a row of zeros above each as PNG's filters take it, decode as one tall image.
    height, width, channels = shape
    above = bytes(1 + width * channels)
    rows = b"".join(above + _inflated(_deflated_rows(file), height * len(above)) for file in files)
    size = (width, len(files) * (height + 1))
    tall = Image.frombytes(_MODES[channels], size, zlib.compress(rows, level=0), "zip", _MODES[channels])
    return np.asarray(tall).reshape(len(files), height + 1, width, channels)[:, 1:]


def _inflated(deflated: bytes, size: int) -> bytes:
    """What `size` bytes were deflated to; more of them may be meant to fill the memory."""
    inflater = zlib.decompressobj()
    content = inflater.decompress(deflated, size)
    if len(content) != size or inflater.decompress(inflater.unconsumed_tail, 1):
        raise zlib.error(f"an image is not of the {size} bytes that its header says")
    return content


def _deflated_rows(file: bytes) -> bytes:
    parts, position = [], 8
    while position < len(file):
        length, kind = struct.unpack_from(">I4s", file, position)
        if kind == b"IDAT":
            parts.append(file[position + 8 : position + 8 + length])
        position += 12 + length  # length, kind, content and checksum
    return b"".join(parts)


def _decode_one(file: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
        image_files.check_size(image)
        pixels = np.asarray(image.convert(_MODES[shape[2]])).reshape(image.height, image.width, shape[2])
    if any(said not in (-1, size) for said, size in zip(shape, pixels.shape, strict=True)):
        raise image_files.Unreadable(f"an image is {pixels.shape} where the data set says {shape}")
    return pixels
