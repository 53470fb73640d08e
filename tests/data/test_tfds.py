import io
import json
import os
import shlex
import struct
import subprocess
import sys
import types
import zlib

import numpy as np
import pytest
import tensorflow_datasets
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from infogan_jax.data import prepared, tfds
from infogan_jax.data.image_files import Unreadable
from infogan_jax.data.resize import centre_square
from infogan_jax.errors import UserError

# What is there is found out from small files


def test_absence_is_told_at_once_without_importing_tfds(data_dir):
    program = """
import sys, time, types
from infogan_jax.data import sources
try:
    sources.check(types.SimpleNamespace(source="tfds", name="mnist", size=64, extra=False))
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


def test_features_that_are_not_those_of_this_tfds_are_refused(data_dir, prepare):
    folder = prepare(data_dir / "toy" / "1.0.0")
    (folder / "features.json").unlink()
    with pytest.raises(UserError, match=r"has no features\.json"):
        tfds.image_shape("toy")
    (folder / "features.json").write_text('{"type": "...", "content": {}}')
    with pytest.raises(UserError, match="old TFDS"):
        tfds.image_shape("toy")


@pytest.mark.parametrize(
    "features",
    [
        {"picture": tensorflow_datasets.features.Image(shape=(4, 4, 1))},
        {"image": tensorflow_datasets.features.Image(shape=(4, 4, 4))},
        {"image": tensorflow_datasets.features.Image(shape=(4, 4, 1), dtype=np.uint16)},
        {"image": tensorflow_datasets.features.Tensor(shape=(4, 4, 1), dtype=np.uint8)},
    ],
)
def test_what_is_not_images_is_refused_by_its_features(data_dir, prepare, features):
    prepare(data_dir / "toy" / "1.0.0", features=features)
    ((key, _),) = features.items()
    for size in (0, 4):
        with pytest.raises(UserError, match=rf"no feature `image`.*its features are: {key}$"):
            tfds.load("toy", size=size)


def test_images_of_several_shapes_must_be_resized(data_dir, prepare):
    prepare(
        data_dir / "toy" / "1.0.0",
        features={"image": tensorflow_datasets.features.Image(shape=(None, 5, 3))},
    )
    with pytest.raises(UserError, match=r"images of several shapes: resize them .* with --data.size N"):
        tfds.load("toy")
    assert tfds.image_shape("toy", size=4) == (4, 4, 3)


def test_a_damaged_shard_is_refused(data_dir, prepare):
    prepare(data_dir / "toy" / "1.0.0")
    with pytest.raises(UserError, match=r"is damaged .* delete that folder, then prepare it with"):
        tfds.load("toy")


def test_images_that_do_not_fit_into_memory_are_refused(data_dir, mini, monkeypatch):
    mini("mnist", {"train": 3, "test": 3})

    def empty(shape, dtype):
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(UserError, match=r"mnist doesn't fit into memory .*--data.limit"):
        tfds.load("mnist")


def test_a_feature_s_class_from_elsewhere_is_not_imported(data_dir, prepare):
    folder = prepare(data_dir / "toy" / "1.0.0")
    path = folder / "features.json"
    described = json.loads(path.read_text())
    described["featuresDict"]["features"]["image"]["pythonClassName"] = "antigravity.Image"
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"class antigravity\.Image, which is no part of TensorFlow Datasets"):
        tfds.image_shape("toy")
    assert "antigravity" not in sys.modules


def test_images_are_counted_before_they_are_read(data_dir, prepare):
    prepare(data_dir / "toy" / "1.0.0", splits={"train": [3, 2], "test": [4], "extra": [7]})
    assert tfds.count("toy") == 9
    assert tfds.count("toy", extra=True) == 16
    assert tfds.count("toy", limit=4) == 8


def png(width, height, rows):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_an_image_that_unpacks_to_more_than_it_says_is_refused():
    assert tfds._decode([png(4, 3, bytes(3 * 5))] * 2, (3, 4, 1)).shape == (2, 3, 4, 1)
    for rows in (bytes(2**26), bytes(3 * 5 + 1), bytes(3 * 5 - 1)):
        with pytest.raises(Unreadable, match=r"not of the 15 bytes that its header says"):
            tfds._decode([png(4, 3, rows)], (3, 4, 1))
    # Above our limit, above that from which Pillow warns, and above that from which it refuses.
    for width in (9000, 12_000, 30_000):
        with pytest.raises(Unreadable, match=r"pixels are more than|exceeds limit"):
            tfds._decode([png(width, 8000, b"")], (-1, -1, 1))


def jpeg():
    file = io.BytesIO()
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(file, "JPEG")
    return file.getvalue()


WHOLE = png(4, 3, bytes(3 * 5))
DAMAGED = {
    "bytes behind it": (WHOLE + b"1234567", (3, 4, 1)),
    "rows cut short": (WHOLE[:45], (3, 4, 1)),
    "a PNG cut short": (WHOLE[:45], (-1, -1, 1)),
    "a PNG's header broken": (WHOLE[:12] + b"JHDR" + WHOLE[16:], (-1, -1, 1)),
    "a JPEG cut short": (jpeg()[:-40], (3, 4, 1)),
    "no image": (b"words", (3, 4, 1)),
    "another shape": (png(5, 3, bytes(3 * 6)), (3, 4, 1)),
    "a bomb": (png(30_000, 8000, b""), (-1, -1, 1)),
}


@pytest.mark.parametrize(("file", "shape"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_image_is_told_with_its_folder(file, shape, data_dir, prepare, monkeypatch, tried):
    whole = {"image": tensorflow_datasets.features.Image(shape=[None if n < 0 else n for n in shape])}
    folder = prepare(data_dir / "toy" / "1.0.0", features=whole)

    class Records:
        def __len__(self):
            return 2

        def __getitems__(self, indices):
            return [file] * len(indices)

    class Features:
        def deserialize_example_np(self, record, decoders):
            return {"image": record}

    builder = types.SimpleNamespace(
        name="toy",
        info=types.SimpleNamespace(features=whole),
        as_data_source=lambda **_: Records(),
    )
    monkeypatch.setattr(tensorflow_datasets, "builder_from_directory", lambda folder: builder)
    monkeypatch.setattr(tensorflow_datasets.features, "FeaturesDict", lambda features: Features())
    with pytest.raises(UserError, match=r"is damaged .* delete that folder, then prepare it with") as refused:
        tfds.load("toy", size=4)
    assert f"a file of {folder} is damaged" in str(refused.value)
    tried("records that hold a damaged image, or another one", 1, len(DAMAGED))


# Real shards that aren't whole, or hold other things than examples


LABELLED = {
    "image": tensorflow_datasets.features.Image(shape=(64, 64, 1)),
    "label": tensorflow_datasets.features.ClassLabel(num_classes=3),
}
BLOCK = 2**16
"""array_record's: it looks for an index in the last one, and takes the first for a file of no records."""


