"""scikit-learn's handwritten digits: 1,797 images of 8x8 that come with the package."""

import numpy as np

from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import UserError

TEST_IMAGES = 360
# Fixed so that every run and every user measures on the same 360 images.
SPLIT_SEED = 0


def image_shape(name: str) -> tuple[int, int, int]:
    """Height, width and channels of the images.

    Args:
        name: the set's name, which can only be "digits".

    Raises:
        UserError: another name.
    """
    if name != "digits":
        raise UserError(f"--data.name is {name!r}: the source digits holds one set, called digits")
    return (8, 8, 1)


def load(name: str) -> Dataset:
    """Loads the digits, split once into 1,437 training and 360 test images of equal class shares.

    The published intensities 0..16 become 0..255, rounded to the nearest integer.

    Args:
        name: the set's name, which can only be "digits".

    Returns:
        Images of 8x8x1 and labels 0..9.

    Raises:
        UserError: another name.

    References:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998.
    """
    image_shape(name)
    # Imported here: scikit-learn takes longer to import than all else that reads this module.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    published = load_digits()
    images = np.rint(published.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = published.target.astype(np.int32)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=labels
    )
    return Dataset(
        name="digits",
        train=Split(train_images, train_labels),
        test=Split(test_images, test_labels),
        num_classes=10,
    )
