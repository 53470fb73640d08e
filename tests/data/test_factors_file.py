import math

import numpy as np
import pytest

from infogan_jax.data import factors_file
from infogan_jax.data.dataset import Factor
from infogan_jax.errors import UserError

IMAGES = ["a/1.png", "a/2.png", "b/1 é.png"]


@pytest.fixture
def read(tmp_path):
    """A function that reads a table's text, or its bytes, as the factors of IMAGES."""
    path = tmp_path / "factors.csv"

    def read(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return factors_file.read(path, IMAGES)

    return read


def test_values_come_in_the_order_of_the_images(read):
    factors, values = read("file,width\nb/1 é.png,3e2\na/1.png,-1.5\na/2.png,2\n")
    assert factors == (Factor("width"),)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[-1.5], [2], [300]])


@pytest.mark.parametrize(
    ("column", "factor"),
    [
        ("azimuth_degrees", Factor("azimuth", "angle", "degrees", 360)),
        ("leg_turn_radians", Factor("leg_turn", "angle", "radians", 2 * math.pi)),
        *((name, Factor(name, "category")) for name in ("object", "shape", "type", "identity", "category")),
        ("wheel_category", Factor("wheel", "category")),
        ("wheel_type", Factor("wheel_type")),
        ("degrees", Factor("degrees")),
        (" width ", Factor("width")),
    ],
)
def test_a_column_s_name_says_what_it_is(read, column, factor):
    factors, values = read(f"file,{column}\n" + "".join(f"{image},{n}\n" for n, image in enumerate(IMAGES)))
    assert factors == (factor,)
    np.testing.assert_array_equal(values[:, 0], [0, 1, 2])


def test_what_spreadsheets_and_find_write_is_read(read):
    rows = '"a/1.png";1,./a/2.png;2,,b/1 é.png;"3"'.replace(",", "\r\n").replace(";", ",")
    _, values = read(b"\xef\xbb\xbf" + f"file,width\r\n{rows}\r\n".encode())
    np.testing.assert_array_equal(values[:, 0], [1, 2, 3])


WHOLE = "a/1.png,1\na/2.png,2\nb/1 é.png,3\n"
REFUSED = {
    "empty": ("", "begins with '': it must be `file` and the factors' names"),
    "no header": (WHOLE, "begins with 'a/1.png,1': it must be"),
    "no factor": ("file\na/1.png\n", "begins with 'file': it must be"),
    "names twice": ("file,x_degrees,x\n", "has the factors x, x: each needs a name of its own"),
    "no name": ("file,x,\n", "each needs a name of its own"),
    "cells missing": (f"file,x,y\n{WHOLE}", "line 2 has 2 values where the header has 3"),
    "image missing": ("file,x\na/2.png,2\n", r"has no line for 2 images \(a/1.png, b/1 é.png\): every image"),
    "image twice": (f"file,x\n{WHOLE}a/1.png,1\n", "line 5: a/1.png has a line already"),
    "image not there": (f"file,x\n{WHOLE}a/3.png,1\n", "line 5: there is no image a/3.png in the folder"),
    "path climbs out": (f"file,x\n../a/1.png,4\n{WHOLE}", "line 2: there is no image ../a/1.png"),
    "path climbs back": (f"file,x\na/../a/1.png,4\n{WHOLE}", "line 2: there is no image a/../a/1.png"),
    "path absolute": (f"file,x\n/a/1.png,4\n{WHOLE}", "line 2: there is no image /a/1.png"),
    "text": ("file,x\na/1.png,wide\n", "line 2: x is 'wide', which is no finite number"),
    "nothing": ("file,x\na/1.png,\n", "line 2: x is '', which is no finite number"),
    "not finite": ("file,x\na/1.png,nan\n", "line 2: x is 'nan', which is no finite number"),
    "beyond float32": ("file,x\na/1.png,1e39\n", "line 2: x is '1e39', which is no finite number"),
    "category in parts": ("file,type\na/1.png,1.5\n", "line 2: type is 1.5; a category is a whole number"),
    "category negative": ("file,type\na/1.png,-1\n", "line 2: type is -1; a category is a whole number"),
    "not UTF-8": ("file,x\nä".encode("latin1"), "is no CSV file in UTF-8"),
    "zeros": (b"file,x\n\0\0\0", "factors.csv.*"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused_by_line(read, content, message):
    with pytest.raises(UserError, match=message) as refusal:
        read(content)
    assert "\n" not in str(refusal.value)
