"""Images that TensorFlow Datasets has prepared on this machine, read without TensorFlow or network."""

import io
import json
import os
import re
import shlex
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import UserError

# name, name/config, name:version or name/config:version. No part can climb out of the data folder.
_NAME = re.compile(r"([a-z]\w*)(?:/(\w[\w+.-]*))?(?::(\d+\.\d+\.\d+))?", re.ASCII | re.IGNORECASE)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_SHARD_NAME = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# The others need TensorFlow to read, or cannot be read at random.
_FORMAT = "array_record"
# Images decoded at a time: large enough to spread Python's costs, small enough to stay in cache.
_BATCH = 1000
_MODES = {1: "L", 3: "RGB"}


def prepared_folder(name: str) -> Path:
    """Finds the newest prepared version of a data set under TFDS_DATA_DIR or ~/tensorflow_datasets.

    It answers at once, from the folder's small JSON files alone: TFDS itself takes seconds to import,
    and minutes to give up where the data is absent and there is no network.

    Args:
        name: "mnist", "name/config", "name:version" or "name/config:version".

    Returns:
        The version's folder, whose files are complete and can be read.

    Raises:
        UserError: the name is malformed, the data is not there, is incomplete, has no usable splits or is
            in a format that needs TensorFlow. The message says how to prepare it.
    """
    folder = _newest_version(name)
    info = _read_info(folder)
    formats = [info.get("fileFormat"), *info.get("alternativeFileFormats", [])]
    if _FORMAT not in formats:
        raise UserError(
            f"{folder} is in the {formats[0]} format and only {_FORMAT} can be read without TensorFlow; "
            f"move that folder away, then {_how_to_prepare(name)}"
        )
    for split in _split_names(folder, info):
        for shard in _shards(folder, info, split):
            if not shard.is_file() or shard.stat().st_size == 0:
                raise UserError(f"{shard} is missing or empty; delete {folder}, then {_how_to_prepare(name)}")
    return folder


def image_shape(name: str) -> tuple[int, int, int]:
    """Height, width and channels of a prepared set's images, from its folder's JSON files alone.

    Args:
        name: as for `prepared_folder`.

    Raises:
        UserError: as `prepared_folder`, or the set has no images of one fixed shape.
    """
    folder = prepared_folder(name)
    described = _read_json(folder / "features.json")
    if "featuresDict" not in described:
        raise UserError(f"{folder} is from an old TFDS: delete it, then {_how_to_prepare(name)}")
    features = described["featuresDict"]["features"]
    image = features.get("image", {}).get("image", {})
    shape = tuple(int(size) for size in image.get("shape", {}).get("dimensions", ()))
    if image.get("dtype") != "uint8" or len(shape) != 3 or min(shape) < 1 or shape[2] not in _MODES:
        raise UserError(
            f"{name} has no feature `image` of uint8 in one fixed shape with 1 or 3 channels; "
            f"its features are: {', '.join(features)}"
        )
    return shape


def load(name: str) -> Dataset:
    """Loads a prepared set of images of one fixed shape into memory.

    The test split is the data set's `test`, or where there is none its `validation`.

    Args:
        name: as for `prepared_folder`.

    Returns:
        The feature `image` (uint8, 1 or 3 channels) and, where `label` is a class label, the labels.

    Raises:
        UserError: as `prepared_folder`, or the features are not images of one shape.
    """
    folder = prepared_folder(name)
    shape = image_shape(name)
    # Imported here: it takes seconds, and what is above answers without it.
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    label = dict(builder.info.features.items()).get("label")
    num_classes = label.num_classes if isinstance(label, tfds.features.ClassLabel) else None
    splits = _split_names(folder, _read_info(folder))
    try:
        train, test = (
            _read_split(builder, split, shape, labelled=num_classes is not None) for split in splits
        )
    except RuntimeError as error:  # what array_record raises where a file's checksums do not hold
        raise UserError(
            f"a file of {folder} is damaged ({error}); delete that folder, then {_how_to_prepare(name)}"
        ) from error
    try:
        return Dataset(name=name, train=train, test=test, num_classes=num_classes)
    except ValueError as error:
        raise UserError(f"{name} cannot be used: {error}") from error


def _read_split(builder: Any, split: str, shape: tuple[int, int, int], *, labelled: bool) -> Split:
    from tensorflow_datasets import decode

    # Images come as the PNG or JPEG files they are stored as: many decode faster together.
    decoders = {"image": decode.SkipDecoding()}
    source = builder.as_data_source(split=split, decoders=decoders, file_format=_FORMAT)
    images = np.empty((len(source), *shape), np.uint8)
    labels = np.empty(len(source), np.int32)
    for start in range(0, len(source), _BATCH):
        examples = source.__getitems__(range(start, min(start + _BATCH, len(source))))
        here = slice(start, start + len(examples))
        images[here] = _decode([example["image"] for example in examples], shape)
        if labelled:
            labels[here] = [example["label"] for example in examples]
    return Split(images, labels if labelled else None)


