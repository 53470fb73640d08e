"""What was written is decoded and compared pixel by pixel."""

import itertools

import numpy as np
import pytest
from PIL import Image

from infogan_jax.evaluation import figures


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def decode(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def occurrences(picture, part):
    """Top left corners at which `part` lies in `picture`, both [H, W, 3]."""
    corners = np.argwhere((picture == part[0, 0]).all(-1))
    height, width = part.shape[:2]
    return [
        (row, column)
        for row, column in corners
        if np.array_equal(picture[row : row + height, column : column + width], part)
    ]


@pytest.mark.parametrize(
    ("channels", "title"), [(1, "5 $ and a broken $\\formula"), (3, "wider than the grid " * 3)]
)
def test_traversal_figure_shows_every_image_once_and_crisp(tmp_path, channels, title):
    images = noise((6, 30, 30, channels))
    path = tmp_path / "traversal.png"
    figures.traversal_figure(path, images, 3, ["-1", "0", "1"], ["a", "b"], title, "code $c_1")
    picture = decode(path)[..., :3]
    corners = []
    for image in images:
        enlarged = np.broadcast_to(image, (30, 30, 3)).repeat(3, axis=0).repeat(3, axis=1)
        (corner,) = occurrences(picture, enlarged)
        corners.append(corner)
    top, left = corners[0]
    assert corners == [(top + 93 * row, left + 93 * column) for row in range(2) for column in range(3)]
    # Each label stands beside its row or column, and the figure is cropped around all of them.
    below, beside = picture[top + 183 : top + 203], picture[:, left - 20 : left]
    assert all(below[:, left + 93 * column + 20 : left + 93 * column + 70].min() < 128 for column in range(3))
    assert all(beside[top + 93 * row + 20 : top + 93 * row + 70].min() < 128 for row in range(2))
    assert picture[:top].min() < 128
    assert picture[top + 203 :].min() < 128
    assert (picture[[0, -1]] == 255).all()
    assert (picture[:, [0, -1]] == 255).all()


def test_traversal_figure_refuses_missing_labels(tmp_path):
    for column_labels, row_labels in ((["0"], ["a", "b"]), (["0", "1"], ["a"])):
        with pytest.raises(ValueError, match="labels"):
            figures.traversal_figure(
                tmp_path / "x.png", noise((4, 3, 3, 1)), 2, column_labels, row_labels, "", ""
            )


def darkest_in_each_row(picture, classes):
    """Where across the drawn matrix the cell in the darkest blue lies, in each of its rows."""
    dark = np.array([8, 48, 107])  # the upper end of the colour map
    rows, columns = np.nonzero((np.abs(picture[..., :3].astype(int) - dark) < 3).all(-1))
    edges = np.linspace(rows.min(), rows.max() + 1, classes + 1)
    # The top of the colour bar is as dark, but has fewer pixels than a cell: medians pass it over.
    return [np.median(columns[(rows >= low) & (rows < high)]) for low, high in itertools.pairwise(edges)]


def test_confusion_figure_puts_agreement_on_the_diagonal(tmp_path):
    mapping = np.array([2, 0, 3, 1])
    matrix = np.zeros((4, 4), np.int64)
    matrix[mapping, np.arange(4)] = 50
    path = tmp_path / "confusion.png"
    figures.confusion_figure(path, matrix, mapping, ["a", "b", "c", "$d"])
    steps = np.diff(darkest_in_each_row(decode(path), 4))
    assert steps.min() > 30
    np.testing.assert_allclose(steps, steps.mean(), atol=3)


@pytest.mark.parametrize(("classes", "mapping"), [(4, [3, 1]), (2, [-1, 1, 0, -1]), (25, list(range(25)))])
def test_confusion_figure_takes_any_matching(tmp_path, classes, mapping):
    matrix = np.arange(classes * len(mapping)).reshape(classes, len(mapping))
    names = [f"class {index}" for index in range(classes)]
    path = tmp_path / "confusion.png"
    figures.confusion_figure(path, matrix, np.array(mapping), names)
    assert decode(path).shape[0] > 20 * classes


@pytest.mark.parametrize(
    ("matrix", "mapping", "names"),
    [
        (np.ones((2, 2), int), [0, 0], ["a", "b"]),
        (np.ones((2, 2), int), [0, 2], ["a", "b"]),
        (np.ones((2, 2), int), [0], ["a", "b"]),
        (np.ones((2, 2), int), [0, 1], ["a"]),
        (np.ones((2, 2)), [0, 1], ["a", "b"]),
        (-np.ones((2, 2), int), [0, 1], ["a", "b"]),
    ],
)
def test_confusion_figure_refuses_wrong_input(tmp_path, matrix, mapping, names):
    with pytest.raises(ValueError, match=r"matrix|mapping|labels"):
        figures.confusion_figure(tmp_path / "x.png", matrix, np.array(mapping), names)


RECORDS = [
    {"step": step, "loss_d": 1.3, "loss_g": 0.8, "mi_c1": step / 100, "mi_c2": -30.0} for step in (0, 50, 100)
]


def test_curves_figure_is_the_same_file_twice_and_follows_its_records(tmp_path):
    entropy = {"c1": 2.3, "c2": 2.3}
    first, again, other = (tmp_path / name for name in ("first.png", "again.png", "other.png"))
    figures.curves_figure(first, RECORDS, entropy)
    figures.curves_figure(again, RECORDS, entropy)
    figures.curves_figure(other, [{**record, "mi_c1": 0.1} for record in RECORDS], entropy)
    assert first.read_bytes() == again.read_bytes()
    before, after = decode(first), decode(other)
    half = before.shape[1] // 2
    np.testing.assert_array_equal(before[:, :half], after[:, :half])  # the losses are the same
    assert (before[:, half:] != after[:, half:]).any()


def test_curves_figure_refuses_records_without_the_values(tmp_path):
    for records, entropy in ((RECORDS, {"c3": 1.0}), ([], {"c1": 1.0}), (RECORDS, {})):
        with pytest.raises(ValueError, match=r"mi_c3|at least one"):
            figures.curves_figure(tmp_path / "x.png", records, entropy)


def test_factors_figure_is_dark_where_a_code_knows_a_factor(tmp_path):
    information = np.array([[1.0, 0.0, 0.1], [0.0, 0.4, 0.0]])
    path = tmp_path / "factors.png"
    figures.factors_figure(path, information, ["c1", "c$2"], ["azimuth", "width", "identity"])
    picture = decode(path)[..., :3].astype(int)
    darkest = (8, 48, 107)  # the end of matplotlib's "Blues"
    full = np.argwhere((np.abs(picture - darkest) <= 3).all(-1))
    # The cell of 1.0 is the only one of that colour, besides the end of the colour bar.
    cell = full[full[:, 1] < 0.6 * picture.shape[1]]
    assert len(cell) > 500
    assert cell[:, 0].max() < 0.6 * picture.shape[0] and cell[:, 1].max() < 0.5 * picture.shape[1]


@pytest.mark.parametrize(
    ("information", "codes", "message"),
    [
        (np.zeros((1, 2)), ["c1", "c2"], r"information is \(1, 2\), but there are 2 codes and 2 factors"),
        (np.full((2, 2), 1.5), ["c1", "c2"], r"information must be in \[0, 1\]"),
        (np.full((2, 2), np.nan), ["c1", "c2"], r"information must be in \[0, 1\]"),
    ],
)
def test_factors_figure_refuses_what_does_not_fit(information, codes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        figures.factors_figure(tmp_path / "factors.png", information, codes, ["a", "b"])
    assert not list(tmp_path.iterdir())
