import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from infogan_jax.evaluation.edges import edge_placement_error, intersection_over_union, pixel_error_rate


def block(top, left, bottom, right, size=24):
    image = np.zeros((size, size), bool)
    image[top:bottom, left:right] = True
    return image


def test_a_perfect_image_has_no_error():
    image = block(4, 5, 15, 20)
    assert pixel_error_rate(image, image) == 0
    assert intersection_over_union(image, image) == 1
    assert edge_placement_error(image, image) == (0, 0)


def test_areas_are_counted():
    wanted, made = block(0, 0, 4, 4), block(0, 0, 4, 8)
    assert pixel_error_rate(wanted, made) == 16 / 24**2
    assert intersection_over_union(wanted, made) == 0.5


@pytest.mark.parametrize("shift", [1, 2, 5])
def test_a_straight_edge_is_off_by_its_shift(shift):
    wanted, made = block(0, 0, 24, 10), block(0, 0, 24, 10 + shift)
    assert edge_placement_error(wanted, made) == (shift, shift)


def test_the_worst_is_hausdorffs_distance_and_the_mean_that_of_both_directions():
    rng = np.random.default_rng(0)
    wanted, made = rng.random((2, 12, 15)) > 0.85

    def points(image):
        rows = [(i + 0.5, j) for i, j in zip(*np.nonzero(image[1:] != image[:-1]), strict=True)]
        return rows + [(i, j + 0.5) for i, j in zip(*np.nonzero(image[:, 1:] != image[:, :-1]), strict=True)]

    a, b = np.array(points(wanted)), np.array(points(made))
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    measured = edge_placement_error(wanted, made)
    assert measured.worst == pytest.approx(max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0]))
    nearest = np.concatenate([distances.min(axis=1), distances.min(axis=0)])
    assert measured.mean == pytest.approx(nearest.mean())
    assert edge_placement_error(made, wanted) == pytest.approx(measured)


def test_without_edges():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert edge_placement_error(empty, empty) == (0, 0)
    assert edge_placement_error(empty, full) == (0, 0)
    assert intersection_over_union(empty, empty) == 1
    assert edge_placement_error(empty, np.eye(3, 4, dtype=bool)) == (5, 5)


def test_what_is_no_pair_of_bool_images_is_refused():
    image = block(0, 0, 2, 2)
    for wanted, made in ((image, image[1:]), (image.astype(float), image), (image[None], image[None])):
        for measure in (pixel_error_rate, intersection_over_union, edge_placement_error):
            with pytest.raises(ValueError, match="both must be bool"):
                measure(wanted, made)
