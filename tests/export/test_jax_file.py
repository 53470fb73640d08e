"""A .jax file is the model: for any batch, in a process that has nothing but the file."""

import io
import json
import re
import struct
import tracemalloc
import zipfile

import jax
import numpy as np
import pytest
from jax import export

from infogan_jax import __version__, cli, load
from infogan_jax.errors import UserError
from infogan_jax.export import jax_file
from infogan_jax.export.jax_file import MAX_BYTES, write_jax_file


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


@pytest.mark.parametrize(
    ("name", "rows", "window"),
    [("generate", "generator", "lhs_dilate = [2, 2]"), ("read", "trunk", "stride = [2, 2]")],
    ids=["generate", "read"],
)
def test_accelerators_get_the_convolutions_of_lax_and_not_the_forms_for_cpus(
    name, rows, window, trained, file
):
    with zipfile.ZipFile(file) as archive:
        program = export.deserialize(bytearray(archive.read(name)))
    strided = sum(row.kind != "dense" and row.stride == 2 for row in getattr(trained[0].networks, rows))
    # A CPU's forms have none; each other platform has its own copy.
    found = [
        line
        for line in program.mlir_module().splitlines()
        if "stablehlo.convolution" in line and window in line
    ]
    assert strided and len(found) >= strided


def test_what_a_newer_version_wrote_is_refused_with_its_version(file, tmp_path):
    newer = tmp_path / "newer.jax"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(newer, "w") as new:
        about = json.loads(old.read("about.json"))
        new.writestr("about.json", json.dumps(about | {"format": 99, "versions": {"infogan-jax": "9.0"}}))
    with pytest.raises(UserError, match=r"newer\.jax was written by infogan-jax 9\.0: install that version"):
        load(newer)


def rewritten(file, path, members=None, compression=zipfile.ZIP_STORED):
    """The same file with other members in the place of its own."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, (members or {}).get(name, old.read(name)))
    return path


def test_what_another_jax_wrote_is_refused_with_both_versions(file, tmp_path, monkeypatch):
    def deserialize(content):
        raise NotImplementedError("deserialize unsupported version 99")

    monkeypatch.setattr(export, "deserialize", deserialize)
    with zipfile.ZipFile(file) as archive:
        about = json.loads(archive.read("about.json"))
    about["versions"]["jax"] = "99.1"
    other = rewritten(file, tmp_path / "other.jax", {"about.json": json.dumps(about)})
    message = rf"other\.jax was written with jax 99\.1 .* and jax {re.escape(jax.__version__)} can't read its"
    with pytest.raises(UserError, match=message):
        load(other)


def npz(compress, **arrays):
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["about.json", "generate", "read"])
def test_a_member_that_unpacks_to_more_than_any_is_refused_unread(name, file, tmp_path, monkeypatch):
    monkeypatch.setattr(jax_file, "MAX_BYTES", 2**20)
    bomb = rewritten(file, tmp_path / "bomb.jax", {name: bytes(2**20 + 1)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=rf"{name} unpacks to more than 1,048,576 bytes"):
        load(bomb)


def test_the_limit_is_far_from_what_is_written(file):
    with zipfile.ZipFile(file) as archive:
        assert 100 * max(archive.getinfo(name).file_size for name in ("generate", "read")) < MAX_BYTES


def test_weights_that_unpack_to_more_than_the_file_are_refused(file, tmp_path):
    zeros = np.zeros(2**22, np.float32)
    outside = rewritten(
        file, tmp_path / "outside.jax", {"weights.npz": npz(False, a=zeros)}, zipfile.ZIP_DEFLATED
    )
    inside = rewritten(file, tmp_path / "inside.jax", {"weights.npz": npz(True, a=zeros)})
    for bomb in (outside, inside):
        assert bomb.stat().st_size < 2**20
        with pytest.raises(UserError, match=r"weights.* unpack"):
            load(bomb)


def test_a_size_that_is_not_true_is_not_believed(file, tmp_path):
    bomb = rewritten(file, tmp_path / "bomb.jax", {"generate": bytes(2**26 + 1)}, zipfile.ZIP_DEFLATED)
    said = struct.pack("<I", 2**26 + 1)
    bomb.write_bytes(bomb.read_bytes().replace(said, struct.pack("<I", 100)))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"bomb\.jax can't be read"):
            load(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


def described_otherwise(file, change):
    """A file's bytes with another description of its first member, in both places where it stands."""
    content = bytearray(file.read_bytes())
    (directory,) = struct.unpack("<I", content[-6:-2])
    for flags in (6, directory + 8):
        change(content, flags)
    return content


def encrypted(content, flags):
    content[flags] |= 1


def of_another_kind(content, flags):
    content[flags + 2] = 99


@pytest.mark.parametrize("change", [encrypted, of_another_kind])
def test_members_of_a_kind_that_none_has_are_refused(change, file, tmp_path):
    path = tmp_path / "odd.jax"
    path.write_bytes(described_otherwise(file, change))
    with pytest.raises(UserError, match=r"odd\.jax can't be read"):
        load(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_refused(compression, file, tmp_path):
    path = rewritten(file, tmp_path / "odd.jax", compression=compression)
    with pytest.raises(UserError, match=r"about\.json is neither stored nor deflated"):
        load(path)


@pytest.mark.parametrize(
    "about", ["[]", "{}", '{"format": "1"}', "[" * 10**5, '{"format": 1, "versions": {}}']
)
def test_a_description_that_is_none_is_refused(about, file, tmp_path):
    path = rewritten(file, tmp_path / "odd.jax", {"about.json": about})
    with pytest.raises(UserError, match=r"odd\.jax can't be read"):
        load(path)


def test_whatever_byte_is_damaged_it_is_read_or_refused(file, tmp_path, tried):
    whole, random = file.read_bytes(), np.random.default_rng(0)
    path, refused = tmp_path / "odd.jax", 0
    for place in (*random.integers(0, len(whole), 30), *random.integers(len(whole) - 400, len(whole), 30)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ random.integers(1, 256)]) + whole[place + 1 :])
        try:
            load(path)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 30
    tried("exported generators with a changed byte", 60)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"not a zip archive", lambda b: b""]
)
def test_a_damaged_file_is_named(damage, file, tmp_path):
    path = tmp_path / "damaged.jax"
    path.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"damaged\.jax can't be read"):
        load(path)
