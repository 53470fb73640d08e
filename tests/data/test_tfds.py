import io
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from infogan_jax.data import tfds
from infogan_jax.errors import UserError

SPLITS = {"train": [3, 2], "test": [4]}


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def _prepare(folder, *, splits=SPLITS, file_format="array_record", features=None, shard=b"records"):
    """Writes what TFDS leaves in a version's folder, with shards of no worth."""
    folder.mkdir(parents=True)
    info = {
        "name": "toy",
        "version": folder.name,
        "fileFormat": file_format,
        "splits": [
            {
                "name": name,
                "numBytes": "100",
                "shardLengths": [str(length) for length in lengths],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for name, lengths in splits.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    features = features or {"image": tensorflow_datasets.features.Image(shape=(4, 4, 1))}
    tensorflow_datasets.features.FeaturesDict(features).save_config(folder)
    for name, lengths in splits.items():
        for index in range(len(lengths)):
            path = folder / f"toy-{name}.{file_format}-{index:05d}-of-{len(lengths):05d}"
            path.write_bytes(shard)
    return folder


class TestPreparedFolder:
    def test_the_newest_version_is_found_by_number(self, data_dir):
        for version in ("1.0.0", "10.0.0", "9.1.0"):
            _prepare(data_dir / "toy" / version)
        (data_dir / "toy" / "11.0.0").mkdir()  # prepared by half: no dataset_info.json
        (data_dir / "toy" / "incomplete.XYZ_12.0.0").mkdir()
        assert tfds.prepared_folder("toy") == data_dir / "toy" / "10.0.0"
        assert tfds.prepared_folder("toy:9.1.0") == data_dir / "toy" / "9.1.0"

    def test_a_configuration_is_a_folder_of_its_own(self, data_dir):
        _prepare(data_dir / "toy" / "small+grey-0.5" / "1.0.0")
        expected = data_dir / "toy" / "small+grey-0.5" / "1.0.0"
        assert tfds.prepared_folder("toy/small+grey-0.5") == expected
        assert tfds.prepared_folder("toy/small+grey-0.5:1.0.0") == expected
        with pytest.raises(UserError, match=r"by configuration; name one of: toy/small\+grey-0.5"):
            tfds.prepared_folder("toy")

    @pytest.mark.parametrize("name", ["toy", "toy:2.0.0", "toy/big", "toy/big:1.0.0"])
    def test_absent_data_comes_with_the_command_that_prepares_it(self, data_dir, name):
        if name == "toy:2.0.0":
            _prepare(data_dir / "toy" / "1.0.0")
        with pytest.raises(UserError, match="not prepared") as refusal:
            tfds.prepared_folder(name)
        message = str(refusal.value)
        assert str(data_dir / "toy") in message and "\n" not in message
        words = shlex.split(message.partition("prepare it with: ")[2])
        python = sys.executable
        assert words[:7] == [python, "-m", "pip", "install", "infogan-jax[prepare]", "&&", python]
        assert words[7] == "-c"
        compile(words[8], "command", "exec")
        call = f'builder("{name}", data_dir="{data_dir}", file_format="array_record").download_and_prepare()'
        assert words[8].endswith(call)

    def test_the_command_that_is_given_prepares_what_load_reads(self, data_dir, capfd):
        with pytest.raises(UserError) as refusal:
            tfds.prepared_folder("toy_squares")
        command = shlex.split(str(refusal.value))[-1]
        tensorflow_datasets.disable_progress_bar()
        exec(command, {})
        capfd.readouterr()
        data = tfds.load("toy_squares")
        assert capfd.readouterr() == ("", "")
        # The builder has no `test`, so `validation` is the test split; TFDS shuffles on disk.
        for split, seed, count in ((data.train, 0, 12), (data.test, 1, 5)):
            images = _squares(seed, count)
            order = [int(np.argmax((images == image).all((1, 2, 3)))) for image in split.images]
            assert sorted(order) == list(range(count))
            np.testing.assert_array_equal(split.images, images[order])
            np.testing.assert_array_equal(split.labels, np.array(order) % 3)
        assert data.num_classes == 3
        # The same records without the label among their features.
        path = tfds.prepared_folder("toy_squares") / "features.json"
        content = json.loads(path.read_text())
        del content["featuresDict"]["features"]["label"]
        path.write_text(json.dumps(content))
        unlabelled = tfds.load("toy_squares")
        assert unlabelled.num_classes is unlabelled.train.labels is None
        np.testing.assert_array_equal(unlabelled.test.images, data.test.images)

    def test_the_default_folder_is_in_the_home(self, tmp_path, monkeypatch):
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        folder = _prepare(tmp_path / "tensorflow_datasets" / "toy" / "1.0.0")
        assert tfds.prepared_folder("toy") == folder

    @pytest.mark.parametrize(
        "name",
        [
            *("", "..", "../x", "toy/..", "toy/../x", "/toy", "toy/", "a/b/c", "C:\\toy"),
            *("toy:", "toy:1", "toy:*.*.*", "toy:1.0.0/x", "hub:toy", "toy\n", "toy x", "1toy", '"'),
        ],
    )
    def test_what_is_not_a_name_is_refused(self, data_dir, name):
        with pytest.raises(UserError, match="is not a data set's name"):
            tfds.prepared_folder(name)

    def test_a_format_that_needs_tensorflow_is_refused(self, data_dir):
        _prepare(data_dir / "toy" / "1.0.0", file_format="tfrecord")
        with pytest.raises(
            UserError, match=r"is in the tfrecord format.*move that folder away, then prepare"
        ):
            tfds.prepared_folder("toy")

    @pytest.mark.parametrize("damage", ["missing", "empty"])
    def test_a_shard_that_is_not_whole_is_named(self, data_dir, damage):
        shard = _prepare(data_dir / "toy" / "1.0.0") / "toy-train.array_record-00001-of-00002"
        shard.unlink() if damage == "missing" else shard.write_bytes(b"")
        with pytest.raises(UserError, match=f"{shard.name} is missing or empty; delete"):
            tfds.prepared_folder("toy")

    def test_shards_of_other_splits_and_of_no_records_may_be_absent(self, data_dir):
        splits = {"train": [3, 0], "test": [4], "extra": [9]}
        folder = _prepare(data_dir / "toy" / "1.0.0", splits=splits)
        (folder / "toy-train.array_record-00001-of-00002").unlink()
        (folder / "toy-extra.array_record-00000-of-00001").unlink()
        assert tfds.prepared_folder("toy") == folder

    @pytest.mark.parametrize("splits", [{"train": [1]}, {"test": [1], "validation": [1]}, {}])
    def test_splits_to_train_and_to_test_on_are_needed(self, data_dir, splits):
        _prepare(data_dir / "toy" / "1.0.0", splits=splits)
        with pytest.raises(UserError, match="it needs `train`, and `test` or `validation`"):
            tfds.prepared_folder("toy")

    def test_damaged_json_is_refused(self, data_dir):
        folder = _prepare(data_dir / "toy" / "1.0.0")
        (folder / "features.json").unlink()
        with pytest.raises(UserError, match=r"has no features\.json"):
            tfds.image_shape("toy")
        (folder / "features.json").write_text('{"type": "...", "content": {}}')
        with pytest.raises(UserError, match="old TFDS"):
            tfds.image_shape("toy")
        (folder / "dataset_info.json").write_text('{"name"')
        with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
            tfds.prepared_folder("toy")

    def test_absence_is_told_at_once_without_importing_tfds(self, data_dir):
        program = """
import sys, time, types
from infogan_jax.data import sources
try:
    sources.check(types.SimpleNamespace(source="tfds", name="mnist"))
except ValueError as error:
    assert "not prepared" in str(error)
    heavy = {"tensorflow_datasets", "tensorflow", "jax", "sklearn"} & set(sys.modules)
    print(time.process_time(), *heavy)
"""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
        )
        (seconds,) = done.stdout.split()  # and no heavy module
        assert float(seconds) < 1.0
        assert done.stderr == ""


def _squares(seed, count):
    """Images that PNG stores with each of its row filters: ramps, flat areas and noise."""
    random = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(9) * 5, np.arange(7) * 11)[np.newaxis, :, :, np.newaxis]
    noise = random.integers(0, 1 + 40 * (np.arange(count) % 4)[:, np.newaxis, np.newaxis, np.newaxis] ** 2)
    noise = noise + random.integers(0, 3, (count, 9, 7, 3)) + random.integers(0, 100, (count, 1, 1, 3))
    return ((ramp + noise) % 256).astype(np.uint8)


class ToySquares(tensorflow_datasets.core.GeneratorBasedBuilder):
    VERSION = tensorflow_datasets.core.Version("1.0.0")
    code_path = None  # TFDS would look beside this file for checksums of downloads; there are none

    def _info(self):
        features = {
            "image": tensorflow_datasets.features.Image(shape=(9, 7, 3)),
            "label": tensorflow_datasets.features.ClassLabel(num_classes=3),
        }
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=tensorflow_datasets.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 12), "validation": self._generate_examples(1, 5)}

    def _generate_examples(self, seed, count):
        for index, image in enumerate(_squares(seed, count)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            file.seek(0)
            yield index, {"image": file, "label": index % 3}


class TestLoad:
    @pytest.mark.parametrize(
        "features",
        [
            {"picture": tensorflow_datasets.features.Image(shape=(4, 4, 1))},
            {"image": tensorflow_datasets.features.Image(shape=(None, None, 3))},
            {"image": tensorflow_datasets.features.Image(shape=(4, 4, 4))},
            {"image": tensorflow_datasets.features.Image(shape=(4, 4, 1), dtype=np.uint16)},
            {"image": tensorflow_datasets.features.Tensor(shape=(4, 4, 1), dtype=np.uint8)},
        ],
    )
    def test_what_is_not_images_of_one_shape_is_refused_by_its_features(self, data_dir, features):
        _prepare(data_dir / "toy" / "1.0.0", features=features)
        ((key, _),) = features.items()
        with pytest.raises(UserError, match=rf"no feature `image`.*its features are: {key}$"):
            tfds.load("toy")

    def test_a_damaged_shard_is_refused(self, data_dir):
        _prepare(data_dir / "toy" / "1.0.0")
        with pytest.raises(UserError, match=r"is damaged .* delete that folder, then prepare it with"):
            tfds.load("toy")


def _load_real(name):
    try:
        tfds.prepared_folder(name)
    except UserError as error:
        pytest.skip(f"the real {name} is needed: {error}")
    return tfds.load(name)


@pytest.fixture(scope="module")
def mnist():
    return _load_real("mnist")


class TestMnist:
    def test_is_the_published_set(self, mnist):
        assert mnist.name == "mnist" and mnist.image_shape == (28, 28, 1) and mnist.num_classes == 10
        # Class counts of LeCun, Cortes and Burges; the mean that everyone normalises by, 0.1307 * 255.
        train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert np.bincount(mnist.train.labels).tolist() == train
        assert np.bincount(mnist.test.labels).tolist() == test
        assert mnist.train.images.mean() == pytest.approx(33.318, abs=1e-3)

    def test_pixels_and_labels_are_those_that_tfds_decodes(self, mnist):
        builder = tensorflow_datasets.builder_from_directory(tfds.prepared_folder("mnist"))
        source = builder.as_data_source(split="train")
        for index in (0, 1, 999, 1000, 31_415, 59_999):
            np.testing.assert_array_equal(mnist.train.images[index], source[index]["image"])
            assert mnist.train.labels[index] == source[index]["label"]


def test_colour_jpegs_load():
    data = _load_real("mnist_m")
    assert data.train.images.shape == (8000, 32, 32, 3) and len(data.test.images) == 2000
    assert np.all(np.bincount(data.train.labels) > 500)
    # Digits over photographs: the channels differ.
    assert np.mean(data.train.images[..., 0] != data.train.images[..., 2]) > 0.5
