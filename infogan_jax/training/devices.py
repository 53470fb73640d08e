"""The devices that share a batch."""

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
