"""Prepared data sets as TFDS leaves them on disk."""

import json

import pytest

SPLITS = {"train": [3, 2], "test": [4]}


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def prepare():
    """A function that writes what TFDS leaves in a version's folder, with shards of no worth."""

    def write(folder, *, splits=SPLITS, file_format="array_record", features=None, shard=b"records"):
        import tensorflow_datasets

        folder.mkdir(parents=True, exist_ok=True)
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

    return write
