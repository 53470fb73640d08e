"""Heads against ellipsoids cast by numpy, against their mirror images, and measured as pictures."""

import jax
import numpy as np
import pytest

from infogan_jax.data.scenes import heads

FRONTAL = {"azimuth": 0, "elevation": 0, "lighting": 0, "width": 1, "identity": 1}
MISS = -1e6


@pytest.fixture(scope="module")
def draw():
    render = jax.jit(heads.render)

    def one(**factors):
        values = (FRONTAL | factors).values()
        return np.asarray(render(np.array([*values], np.float32)), np.float64)[..., 0]

    return one


def cast(rays, size, parts, azimuth, elevation, width, identity):
    """Depths [K, H, W], MISS where a ray misses, and unit normals [K, H, W, 3] of the ellipsoids."""
    origins, camera = rays(size, parts, azimuth, elevation)
    depths, normals = [], []
    parts = np.array(heads.ellipsoids(np.float32(width), np.float32(identity)), np.float64)
    for centre, radii in parts.swapaxes(0, 1):
        start, step = (origins - centre) / radii, camera / radii
        half, rest = start @ step, np.sum(start**2, axis=-1) - 1
        root = half**2 - step @ step * rest
        depth = (np.sqrt(np.maximum(root, 0)) - half) / (step @ step)
        normal = (origins + depth[..., np.newaxis] * camera - centre) / radii**2
        depths.append(np.where(root > 0, depth, MISS))
        normals.append(normal / np.linalg.norm(normal, axis=-1, keepdims=True))
    return np.array(depths), np.array(normals)


def light(lighting):
    """The direction to the light: to the picture's right, up and to the camera."""
    azimuth, elevation = np.deg2rad([lighting, heads.LIGHT_ELEVATION])
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )


POSES = [
    (0, 0, 1.0, 0),
    (50, 20, 0.8, 1),
    (-35, -30, 1.2, 2),
    (15, 30, 1.0, 3),
    (-60, 0, 0.9, 4),
    (60, -10, 1.1, 5),
]


@pytest.mark.parametrize(("azimuth", "elevation", "width", "identity"), POSES)
def test_the_outline_is_that_of_the_ellipsoids(draw, rays, pixels, azimuth, elevation, width, identity):
    depths, _ = cast(rays, heads.SIZE, 6, azimuth, elevation, width, identity)
    hit = pixels((depths > MISS).any(axis=0), 6)
    image = draw(azimuth=azimuth, elevation=elevation, width=width, identity=identity)
    assert image[hit == 1].min() > 0.02
    assert image[hit == 0].max() < 0.05  # at most the corner of a pixel
    # A pixel that is covered in part is as much darker than when covered whole.
    assert np.all(image[hit < 1] <= hit[hit < 1] + 0.15)


@pytest.mark.parametrize(("azimuth", "elevation", "width", "identity"), POSES)
def test_brightness_follows_the_angle_to_the_light(draw, rays, azimuth, elevation, width, identity):
    # The ratio of two images under two lights doesn't depend on what is painted on the head.
    depths, normals = cast(rays, heads.SIZE, 1, azimuth, elevation, width, identity)
    order = np.argsort(depths, axis=0)
    nearest, second = (np.take_along_axis(depths, order[[k]], axis=0)[0] for k in (-1, -2))
    normal = np.take_along_axis(normals, order[[-1]][..., np.newaxis], axis=0)[0]
    _, camera = rays(1, 1, azimuth, elevation)
    right, _ = rays(2, 1, azimuth, elevation)
    right, up = right[0, 1] - right[0, 0], right[0, 0] - right[1, 0]
    # Away from outlines and from where surfaces blend.
    clear = (nearest > MISS) & (nearest - second > heads.BLEND / 2) & (normal @ camera > 0.3)
    assert clear.sum() > 100
    images, expected = [], []
    for lighting in (-60, 20):
        images.append(
            draw(azimuth=azimuth, elevation=elevation, lighting=lighting, width=width, identity=identity)
        )
        cosine = normal @ np.stack([right, up, camera]).T @ light(lighting)
        expected.append(heads.AMBIENT + heads.DIFFUSE * np.maximum(0, cosine))
    difference = images[0] / (images[1] + 1e-9) - expected[0] / expected[1]
    close = np.abs(difference[clear]) < 0.02
    # The rest are pixels that the outline of a nearer part crosses.
    assert close.mean() > 0.93


@pytest.mark.parametrize("identity", range(6))
def test_turning_head_and_light_the_other_way_mirrors_the_image(draw, identity):
    one = draw(azimuth=35, elevation=12, lighting=-50, identity=identity)
    other = draw(azimuth=-35, elevation=12, lighting=50, identity=identity)
    np.testing.assert_allclose(one, other[:, ::-1], atol=2e-4)
    assert abs(one - one[:, ::-1]).max() > 0.2


def test_lighting_moves_the_bright_side_and_not_the_outline(draw, centres):
    u, _ = centres(heads.SIZE, 1)
    images = [draw(lighting=angle, azimuth=20) for angle in np.linspace(-75, 75, 7)]
    middles = [np.sum(u * image) / image.sum() for image in images]
    assert np.all(np.diff(middles) > 0.3)
    for image in images:
        np.testing.assert_array_equal(image > 0, images[0] > 0)


def test_width_stretches_the_outline_across_and_not_along(draw, centres):
    u, v = centres(heads.SIZE, 1)
    outlines = [draw(width=width) > 0.05 for width in (0.8, 1.0, 1.2)]
    across = [np.std(u[outline]) for outline in outlines]
    along = [np.std(v[outline]) for outline in outlines]
    assert across[0] / across[1] == pytest.approx(0.8, rel=0.05)
    assert across[2] / across[1] == pytest.approx(1.2, rel=0.05)
    np.testing.assert_allclose(along, along[1], rtol=0.03)


