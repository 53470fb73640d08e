"""The devices that share a batch."""

from collections.abc import Sequence

import jax

from infogan_jax.config import Train
from infogan_jax.errors import UserError


def check_batch(train: Train, devices: Sequence[jax.Device]) -> None:
    """Refuses a batch or microbatch that the devices can't share evenly.

    Raises:
        UserError: names it and the sizes nearest to it that would do.
    """
    n = len(devices)
    for name, size in (("batch", train.batch), ("microbatch", train.microbatch)):
        if size % n:
            allowed = f"{size // n * n} or {(size // n + 1) * n}" if size > n else f"{n}"
            raise UserError(f"--train.{name} {size} can't be shared by {n} devices evenly: take {allowed}")


def stacks(devices: Sequence[jax.Device]) -> bool:
    """Whether the runs of one program take their steps at once, stacked, and not in turn.

    A CPU is busy with one run, and slower with the stacked products of several.
    """
    return bool(devices[0].platform != "cpu")