def example(**features):
    """A record as TFDS writes it, of features that are bytes, whole numbers or floats."""
    record = tf_example_pb2.Example()
    for name, values in features.items():
        kinds = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
        kind = kinds[type(values[0])] if values else "bytes_list"
        getattr(record.features.feature[name], kind).value.extend(values)
    return record.SerializeToString()


def noise(seed):
    """A PNG that doesn't compress."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)).save(file, "PNG")
    return file.getvalue()


GOOD = [example(image=[noise(seed)], label=[seed % 3]) for seed in range(100)]


@pytest.fixture
def shards(data_dir, prepare):
    """A function of the records to train on: a prepared set of them, and the file that they are in."""

    def write(records):
        lengths = {"train": [len(records)], "test": [2]}
        folder = prepare(data_dir / "toy" / "1.0.0", features=LABELLED, splits=lengths)
        train, test = (folder / f"toy-{split}.array_record-00000-of-00001" for split in lengths)
        for file, content in ((train, records), (test, GOOD[:2])):
            writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1")
            for record in content:
                writer.write(record)
            writer.close()
        return train

    return write


def assert_damaged(shard):
    """It is refused in one line, which names its folder and says how to prepare it again."""
    with pytest.raises(UserError) as refused:
        tfds.load("toy")
    told = str(refused.value)
    assert f"a file of {shard.parent} is damaged (" in told and "\n" not in told
    assert "delete that folder, then prepare it with: " in told
    return told


def test_a_shard_that_is_cut_anywhere_is_refused(shards):
    shard = shards(GOOD)
    assert len(tfds.load("toy").train.images) == 100
    whole = shard.read_bytes()
    assert len(whole) % BLOCK == 0 and len(whole) >= 5 * BLOCK
    ends = range(BLOCK, len(whole) + 1, BLOCK)
    # At blocks, within the headers behind them, in the halves of blocks, and anywhere.
    cuts = {end + offset for end in ends for offset in (-BLOCK // 2, -1, 0, 1, 23, 24, 40, 512)}
    cuts |= set(np.random.default_rng(0).integers(1, len(whole), 20).tolist()) | {1, 64}
    for cut in sorted(cut for cut in cuts if cut < len(whole)):
        shard.write_bytes(whole[:cut])
        assert_damaged(shard)


def test_a_shard_of_the_first_block_alone_is_told_in_one_line(shards, data_dir, call, environment):
    os.truncate(shards(GOOD), BLOCK)
    line = "mnist", "--data.name", "toy", "--data.size", "28", "--train.steps", "1"
    done = call("train.py", *line, cwd=data_dir, env=environment | {"TFDS_DATA_DIR": str(data_dir)})
    refusals = [each for each in done.stderr.splitlines() if not each.startswith("devices: ")]
    assert done.returncode == 2 and len(refusals) == 1, done.stderr
    assert refusals[0].startswith("error: ") and "is damaged (a record has no image, label); " in refusals[0]


OTHERS = {
    "empty": (b"", "has no image, label"),
    "junk": (b"words of no meaning" * 9, "can't be read"),
    "zeros": (bytes(1000), "can't be read"),
    "cut": (GOOD[0][:-9], "can't be read"),
    "no image": (example(label=[1]), "has no image"),
    "no label": (example(image=[noise(0)]), "has no label"),
    "image of no file": (example(image=[], label=[1]), "can't be read"),
    "image of two files": (example(image=[noise(0)] * 2, label=[1]), "can't be read"),
    "image of a number": (example(image=[3], label=[1]), "is no file"),
    "label of words": (example(image=[noise(0)], label=[b"one"]), "can't be read"),
    "label of no number": (example(image=[noise(0)], label=[float("nan")]), "can't be read"),
    "label of 64 bits": (example(image=[noise(0)], label=[2**40]), "out of bounds"),
}


@pytest.mark.parametrize(("record", "reason"), OTHERS.values(), ids=OTHERS.keys())
def test_records_of_other_things_are_refused(shards, record, reason):
    for records in ([record], [*GOOD[:3], record, *GOOD[3:6]]):
        assert reason in assert_damaged(shards(records))


def test_a_shard_of_fewer_records_than_is_said_is_refused(shards):
    shard = shards(GOOD)
    few = shards(GOOD[:5]).read_bytes()
    shards(GOOD).write_bytes(few)
    assert "index" in assert_damaged(shard)


def test_any_changed_byte_of_a_shard_is_read_or_refused(shards):
    shard, random = shards(GOOD), np.random.default_rng(1)
    whole, images = shard.read_bytes(), tfds.load("toy").train.images
    # Not those that are zero, most of which fill blocks up.
    places = np.flatnonzero(np.frombuffer(whole, np.uint8))
    refused = 0
    for _ in range(60):
        changed = bytearray(whole)
        changed[random.choice(places)] ^= random.integers(1, 256)
        shard.write_bytes(changed)
        try:
            np.testing.assert_array_equal(tfds.load("toy").train.images, images)
        except UserError:
            assert_damaged(shard)
            refused += 1
    assert refused > 20


# What is read, from records that TFDS wrote


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


def test_the_command_that_is_given_prepares_what_load_reads(data_dir, capfd):
    with pytest.raises(UserError) as refusal:
        prepared.find("toy_squares")
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
    path = prepared.find("toy_squares").folder / "features.json"
    content = json.loads(path.read_text())
    del content["featuresDict"]["features"]["label"]
    path.write_text(json.dumps(content))
    unlabelled = tfds.load("toy_squares")
    assert unlabelled.num_classes is unlabelled.train.labels is None
    np.testing.assert_array_equal(unlabelled.test.images, data.test.images)


# The builders that this package is meant for: their own features, with random content


def _content(features, random):
    """An example of a builder's features, and the pixels of its image as they are stored."""
    kinds = tensorflow_datasets.features

    def content(feature):
        if isinstance(feature, kinds.FeaturesDict):
            return {name: content(each) for name, each in feature.items()}
        if isinstance(feature, kinds.Image):
            file = io.BytesIO()
            pixels = random.integers(0, 2 if feature.shape == (64, 64, 1) else 256, feature.shape, np.uint8)
            jpeg = feature.shape == (218, 178, 3)
            Image.fromarray(pixels.squeeze()).save(file, "JPEG" if jpeg else "PNG")
            file.seek(0)
            return file
        if isinstance(feature, kinds.ClassLabel):
            return int(random.integers(feature.num_classes))
        if isinstance(feature, kinds.Text):
            return "x"
        return feature.np_dtype(random.integers(2) if feature.np_dtype != np.float32 else random.random())

    return content(features)


