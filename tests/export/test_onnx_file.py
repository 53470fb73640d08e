"""ONNX Runtime makes and reads what the task itself does."""

import dataclasses

import jax
import numpy as np
import pytest

from infogan_jax import __version__, cli, load
from infogan_jax.codes import Categorical, LatentCodes
from infogan_jax.errors import UserError
from infogan_jax.export import onnx_file
from infogan_jax.tasks import infogan

pytest.importorskip("onnx", reason="ONNX needs the extra onnx: pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs the extra onnx: pip install '.[onnx]'")


def test_a_fresh_process_makes_and_reads_the_same(run_dir, tmp_path, check_round_trip, capsys):
    path = tmp_path / "generator.onnx"
    assert cli.evaluate([str(run_dir), "--export", str(path)]) == 0
    assert capsys.readouterr().out == f"exported: {path}\nexported: {tmp_path}/generator-codes.onnx\n"
    assert check_round_trip(path) == ["7", __version__]


def test_another_program_needs_only_the_names(trained, draw, wanted, tmp_path):
    path = tmp_path / "generator.onnx"
    onnx_file.write_onnx_files(path, *trained, 7)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["noise", "c1", "c2", "c3", "c4"]
    (images,) = session.run(None, {"noise": draw[0]} | draw[1])
    np.testing.assert_allclose(images, wanted[0], rtol=0, atol=1e-5)


def test_a_network_without_noise_or_norm_is_written_too(tiny_config, tmp_path):
    rows = tiny_config.networks
    plain = [
        tuple(dataclasses.replace(row, norm=False) for row in part)
        for part in (rows.generator, rows.trunk, rows.q_head)
    ]
    config = dataclasses.replace(
        tiny_config, codes=LatentCodes(0, (Categorical(4),)), networks=type(rows)(*plain)
    )
    state = infogan.init(config, jax.random.key(0))
    path = tmp_path / "plain.onnx"
    onnx_file.write_onnx_files(path, config, state, 0)
    codes = {"c1": np.arange(4, dtype=np.int32)}
    noise = np.zeros((4, 0), np.float32)
    images = infogan.generate(config, state, {"noise": noise} | codes)
    np.testing.assert_allclose(load(path)(noise, codes), images, rtol=0, atol=1e-6)


def test_a_missing_or_damaged_file_is_named(trained, tmp_path):
    path = tmp_path / "generator.onnx"
    onnx_file.write_onnx_files(path, *trained, 7)
    (tmp_path / "generator-codes.onnx").unlink()
    with pytest.raises(UserError, match=r"generator-codes\.onnx isn't there"):
        load(path)
    path.write_bytes(b"not a graph")
    with pytest.raises(UserError, match=r"generator\.onnx can't be read by onnxruntime"):
        load(path)


def test_without_the_package_it_says_what_to_install(run_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    assert cli.evaluate([str(run_dir), "--export", str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'infogan-jax[onnx]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