def reach(image):
    """The first and the last column and row of a head, which skull, ears and neck set."""
    columns, rows = (np.nonzero((image > 0).any(axis=axis))[0] for axis in (0, 1))
    return columns[0], columns[-1], rows[0], rows[-1]


def test_width_moves_the_sides_and_no_row(draw):
    # The ears end 9.8 widths from the middle, and the skull 13.2 pixels above it.
    for width in (0.8, 1.0, 1.2):
        left, right, top, bottom = reach(draw(width=width))
        assert left == 31 - right and top == 16 - 14 and bottom == 31
        assert 9.8 * width - 0.2 <= 16 - left <= 9.8 * width + 1.2


@pytest.mark.parametrize("identity", range(6))
def test_identity_turns_no_head_moves_no_light_and_widens_none(draw, identity):
    # Seen and lit from the front a head is its own mirror image, at any height of the camera.
    for elevation in (-25, 0, 25):
        image = draw(identity=identity, elevation=elevation)
        np.testing.assert_allclose(image, image[:, ::-1], atol=2e-4)
        assert reach(image) == reach(draw(elevation=elevation))
    for width in (0.8, 1.2):
        assert reach(draw(identity=identity, width=width)) == reach(draw(width=width))
    # How far a light from one side outshines the other half is the same for all but for what is painted on.
    for lighting in (-60, 30):
        assert balance(draw(identity=identity, lighting=lighting)) == pytest.approx(
            balance(draw(lighting=lighting)), abs=0.08
        )


def balance(image):
    """The right half's light less the left's, of both."""
    left, right = image[:, :16].sum(), image[:, 16:].sum()
    return (right - left) / (right + left)


def test_azimuth_and_elevation_move_no_light(draw):
    # A bald head is a ball all but for its features, which darken the side that it is turned to.
    for lighting in (-60, 60):
        expected = balance(draw(lighting=lighting))
        for azimuth, elevation in ((-50, 0), (50, 0), (0, -25), (0, 25)):
            image = draw(lighting=lighting, azimuth=azimuth, elevation=elevation)
            assert balance(image) == pytest.approx(expected, abs=0.2)


def test_azimuth_moves_no_row_and_elevation_no_column(draw):
    level = reach(draw())
    for angle in (-50, -20, 20, 50):
        assert reach(draw(azimuth=angle))[2:] == level[2:]
        assert reach(draw(elevation=angle / 2))[:2] == level[:2]


def features(image, lit):
    """The mean row and column of what is dark on the face: eyes, brows and mouth of a bald head."""
    dark = image < 0.6 * lit
    rows, columns = np.nonzero(dark)
    return rows.mean(), columns.mean()


def lit(rays, azimuth, elevation, lighting=0, width=1):
    """The brightness of skull and jaw in the bald head's plain skin; 0 where seen askance."""
    depths, normals = cast(rays, heads.SIZE, 1, azimuth, elevation, width, 1)
    nearest = np.argmax(depths[:2], axis=0)
    normal = np.take_along_axis(normals, nearest[np.newaxis, ..., np.newaxis], axis=0)[0]
    origins, camera = rays(2, 1, azimuth, elevation)
    right, up = origins[0, 1] - origins[0, 0], origins[0, 0] - origins[1, 0]
    cosine = normal @ np.stack([right, up, camera]).T @ light(lighting)
    shade = 0.85 * (heads.AMBIENT + heads.DIFFUSE * np.maximum(0, cosine))
    return np.where((depths[:2] > MISS).any(axis=0) & (normal @ camera > 0.5), shade, 0)


@pytest.mark.parametrize("lighting", [-60, 0, 60])
@pytest.mark.parametrize("width", [0.8, 1.0, 1.2])
@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (-50, 0), (50, 0), (0, -25), (0, 25)])
def test_nothing_but_light_changes_the_skin(draw, rays, azimuth, elevation, width, lighting):
    # Most of what is seen of a bald head is skin, of which eyes, brows, mouth, nose and ears leave enough.
    shade = lit(rays, azimuth, elevation, lighting, width)
    image = draw(azimuth=azimuth, elevation=elevation, lighting=lighting, width=width)
    assert np.median(image[shade > 0] / shade[shade > 0]) == pytest.approx(1, abs=0.02)


def test_azimuth_and_elevation_move_the_features_across_and_along(draw, rays):
    # They lie before the axis of the turn: seen from the right they move left by its sine, times some 9
    # pixels for those in the middle and less for those near the outline, some of which are lost from sight.
    angles = np.array([-40.0, -20.0, 0.0, 20.0, 40.0])
    turned = np.array([features(draw(azimuth=a), lit(rays, a, 0)) for a in angles])
    assert np.corrcoef(turned[:, 1], -np.sin(np.deg2rad(angles)))[0, 1] > 0.98
    assert np.ptp(turned[:, 1]) > 5
    assert np.ptp(turned[:, 0]) < 2.5
    raised = np.array([features(draw(elevation=e), lit(rays, 0, e)) for e in angles[1:4]])
    assert np.all(np.diff(raised[:, 0]) > 1.5)
    assert np.ptp(raised[:, 1]) < 0.5


def test_identities_look_different_in_every_pose(draw):
    for pose in ({}, {"azimuth": 55, "elevation": -25}, {"azimuth": -55, "elevation": 25, "lighting": -70}):
        faces = [draw(identity=k, **pose) for k in range(6)]
        apart = [abs(a - b).mean() for k, a in enumerate(faces) for b in faces[:k]]
        assert min(apart) > 0.01


@pytest.mark.parametrize(
    "wrong", [np.zeros(4, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, np.int32)]
)
def test_factors_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(AssertionError):
        heads.render(wrong)
