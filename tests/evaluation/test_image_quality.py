import numpy as np
import pytest

from infogan_jax.evaluation.image_quality import luma, y_psnr, y_ssim


def pair(height=31, width=40):
    """Waves and noise over them, whose numbers don't hang on a generator's version."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 3.0), np.cos(y / 4.0), np.sin((x + y) / 5.0)], axis=-1)
    true = np.rint(127.5 + 100 * waves).astype(np.uint8)
    residual = ((np.arange(true.size) * 7919) % 41 - 20).reshape(true.shape)
    return np.clip(true.astype(int) + residual, 0, 255).astype(np.uint8), true


def test_luma_has_the_standards_constants():
    # BT.601: 0.299 R + 0.587 G + 0.114 B, brought to 219 steps above 16.
    colours = np.eye(3, dtype=np.uint8) * 255
    np.testing.assert_allclose(luma(colours), 16 + 219 * np.array([0.299, 0.587, 0.114]), rtol=1e-6)
    np.testing.assert_allclose(luma(np.array([[0, 0, 0], [255, 255, 255]], np.uint8)), [16, 235], rtol=1e-6)
    mixed = np.array([10, 200, 77], np.uint8)
    np.testing.assert_allclose(
        luma(mixed), 16 + 219 / 255 * (0.299 * 10 + 0.587 * 200 + 0.114 * 77), rtol=1e-6
    )


def test_psnr_is_that_of_the_mean_squared_difference_of_lumas():
    made, true = pair()
    a, b = (np.asarray(luma(x), np.float64)[4:-4, 4:-4] for x in (made, true))
    expected = 10 * np.log10(255**2 / np.mean((a - b) ** 2))
    assert y_psnr(made, true, border=4) == pytest.approx(expected, abs=1e-3)
    assert y_psnr(made, true, border=0) != pytest.approx(expected, abs=1e-3)
    # A luma off by 219 / 255 of one step everywhere.
    grey = np.full((9, 9, 3), 100, np.uint8)
    assert y_psnr(grey + np.uint8(1), grey, border=2) == pytest.approx(20 * np.log10(255**2 / 219), abs=1e-3)


def test_psnr_counts_no_error_as_less_than_that_of_rounding_to_bytes():
    _, true = pair()
    # 10 log10(12 255^2).
    assert y_psnr(true, true, border=4) == pytest.approx(58.92, abs=0.005)
    almost = true.copy()
    almost[10, 10, 2] ^= 1
    assert y_psnr(almost, true, border=4) == y_psnr(true, true, border=4)


# By scikit-image 0.26 on the luma of `pair` as float64, without the border:
# peak_signal_noise_ratio(b, a, data_range=255) and structural_similarity(b, a, data_range=255,
# gaussian_weights=True, sigma=1.5, use_sample_covariance=False), which takes windows of 11 x 11.
@pytest.mark.parametrize(("border", "psnr", "ssim"), [(0, 30.5736, 0.89017), (4, 30.5163, 0.89560)])
def test_psnr_and_ssim_are_scikit_images(border, psnr, ssim):
    made, true = pair()
    assert y_psnr(made, true, border=border) == pytest.approx(psnr, abs=1e-3)
    assert y_ssim(made, true, border=border) == pytest.approx(ssim, abs=1e-4)


def test_ssim_of_equal_images_is_one():
    _, true = pair()
    assert y_ssim(true, true, border=4) == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_compared_is_refused():
    grey = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ValueError, match=r"images are float32 \(9, 9, 3\): they must be uint8"):
        luma(grey.astype(np.float32))
    with pytest.raises(ValueError, match=r"made is \(9, 9, 3\), true \(9, 8, 3\): they must have one shape"):
        y_psnr(grey, grey[:, 1:], border=0)
    with pytest.raises(ValueError, match="9 x 9 pixels have nothing inside a border of 5"):
        y_psnr(grey, grey, border=5)
    with pytest.raises(ValueError, match="SSIM needs 11 x 11 or more"):
        y_ssim(grey, grey, border=0)
