"""The devices that share a batch, and what they could do at most."""

from collections.abc import Sequence

import jax

from infogan_jax.errors import UserError


def check_batch(batch: int, devices: Sequence[jax.Device]) -> None:
    """Refuses a batch that the devices can't share evenly.

    Raises:
        UserError: names the batch and the sizes nearest to it that would do.
    """
    n = len(devices)
    if batch % n:
        allowed = f"{batch // n * n} or {(batch // n + 1) * n}" if batch > n else f"{n}"
        raise UserError(f"--train.batch {batch} can't be shared by {n} devices evenly: take {allowed}")


# Dense bfloat16 products (T4 and V100: float16) in TFLOP/s of one device as JAX counts them, by the vendors'
# data sheets. TPU v2 and v3 have two devices a chip. Of two names of which one holds the other the longer
# comes first.
_PEAKS = {
    "TPU v6 lite": 918,
    "TPU v5 lite": 197,
    "TPU v5": 459,
    "TPU v4": 275,
    "TPU v3": 61.5,
    "TPU v2": 22.5,
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "V100": 125,
    "L40S": 362,
    "L4": 121,
    "T4": 65,
}


def peak_flops(devices: Sequence[jax.Device]) -> float | None:
    """The most that the devices can do together in bfloat16, FLOP/s; None where that isn't known."""
    kind = devices[0].device_kind
    peak = next((teraflops for name, teraflops in _PEAKS.items() if name in kind), None)
    return peak and peak * 1e12 * len(devices)