def _decode(files: list[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes PNG or JPEG files of one shape (H, W, C) into uint8 [N, H, W, C]."""
    height, width, channels = shape
    colour_type = {1: 0, 3: 2}[channels]
    # What every PNG of this shape with 8 bits a value, not interlaced, begins with.
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(
        ">I4sIIBBBBB", 13, b"IHDR", width, height, 8, colour_type, 0, 0, 0
    )
    if all(file.startswith(header) for file in files):
        return _decode_pngs(files, shape)
    return np.stack([_decode_one(file, shape) for file in files])


def _decode_pngs(files: list[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    # Opening 60,000 small files in Pillow takes longer than decoding them. Inside, a PNG is the
    # deflated rows of the image, each filtered against the row above; so the rows of many images,
    # with a row of zeros above each as PNG's filters take it, decode as one tall image.
    height, width, channels = shape
    above = bytes(1 + width * channels)
    rows = b"".join(above + zlib.decompress(_deflated_rows(file)) for file in files)
    size = (width, len(files) * (height + 1))
    tall = Image.frombytes(_MODES[channels], size, zlib.compress(rows, level=0), "zip", _MODES[channels])
    return np.asarray(tall).reshape(len(files), height + 1, width, channels)[:, 1:]


def _deflated_rows(file: bytes) -> bytes:
    parts, position = [], 8
    while position < len(file):
        length, kind = struct.unpack_from(">I4s", file, position)
        if kind == b"IDAT":
            parts.append(file[position + 8 : position + 8 + length])
        position += 12 + length  # length, kind, content and checksum
    return b"".join(parts)


def _decode_one(file: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        pixels = np.asarray(image.convert(_MODES[shape[2]])).reshape(image.height, image.width, shape[2])
    if pixels.shape != shape:
        raise UserError(f"an image is {pixels.shape} where the data set says {shape}; prepare it again")
    return pixels


def _newest_version(name: str) -> Path:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(
            f"{name!r} is not a data set's name; write it as mnist, name/config, name:1.0.0 or "
            "name/config:1.0.0"
        )
    dataset, config, version = match.groups()
    folder = _data_dir() / dataset
    if config is not None:
        folder /= config
    elif not _versions(folder) and (children := [each for each in _children(folder) if _versions(each)]):
        choices = ", ".join(f"{dataset}/{child.name}" for child in children)
        raise UserError(f"{dataset} is prepared in {folder} by configuration; name one of: {choices}")
    versions = [each for each in _versions(folder) if version in (None, each)]
    if not versions:
        raise UserError(
            f"{name} is not prepared: no version of it in {folder} has a dataset_info.json; "
            f"set TFDS_DATA_DIR if it is elsewhere, or {_how_to_prepare(name)}"
        )
    return folder / versions[-1]


def _data_dir() -> Path:
    named = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise UserError(f"TFDS_DATA_DIR is {named}: there is no such home folder; name another") from error


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []


def _versions(folder: Path) -> list[str]:
    """Names of the prepared versions in a folder, the newest last."""
    names = [
        child.name
        for child in _children(folder)
        if _VERSION.fullmatch(child.name) and (child / "dataset_info.json").is_file()
    ]
    return sorted(names, key=lambda name: [int(number) for number in name.split(".")])


def _read_info(folder: Path) -> dict[str, Any]:
    return _read_json(folder / "dataset_info.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} has no {path.name}: delete it and prepare the data again") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: delete {path.parent} and prepare the data again") from error


def _split_names(folder: Path, info: dict[str, Any]) -> tuple[str, str]:
    names = [split["name"] for split in info.get("splits", [])]
    test = next((name for name in ("test", "validation") if name in names), None)
    if "train" not in names or test is None:
        raise UserError(
            f"{folder} has the splits {', '.join(names) or '(none)'}; "
            "it needs `train`, and `test` or `validation`"
        )
    return "train", test


def _shards(folder: Path, info: dict[str, Any], split_name: str) -> list[Path]:
    split = next(split for split in info["splits"] if split["name"] == split_name)
    lengths = [int(length) for length in split.get("shardLengths", [])]
    template = split.get("filepathTemplate") or _SHARD_NAME
    return [
        folder
        / template.format(
            DATASET=info["name"],
            SPLIT=split_name,
            FILEFORMAT=_FORMAT,
            SHARD_INDEX=f"{shard:05d}",
            NUM_SHARDS=f"{len(lengths):05d}",
            SHARD_X_OF_Y=f"{shard:05d}-of-{len(lengths):05d}",
        )
        for shard, length in enumerate(lengths)
        if length > 0
    ]


def _how_to_prepare(name: str) -> str:
    # The Python call and not `tfds build`, which takes a folder of the data set's name in the
    # current one for a script.
    builder = f'"{name}", data_dir={json.dumps(str(_data_dir()))}, file_format="{_FORMAT}"'
    call = f"import tensorflow_datasets as tfds; tfds.builder({builder}).download_and_prepare()"
    python = shlex.quote(sys.executable)
    install = f'{python} -m pip install "infogan-jax[prepare]"'
    return f"prepare it with: {install} && {python} -c {shlex.quote(call)}"
