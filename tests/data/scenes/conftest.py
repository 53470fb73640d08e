"""What the scenes' references share: rays of a camera built by scipy, and averaging over parts of pixels."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def _centres(size, parts):
    line = (np.arange(size * parts) + 0.5) / parts - size / 2
    return np.meshgrid(line, -line)


@pytest.fixture(scope="session")
def centres():
    """A function of a picture's size and parts a pixel's side: u to the right and v up of their centres."""
    return _centres


@pytest.fixture(scope="session")
def rays():
    """A function of size, parts, azimuth and elevation: origins [..., 3] and the way to the camera."""

    def cast(size, parts, azimuth, elevation):
        right, up, camera = Rotation.from_euler("YX", [azimuth, -elevation], degrees=True).as_matrix().T
        u, v = _centres(size, parts)
        return u[..., np.newaxis] * right + v[..., np.newaxis] * up, camera

    return cast


@pytest.fixture(scope="session")
def pixels():
    """A function of values at parts of pixels and of parts a side: the mean of each pixel."""

    def average(values, parts):
        rows, columns = (length // parts for length in values.shape)
        return values.reshape(rows, parts, columns, parts).mean(axis=(1, 3))

    return average
