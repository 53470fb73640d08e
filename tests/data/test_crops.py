from collections import Counter

import jax
import numpy as np
import pytest

from infogan_jax.data.crops import Crops, crop, draw_crops

IMAGES = np.arange(2 * 5 * 6 * 2).reshape(2, 5, 6, 2).astype(np.int32)


@pytest.mark.parametrize("position", range(8))
def test_a_crop_is_cut_and_then_turned(position):
    crops = Crops(*(np.array(x, np.int32) for x in ([1, 2], [3, 0], [position, 0])))
    made = np.asarray(crop(IMAGES, crops, side=3))
    expected = IMAGES[0, 1:4, 3:6]
    if position in (1, 3, 5, 7):
        expected = np.stack([expected[:, i] for i in range(3)])
    if position in (2, 3, 6, 7):
        expected = np.flipud(expected)
    if position in (4, 5, 6, 7):
        expected = np.fliplr(expected)
    np.testing.assert_array_equal(made[0], expected)
    np.testing.assert_array_equal(made[1], IMAGES[1, 2:5, 0:3])


def test_the_eight_positions_are_those_of_a_square():
    square = np.arange(9).reshape(1, 3, 3, 1)
    zero = np.zeros(8, np.int32)
    made = crop(np.repeat(square, 8, axis=0), Crops(zero, zero, np.arange(8)), side=3)[..., 0]
    turned = [np.rot90(side, n) for side in (square[0, ..., 0], square[0, ..., 0].T) for n in range(4)]
    assert {x.tobytes() for x in np.asarray(made)} == {x.astype(made.dtype).tobytes() for x in turned}


def test_all_places_and_positions_come_alike():
    drawn = draw_crops(jax.random.key(0), 30_000, image=(5, 6), side=4)
    counts = Counter(zip(*(np.asarray(x).tolist() for x in drawn), strict=True))
    assert len(counts) == 2 * 3 * 8
    # Of 625 expected the standard deviation is 25.
    assert max(abs(count - 625) for count in counts.values()) < 125


def test_images_smaller_than_a_crop_are_refused():
    with pytest.raises(ValueError, match="images of 5 x 6 hold no crop of 6 x 6"):
        draw_crops(jax.random.key(0), 1, image=(5, 6), side=6)
