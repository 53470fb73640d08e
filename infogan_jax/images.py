"""Images as bytes: scaling, grids and PNG files."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

ROUNDING_ERROR = 1 / 12 / 255**2
"""Mean squared error of rounding to bytes, of values in [0, 1]. Images are known no better than that, so a
PSNR counts no error as smaller: it is at most 58.92 dB, and finite where two images are equal."""

SSIM_WINDOW = 11
"""Side in pixels of the windows of the structural similarity."""

BORDER = 4
"""Pixels left out at each side where an enlarged image is compared with the true one: SRGAN's paper's."""

SMALLEST_COMPARED = SSIM_WINDOW + 2 * BORDER
"""Pixels at a side that such a comparison takes."""


def to_uint8(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Brings images from a network's range to bytes; what lies outside the range is clipped.

    round(255 (x - low) / (high - low))

    Args:
        images: Floats of any shape, finite.
        low: The value that becomes 0.
        high: The value that becomes 255.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: If the images are not finite floats, or low is not below high.
    """
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating) or not np.isfinite(images).all():
        raise ValueError(f"images must be finite floats, got {images.dtype} {images.shape}")
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    shares = (images.astype(np.float32) - low) / (high - low)
    levels: np.ndarray = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
    return levels


def tile(images: np.ndarray, columns: int, pad: int = 2, background: int = 255) -> np.ndarray:
    """Lays images out in a grid, row by row, with `pad` pixels between neighbours and none around.

    Args:
        images: uint8 [N, H, W, C], N > 0, C 1 or 3.
        columns: Images in a row; cells of the last row without an image stay background.
        pad: Pixels between neighbours.
        background: Grey level in [0, 255] of the rest.

    Returns:
        uint8 [rows (H + pad) - pad, columns (W + pad) - pad, C].

    Raises:
        ValueError: If a shape, a dtype or a value is not as above.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise ValueError(f"images must be uint8 [N, H, W, 1 or 3], got {images.dtype} {images.shape}")
    if columns < 1 or pad < 0 or not 0 <= background <= 255:
        raise ValueError(f"columns, pad or background out of range: {columns}, {pad}, {background}")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + pad, width + pad, channels), background, np.uint8)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + pad, width + pad, channels).swapaxes(1, 2)
    grid = grid.reshape(rows * (height + pad), columns * (width + pad), channels)
    return grid[: grid.shape[0] - pad, : grid.shape[1] - pad]


def enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    """Makes each pixel of [H, W, C] a square of scale x scale."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def save_png(path: str | os.PathLike[str], image: np.ndarray, scale: int = 1) -> None:
    """Writes an image, each pixel enlarged to a square of scale x scale.

    Args:
        path: The PNG file; replaced as a whole if it exists.
        image: uint8 [H, W, C], C 1 (grey) or 3 (RGB).
        scale: Enlargement, at least 1.

    Raises:
        ValueError: If a shape, a dtype or a value is not as above.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3) or image.size == 0:
        raise ValueError(f"image must be uint8 [H, W, 1 or 3], got {image.dtype} {image.shape}")
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}")
    pixels = enlarge(image, scale)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "png", optimize=True)
    write_atomically(path, buffer.getvalue())


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file so that a reader, a crash in between or a loss of power never leaves half of it.

    Args:
        path: The file, in a folder that exists; replaced as a whole.
        data: All of its bytes.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            # Otherwise the name may reach the disk before the bytes do.
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_names(folder: Path) -> None:
    """Brings the names in a folder to the disk, where its file system can."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        # Some network drives know no such thing of a folder.
        with contextlib.suppress(OSError):
            os.fsync(opened)
    finally:
        os.close(opened)
