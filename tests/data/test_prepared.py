import json
import shlex
import sys

import pytest

from infogan_jax.data import prepared
from infogan_jax.errors import UserError


def test_the_newest_version_is_found_by_number(data_dir, prepare):
    for version in ("1.0.0", "10.0.0", "9.1.0"):
        prepare(data_dir / "toy" / version)
    (data_dir / "toy" / "11.0.0").mkdir()  # prepared by half: no dataset_info.json
    (data_dir / "toy" / "incomplete.XYZ_12.0.0").mkdir()
    assert prepared.find("toy").folder == data_dir / "toy" / "10.0.0"
    assert prepared.find("toy:9.1.0").folder == data_dir / "toy" / "9.1.0"


def test_a_configuration_is_a_folder_of_its_own(data_dir, prepare):
    prepare(data_dir / "toy" / "small+grey-0.5" / "1.0.0")
    expected = data_dir / "toy" / "small+grey-0.5" / "1.0.0"
    assert prepared.find("toy/small+grey-0.5").folder == expected
    assert prepared.find("toy/small+grey-0.5:1.0.0").folder == expected
    with pytest.raises(UserError, match=r"by configuration; name one of: toy/small\+grey-0.5"):
        prepared.find("toy")


@pytest.mark.parametrize("name", ["toy", "toy:2.0.0", "toy/big", "toy/big:1.0.0"])
def test_absent_data_comes_with_the_command_that_prepares_it(data_dir, name, prepare):
    if name == "toy:2.0.0":
        prepare(data_dir / "toy" / "1.0.0")
    with pytest.raises(UserError, match="not prepared") as refusal:
        prepared.find(name)
    message = str(refusal.value)
    assert str(data_dir / "toy") in message and "\n" not in message
    words = shlex.split(message.partition("prepare it with: ")[2])
    python = sys.executable
    assert words[:7] == [python, "-m", "pip", "install", "infogan-jax[prepare]", "&&", python]
    assert words[7] == "-c"
    compile(words[8], "command", "exec")
    call = f'builder("{name}", data_dir="{data_dir}", file_format="array_record").download_and_prepare()'
    assert words[8].endswith(call)


def test_the_default_folder_is_in_the_home(tmp_path, monkeypatch, prepare):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = prepare(tmp_path / "tensorflow_datasets" / "toy" / "1.0.0")
    assert prepared.find("toy").folder == folder


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../x", "toy/..", "toy/../x", "/toy", "toy/", "a/b/c", "C:\\toy"),
        *("toy:", "toy:1", "toy:*.*.*", "toy:1.0.0/x", "hub:toy", "toy\n", "toy x", "1toy", '"'),
    ],
)
def test_what_is_not_a_name_is_refused(data_dir, name):
    with pytest.raises(UserError, match="is not a data set's name"):
        prepared.find(name)


def test_a_format_that_needs_tensorflow_is_refused(data_dir, prepare):
    prepare(data_dir / "toy" / "1.0.0", file_format="tfrecord")
    with pytest.raises(UserError, match=r"is in the tfrecord format.*move that folder away, then prepare"):
        prepared.find("toy")


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_shard_that_is_not_whole_is_named(data_dir, damage, prepare):
    shard = prepare(data_dir / "toy" / "1.0.0") / "toy-train.array_record-00001-of-00002"
    shard.unlink() if damage == "missing" else shard.write_bytes(b"")
    with pytest.raises(UserError, match=f"{shard.name} is missing or empty; delete"):
        prepared.find("toy")


def test_shards_of_other_splits_and_of_no_records_may_be_absent(data_dir, prepare):
    splits = {"train": [3, 0], "test": [4], "extra": [9]}
    folder = prepare(data_dir / "toy" / "1.0.0", splits=splits)
    (folder / "toy-train.array_record-00001-of-00002").unlink()
    (folder / "toy-extra.array_record-00000-of-00001").unlink()
    assert prepared.find("toy").folder == folder


def test_the_splits_are_those_to_train_and_to_test_on(data_dir, prepare):
    for version, names, expected in (
        ("1.0.0", ("train", "test", "validation", "extra"), (("train",), "test")),
        ("2.0.0", ("train", "validation"), (("train",), "validation")),
        ("3.0.0", ("train",), (("train",), None)),
    ):
        folder = prepare(data_dir / "toy" / version, splits={name: [2] for name in names})
        assert prepared.find("toy") == (folder, *expected)
    assert prepared.find("toy:1.0.0", extra=True).train == ("train", "extra")


def test_an_extra_split_that_is_asked_for_must_be_whole(data_dir, prepare):
    folder = prepare(data_dir / "toy" / "1.0.0", splits={"train": [3], "test": [4], "extra": [9]})
    shard = folder / "toy-extra.array_record-00000-of-00001"
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard.name} is missing or empty; delete"):
        prepared.find("toy", extra=True)


@pytest.mark.parametrize(
    ("splits", "extra", "message"),
    [
        ({"test": [1], "validation": [1]}, False, "has the splits test, validation; it needs `train`$"),
        ({}, False, r"has the splits \(none\); it needs `train`$"),
        ({"train": [1]}, True, "has the splits train; it needs `extra`; leave out --data.extra$"),
    ],
)
def test_splits_that_are_needed_and_missing_are_named(data_dir, prepare, splits, extra, message):
    prepare(data_dir / "toy" / "1.0.0", splits=splits)
    with pytest.raises(UserError, match=message):
        prepared.find("toy", extra=extra)


def test_damaged_json_is_refused(data_dir, prepare):
    (prepare(data_dir / "toy" / "1.0.0") / "dataset_info.json").write_text('{"name"')
    with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
        prepared.find("toy")


@pytest.mark.parametrize("template", ["../{DATASET}", "/etc/passwd", "deeper/{DATASET}"])
def test_shards_outside_the_folder_are_refused(data_dir, prepare, template):
    folder = prepare(data_dir / "toy" / "1.0.0")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["filepathTemplate"] = template
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="which is not in its folder"):
        prepared.find("toy")


@pytest.mark.parametrize(
    "template",
    ["{NAME}-{SPLIT}", "{}", "{0}", "{SPLIT.__class__}", "{SPLIT[9]}", "{SHARD_INDEX:>999999999}", 5],
)
def test_a_template_of_anything_but_names_is_refused(data_dir, prepare, template):
    folder = prepare(data_dir / "toy" / "1.0.0")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["filepathTemplate"] = template
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
        prepared.find("toy")


@pytest.mark.parametrize("content", ["[]", "5", "[" * 10**5])
def test_json_that_says_nothing_is_refused(data_dir, prepare, content):
    (prepare(data_dir / "toy" / "1.0.0") / "dataset_info.json").write_text(content)
    with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
        prepared.find("toy")


def test_the_records_of_each_split_are_counted(data_dir, prepare):
    folder = prepare(data_dir / "toy" / "1.0.0")
    assert prepared.lengths(folder) == {"train": 5, "test": 4}
