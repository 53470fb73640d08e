import numpy as np
import pytest

from infogan_jax.networks.features import safetensors_file

ARRAYS = {"a": np.float32([1, 2]), "b": np.float32([[3, 4]])}
A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
B = {"dtype": "F32", "shape": [1, 2], "data_offsets": [8, 16]}


def test_the_order_in_the_header_does_not_matter(tmp_path, safetensors):
    path = tmp_path / "a.safetensors"
    safetensors(path, ARRAYS, {"b": B, "a": A})
    for name, stored in safetensors_file.read(path).items():
        np.testing.assert_array_equal(stored.read(), ARRAYS[name])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": A, "b": B | {"data_offsets": [4, 12]}}, "begin at 4, where those before it end at 8"),
        ({"a": A, "b": A | {"data_offsets": [0, 8]}}, "begin at 0, where those before it end at 8"),
        ({"a": A, "b": B | {"data_offsets": [12, 20]}}, "begin at 12, where those before it end at 8"),
        ({"a": A, "b": B, "c": A | {"data_offsets": [16, 24]}}, "have 24 bytes, .* has 16"),
        ({"a": A}, "have 8 bytes, .* has 16"),
        ({"a": A | {"data_offsets": [-8, 0]}}, "doesn't fit"),
        ({"a": A | {"data_offsets": [8, 0]}}, "doesn't fit"),
        ({"a": A | {"shape": [3]}}, "doesn't fit"),
        ({"a": A | {"shape": [-1, -2]}}, "doesn't fit"),
        ({"a": A | {"shape": [2.0]}}, "doesn't fit"),
        ({"a": A | {"dtype": "F8_E4M3"}}, "of the type F8_E4M3"),
        ({"a": A | {"dtype": []}}, "of the type"),
        ({"a": A | {"data_offsets": [0]}}, "says of a"),
        ({"a": 3}, "says of a"),
        ([], "no JSON object"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, safetensors, header, message):
    path = tmp_path / "a.safetensors"
    safetensors(path, ARRAYS, header)
    with pytest.raises(ValueError, match=message):
        safetensors_file.read(path)


@pytest.mark.parametrize("length", [3, 2**63, 10**6])
def test_a_header_longer_than_the_file_is_refused(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=f"header would be of {length} bytes, in a file of 10"):
        safetensors_file.read(path)


def test_a_header_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    for header in (b"{]", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(ValueError):
            safetensors_file.read(path)