@pytest.fixture
def mini(data_dir, monkeypatch, capfd):
    """A function that prepares a TFDS builder with so many random examples in each split.

    It returns the examples by split in the order in which TFDS stores them, with their images as arrays of
    pixels, as TFDS itself reads them.
    """

    def prepare(name, counts):
        builder_class = tensorflow_datasets.builder_cls(name)
        # TFDS's own would look for the checksums of downloads.
        no_downloads = types.SimpleNamespace(downloaded_size=0)
        monkeypatch.setattr(builder_class, "_make_download_manager", lambda self, **_: no_downloads)

        def generators(self, manager):
            random = np.random.default_rng(0)
            return {
                split: ((i, _content(self.info.features, random)) for i in range(count))
                for split, count in counts.items()
            }

        monkeypatch.setattr(builder_class, "_split_generators", generators)
        tensorflow_datasets.disable_progress_bar()
        builder = tensorflow_datasets.builder(name, data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
        capfd.readouterr()
        return {split: list(builder.as_data_source(split=split)) for split in counts}

    return prepare


def _column(examples, feature):
    return np.array([example[feature] for example in examples], np.float32)


def _images(examples):
    return np.stack([example["image"] for example in examples])


def test_svhn_has_an_extra_split(mini):
    stored = mini("svhn_cropped", {"train": 5, "test": 3, "extra": 4})
    data = tfds.load("svhn_cropped")
    assert data.num_classes == 10 and data.factors == () and data.train.factors is None
    np.testing.assert_array_equal(data.train.images, _images(stored["train"]))
    np.testing.assert_array_equal(data.train.labels, _column(stored["train"], "label"))
    more = tfds.load("svhn_cropped", extra=True)
    np.testing.assert_array_equal(more.train.images, _images(stored["train"] + stored["extra"]))
    np.testing.assert_array_equal(more.train.labels, _column(stored["train"] + stored["extra"], "label"))
    for each in (data, more):
        np.testing.assert_array_equal(each.test.images, _images(stored["test"]))


def test_mnist_is_as_tfds_reads_it_and_has_no_extra_split(mini):
    stored = mini("mnist", {"train": 5, "test": 3})
    data = tfds.load("mnist")
    for split, examples in ((data.train, stored["train"]), (data.test, stored["test"])):
        np.testing.assert_array_equal(split.images, _images(examples))
        np.testing.assert_array_equal(split.labels, _column(examples, "label"))
    with pytest.raises(UserError, match=r"it needs `extra`; leave out --data.extra"):
        tfds.image_shape("mnist", extra=True)


def test_celeb_a_is_cut_and_resized(mini):
    stored = mini("celeb_a", {"train": 3, "validation": 2, "test": 2})
    data = tfds.load("celeb_a", size=32)
    assert tfds.image_shape("celeb_a", size=32) == data.image_shape == (32, 32, 3)
    assert tfds.image_shape("celeb_a") == (218, 178, 3)
    assert data.num_classes is data.train.labels is data.train.factors is None
    for split, examples in ((data.train, stored["train"]), (data.test, stored["test"])):
        np.testing.assert_array_equal(split.images, [centre_square(each, 32) for each in _images(examples)])


def test_dsprites_has_white_shapes_and_five_factors(mini):
    stored = mini("dsprites", {"train": 21})["train"]
    held_out = [stored[i] for i in (0, 10, 20)]
    others = [each for i, each in enumerate(stored) if i % 10]
    data = tfds.load("dsprites")
    kinds = [(factor.name, factor.kind, factor.unit, factor.period) for factor in data.factors]
    assert kinds == [
        ("shape", "category", "", 0),
        ("scale", "number", "", 0),
        ("orientation", "angle", "radians", 2 * np.pi),
        ("x", "number", "", 0),
        ("y", "number", "", 0),
    ]
    assert data.num_classes is None and len(data.train.images) == 18
    for split, examples in ((data.train, others), (data.test, held_out)):
        np.testing.assert_array_equal(split.images, 255 * _images(examples))
        features = ("label_shape", "value_scale", "value_orientation", "value_x_position", "value_y_position")
        expected = np.stack([_column(examples, feature) for feature in features], axis=1)
        np.testing.assert_array_equal(split.factors, expected)
    # What is resized is black and white, not what is stored.
    smaller = tfds.load("dsprites", size=32).test.images
    np.testing.assert_array_equal(smaller, [centre_square(255 * each, 32) for each in _images(held_out)])


def test_shapes3d_has_six_factors_and_can_be_read_in_part(mini):
    stored = mini("shapes3d", {"train": 40})["train"]
    data = tfds.load("shapes3d")
    hue = ("angle", "turns", 1)
    assert [(factor.name, factor.kind, factor.unit, factor.period) for factor in data.factors] == [
        *(("floor hue", *hue), ("wall hue", *hue), ("object hue", *hue), ("scale", "number", "", 0)),
        *(("shape", "category", "", 0), ("orientation", "number", "degrees", 0)),
    ]
    np.testing.assert_array_equal(data.test.images, _images(stored[::10]))
    np.testing.assert_array_equal(data.test.factors[:, 4], _column(stored[::10], "label_shape"))
    np.testing.assert_array_equal(data.test.factors[:, 2], _column(stored[::10], "value_object_hue"))

    some = tfds.load("shapes3d", limit=7)
    assert (len(some.train.images), len(some.test.images)) == (7, 4)
    positions = [int(np.argmax((data.train.images == image).all((1, 2, 3)))) for image in some.train.images]
    assert positions == sorted(set(positions)) != list(range(7))
    np.testing.assert_array_equal(some.train.images, data.train.images[positions])
    np.testing.assert_array_equal(some.train.factors, data.train.factors[positions])
    again = tfds.load("shapes3d", limit=7)
    np.testing.assert_array_equal(again.train.images, some.train.images)


def test_smallnorb_has_classes_and_degrees(mini):
    stored = mini("smallnorb", {"train": 6, "test": 5})
    data = tfds.load("smallnorb", size=48)
    assert data.num_classes == 5 and data.image_shape == (48, 48, 1)
    assert [(factor.name, factor.kind, factor.unit, factor.period) for factor in data.factors] == [
        ("category", "category", "", 0),
        ("elevation", "number", "degrees", 0),
        ("azimuth", "angle", "degrees", 360),
        ("lighting", "category", "", 0),
    ]
    for split, examples in ((data.train, stored["train"]), (data.test, stored["test"])):
        np.testing.assert_array_equal(split.images, [centre_square(each, 48) for each in _images(examples)])
        np.testing.assert_array_equal(split.labels, _column(examples, "label_category"))
        np.testing.assert_array_equal(split.factors[:, 0], split.labels)
        np.testing.assert_array_equal(split.factors[:, 1], 30 + 5 * _column(examples, "label_elevation"))
        np.testing.assert_array_equal(split.factors[:, 2], 20 * _column(examples, "label_azimuth"))
        np.testing.assert_array_equal(split.factors[:, 3], _column(examples, "label_lighting"))


def test_a_train_split_too_small_to_divide_is_refused(mini):
    mini("dsprites", {"train": 1})
    with pytest.raises(UserError, match="dsprites cannot be used: train images are empty"):
        tfds.load("dsprites")


# The real sets, where they are


def _load_real(name):
    try:
        prepared.find(name)
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
        builder = tensorflow_datasets.builder_from_directory(prepared.find("mnist").folder)
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
