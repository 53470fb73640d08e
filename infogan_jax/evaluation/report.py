"""One self-contained web page about a measured run."""

import base64
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infogan_jax.evaluation.page import render
from infogan_jax.images import write_atomically

Metrics = dict[str, Any]
Picture = tuple[str, Path]
"""A caption, and a PNG file."""


class Measurement(NamedTuple):
    """What was measured of a run, in the forms in which it is told.

    Attributes:
        metrics: JSON values by name.
        headline: the lines that the command line prints, and the report begins with.
        summary: (name, value) of what was run, for the report.
        results: (name, value, meaning) of each measurement, for the report.
        information: (code, L_I, its standard error, H(c)) for each code, all in nats.
        pictures: in the report's order.
    """

    metrics: Metrics
    headline: list[str]
    summary: list[tuple[str, str]]
    results: list[tuple[str, str, str]]
    information: list[tuple[str, float, float, float]]
    pictures: list[Picture]


def rounded(x: float | np.floating) -> float:
    """A metric to six decimals, far below every standard error."""
    return round(float(x), 6)


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    headline: Sequence[str],
    summary: Sequence[tuple[str, str]],
    results: Sequence[tuple[str, str, str]],
    information: Sequence[tuple[str, float, float, float]],
    pictures: Sequence[tuple[str, Path]],
    command: str | None,
    config_text: str,
) -> None:
    """Writes one HTML file that needs no other: pictures lie inside it, nothing is fetched or executed.

    Equal arguments give equal bytes. A section without entries is left out.

    Args:
        path: The HTML file; replaced as a whole if it exists.
        title: Heading of the page.
        headline: What was found, in a line or a few.
        summary: (name, value) of what was run.
        results: (name, value, meaning) of each measurement.
        information: (code, L_I, its standard error, H(c)) for each code, all in nats.
        pictures: (caption, PNG file).
        command: What trains the same again, if a command line can say it.
        config_text: The run's configuration, shown as it is.

    Raises:
        ValueError: If a picture is not a PNG file.
    """
    page = render(
        "report.html.jinja",
        title=title,
        headline=headline,
        summary=summary,
        results=results,
        information=[_bar(*row) for row in information],
        pictures=[picture(caption, Path(file)) for caption, file in pictures],
        command=command,
        config_text=config_text,
    )
    write_atomically(path, page)


class _Bar(NamedTuple):
    code: str
    bound: str
    error: str
    entropy: str
    percent: str
    width: float
    """Length of the bar, in percent of the full length, which is H(c)."""


def _bar(code: str, bound: float, standard_error: float, entropy: float) -> _Bar:
    # A differential entropy can be zero or negative: there is no share of it to speak of.
    share = bound / entropy if entropy > 0 else math.nan
    return _Bar(
        code=code,
        bound=_nats(bound),
        error=f"{standard_error:.3f}",
        entropy=_nats(entropy),
        percent=f"{100 * share:.0f} %".replace("-", "−") if math.isfinite(share) else "–",
        width=round(100 * min(max(share, 0.0), 1.0), 1) if math.isfinite(share) else 0.0,
    )


def _nats(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


class _Picture(NamedTuple):
    caption: str
    data: str
    """The file's bytes, base64."""
    width: int
    height: int


def picture(caption: str, file: Path) -> _Picture:
    """A PNG file as a page holds it.

    Raises:
        ValueError: the file is no PNG file.
    """
    content = file.read_bytes()
    if not content.startswith(PNG_SIGNATURE) or len(content) < 24:
        raise ValueError(f"{file} is not a PNG file")
    # The header's first two fields; with them the page does not jump while it is laid out.
    width, height = struct.unpack(">II", content[16:24])
    return _Picture(caption, base64.b64encode(content).decode("ascii"), width, height)
