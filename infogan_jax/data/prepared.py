"""Finds what TensorFlow Datasets has prepared on this machine, from its small JSON files alone.

TFDS itself takes seconds to import, and minutes to give up where the data is absent and there is no network.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from infogan_jax.errors import UserError

FORMAT = "array_record"
"""The others need TensorFlow to read, or cannot be read at random."""

# name, name/config, name:version or name/config:version. No part can climb out of the data folder.
_NAME = re.compile(r"([a-z]\w*)(?:/(\w[\w+.-]*))?(?::(\d+\.\d+\.\d+))?", re.ASCII | re.IGNORECASE)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_SHARD_NAME = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


class Prepared(NamedTuple):
    """A version of a data set whose files are complete and can be read."""

    folder: Path
    """The version's folder."""
    train: tuple[str, ...]
    """The splits to train on: `train`, and `extra` where it was asked for."""
    test: str | None
    """The split to test on: `test`, or where there is none `validation`; None where there is neither."""


def find(name: str, *, extra: bool = False) -> Prepared:
    """Finds the newest prepared version of a data set under TFDS_DATA_DIR or ~/tensorflow_datasets.

    Args:
        name: "mnist", "name/config", "name:version" or "name/config:version".
        extra: whether the split `extra` is trained on too.

    Returns:
        The version's folder and splits.

    Raises:
        UserError: the name is malformed, the data is not there, is incomplete, has no usable splits or is
            in a format that needs TensorFlow. The message says how to prepare it.
    """
    folder = _newest_version(name)
    info = read_json(folder / "dataset_info.json")
    formats = [info.get("fileFormat"), *info.get("alternativeFileFormats", [])]
    if FORMAT not in formats:
        raise UserError(
            f"{folder} is in the {formats[0]} format and only {FORMAT} can be read without TensorFlow; "
            f"move that folder away, then {how_to_prepare(name)}"
        )
    train, test = _split_names(folder, info, extra)
    for split in filter(None, (*train, test)):
        for shard in _shards(folder, info, split):
            if shard.parent != folder:
                raise UserError(
                    f"{folder / 'dataset_info.json'} names {shard}, which is not in its folder; "
                    f"delete {folder}, then {how_to_prepare(name)}"
                )
            if not shard.is_file() or shard.stat().st_size == 0:
                raise UserError(f"{shard} is missing or empty; delete {folder}, then {how_to_prepare(name)}")
    return Prepared(folder, train, test)


def lengths(folder: Path) -> dict[str, int]:
    """The number of records of each split of a version's folder that `find` found."""
    splits = read_json(folder / "dataset_info.json")["splits"]
    return {split["name"]: sum(map(int, split.get("shardLengths", []))) for split in splits}


def read_json(path: Path) -> dict[str, Any]:
    """Reads one of the files that describe a prepared version.

    Raises:
        UserError: it is not there or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} has no {path.name}: delete it and prepare the data again") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(values, dict):
        raise _damaged(path)
    return values


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: delete {path.parent} and prepare the data again")


def how_to_prepare(name: str) -> str:
    """The command that prepares a data set so that `find` finds it, as the end of a sentence."""
    # The Python call and not `tfds build`, which takes a folder of the data set's name in the
    # current one for a script.
    builder = f'"{name}", data_dir={json.dumps(str(_data_dir()))}, file_format="{FORMAT}"'
    call = f"import tensorflow_datasets as tfds; tfds.builder({builder}).download_and_prepare()"
    python = shlex.quote(sys.executable)
    install = f'{python} -m pip install "infogan-jax[prepare]"'
    return f"prepare it with: {install} && {python} -c {shlex.quote(call)}"


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
            f"set TFDS_DATA_DIR if it is elsewhere, or {how_to_prepare(name)}"
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


def _split_names(folder: Path, info: dict[str, Any], extra: bool) -> tuple[tuple[str, ...], str | None]:
    names = [split["name"] for split in info.get("splits", [])]
    train = ("train", "extra") if extra else ("train",)
    for needed in train:
        if needed not in names:
            without = "; leave out --data.extra" if needed == "extra" else ""
            raise UserError(
                f"{folder} has the splits {', '.join(names) or '(none)'}; it needs `{needed}`{without}"
            )
    return train, next((name for name in ("test", "validation") if name in names), None)


def _shards(folder: Path, info: dict[str, Any], split_name: str) -> list[Path]:
    try:
        split = next(split for split in info["splits"] if split["name"] == split_name)
        lengths = [int(length) for length in split.get("shardLengths", [])]
        template = split.get("filepathTemplate") or _SHARD_NAME
        return [
            folder
            / _filled(
                template,
                DATASET=info["name"],
                SPLIT=split_name,
                FILEFORMAT=FORMAT,
                SHARD_INDEX=f"{shard:05d}",
                NUM_SHARDS=f"{len(lengths):05d}",
                SHARD_X_OF_Y=f"{shard:05d}-of-{len(lengths):05d}",
            )
            for shard, length in enumerate(lengths)
            if length > 0
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / "dataset_info.json") from error


def _filled(template: str, **values: str) -> str:
    """A template with its names in braces filled in, and nothing else that `str.format` knows of.

    Raises:
        KeyError: another name is in braces.
    """
    return re.sub(r"\{(.*?)\}", lambda name: values[name[1]], template)
