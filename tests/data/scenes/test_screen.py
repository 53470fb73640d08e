"""The camera against scipy's rotations; coverage and distances against what they are to first order."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from infogan_jax.data.scenes import screen


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (0, 90), (37, -20), (250, 25)])
def test_the_camera_is_turned_then_raised(azimuth, elevation):
    expected = Rotation.from_euler("YX", [azimuth, -elevation], degrees=True).as_matrix().T
    camera = screen.orthographic_camera(np.float32(azimuth), np.float32(elevation))
    np.testing.assert_allclose(camera, expected, atol=1e-6)


def test_pixels_count_right_and_up_from_the_middle():
    u, v = screen.pixel_centres(4)
    np.testing.assert_array_equal(u[0], [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_array_equal(v[:, 0], [1.5, 0.5, -0.5, -1.5])


def test_coverage_is_the_overlap_of_two_intervals():
    # A pixel is [-1/2, 1/2], a shape what lies left of an edge.
    edges = np.array([-3.0, -0.5, -0.25, 0.0, 0.4, 0.5, 3.0], np.float32)
    overlap = np.clip(edges + 0.5, 0, 1)
    np.testing.assert_allclose(screen.coverage(-edges), overlap, atol=1e-7)


def test_distance_to_a_circle_is_right_near_it_and_finite_in_its_middle():
    radius = 5.0
    along = np.array([0.0, 4.5, 4.75, 5.0, 5.25, 5.5], np.float32)
    distance = screen.distance_to_ellipse((along / radius) ** 2, (along / radius**2, 0 * along))
    np.testing.assert_allclose(distance[1:], along[1:] - radius, atol=0.03)
    assert np.isfinite(distance[0]) and distance[0] < -radius
