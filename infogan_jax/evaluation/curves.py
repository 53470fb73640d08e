"""A training's log as a picture."""

from pathlib import Path

from infogan_jax.evaluation.figures import comparison_figure
from infogan_jax.evaluation.report import Picture
from infogan_jax.training.logging import Record

_NOT_CURVES = ("step", "seconds", "steps_per_second", "flops_per_second", "utilisation")
"""What a log has beside what a step computes."""


def quantities(records: list[Record]) -> list[str]:
    """What a step computes, by the names that the log's first record has; none of an empty log."""
    return [name for record in records[:1] for name in record if name not in _NOT_CURVES]


def training_curves(records: list[Record], folder: Path) -> list[Picture]:
    """Draws each quantity of a log against the step.

    Args:
        records: the log, oldest first.
        folder: where the picture goes.

    Returns:
        The picture, or nothing where the log is empty.
    """
    names = quantities(records)
    if not names:
        return []
    path = folder / "curves.png"
    comparison_figure(path, {"": records}, names)
    return [(f"Training: {', '.join(names)}", path)]
