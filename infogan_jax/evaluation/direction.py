"""Which measures say that one run is better than another, and which way."""

from fnmatch import fnmatchcase

# Names as `sweep.numbers` has them. What is in neither describes a run (a path's length, the sign of a
# correlation), what it was trained with (a weight, an entropy), a reference (k-means, bicubic), or how far
# another number can be trusted.
_HIGHER = (
    "nmi",
    "ari",
    "iou",
    "disentanglement.*",
    "recovery.*.all_codes",
    "recovery.*.best_code_*",
    "recovery.*.rank_correlation",
    "mutual_information.*",
    "strokes.*",
    "realism.*.precision",
    "realism.*.recall",
    "y_psnr.super_resolved",
    "y_ssim.super_resolved",
)

_LOWER = (
    "code_error",
    "code_error_majority",
    "code_error_by_statistics.*",
    "errors_per_pixel.*",
    "pixel_error_rate",
    "edge_placement_error.*",
    "realism.*.frechet_distance",
    "realism.*.kernel_distance",
    "*_distance.super_resolved",
)


def direction(name: str) -> int:
    """1 for a measure that is better the higher it is, -1 for the lower, 0 where neither is better.

    Args:
        name: as `sweep.numbers` has it: the groups' names and its own, with dots between.
    """
    for sign, patterns in ((1, _HIGHER), (-1, _LOWER)):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return sign
    return 0
