"""A .jax file is the model: for any batch, in a process that has nothing but the file."""

import json
import zipfile

import numpy as np
import pytest
from jax import export

from infogan_jax import __version__, cli, load
from infogan_jax.errors import UserError
from infogan_jax.export.jax_file import write_jax_file


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "generator.jax"
    write_jax_file(path, *trained, 7)
    return path


def test_a_fresh_process_makes_and_reads_the_same(file, check_round_trip):
    assert check_round_trip(file) == ["7", __version__]


def test_the_command_line_writes_it(run_dir, draw, wanted, tmp_path, capsys):
    path = tmp_path / "mine.jax"
    assert cli.evaluate([str(run_dir), "--export", str(path)]) == 0
    assert capsys.readouterr().out == f"exported: {path}\n"
    np.testing.assert_allclose(load(path)(*draw), wanted[0], rtol=0, atol=1e-5)
    assert not (run_dir / "report.html").exists()


def test_its_programs_are_for_three_platforms_and_say_their_versions(file):
    with zipfile.ZipFile(file) as archive:
        about = json.loads(archive.read("about.json"))
        for name in ("generate", "read"):
            assert export.deserialize(bytearray(archive.read(name))).platforms == ("cpu", "cuda", "tpu")
    assert about["versions"].keys() == {"infogan-jax", "jax", "flax"}
    assert about["versions"]["infogan-jax"] == __version__


def test_what_a_newer_version_wrote_is_refused_with_its_version(file, tmp_path):
    newer = tmp_path / "newer.jax"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(newer, "w") as new:
        about = json.loads(old.read("about.json"))
        new.writestr("about.json", json.dumps(about | {"format": 99, "versions": {"infogan-jax": "9.0"}}))
    with pytest.raises(UserError, match=r"newer\.jax was written by infogan-jax 9\.0: install that version"):
        load(newer)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"not a zip archive", lambda b: b""]
)
def test_a_damaged_file_is_named(damage, file, tmp_path):
    path = tmp_path / "damaged.jax"
    path.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"damaged\.jax can't be read"):
        load(path)
