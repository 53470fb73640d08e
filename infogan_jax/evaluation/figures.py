"""Figures, written as PNG files."""

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from infogan_jax.images import enlarge, tile, write_atomically

DPI = 100
FIGURE_MARGIN = 10
"""Pixels of white around a figure."""
CELL = 72
"""Images of a traversal are enlarged by the smallest integer that makes them at least this many pixels."""
MOST_ANNOTATED = 20
"""A confusion matrix with more rows or columns than this shows colours without counts."""


def traversal_figure(
    path: str | os.PathLike[str],
    images: np.ndarray,
    columns: int,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    title: str,
    xlabel: str,
) -> None:
    """Draws one latent traversal: along a row the code changes, from row to row the rest of the input.

    Args:
        path: The PNG file.
        images: uint8 [rows * columns, H, W, C], row by row, C 1 or 3.
        columns: Values of the code.
        column_labels: The value of the code in each column.
        row_labels: One label for each row.
        title: What the grid shows.
        xlabel: What changes along a row.

    Raises:
        ValueError: If a shape or a dtype is not as above, or labels are missing.

    References:
        Chen et al., InfoGAN, 2016, figure 2.
    """
    images = np.asarray(images)
    gap = 1
    grid = tile(images, columns, pad=gap)
    if len(column_labels) != columns or len(row_labels) * columns != len(images):
        raise ValueError(
            f"{len(images)} images in {columns} columns do not fit "
            f"{len(column_labels)} column labels and {len(row_labels)} row labels"
        )
    height, width = images.shape[1:3]
    scale = -(-CELL // max(height, width))
    pixels = enlarge(grid, scale)
    # Axes as large as the array: one of its pixels is one pixel of the file, so nothing is resampled.
    figure = Figure(figsize=(pixels.shape[1] / DPI, pixels.shape[0] / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, pixels.shape[1]), ylim=(pixels.shape[0], 0))
    axes.imshow(
        np.broadcast_to(pixels, (*pixels.shape[:2], 3)),
        extent=(0, pixels.shape[1], pixels.shape[0], 0),
        interpolation="nearest",
        aspect="auto",
    )
    centres_x = scale * (np.arange(columns) * (width + gap) + width / 2)
    centres_y = scale * (np.arange(len(row_labels)) * (height + gap) + height / 2)
    axes.set_xticks(centres_x, column_labels, fontsize=9, parse_math=False)
    axes.set_yticks(centres_y, row_labels, fontsize=9, parse_math=False)
    axes.tick_params(length=0, pad=5)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(xlabel, fontsize=10, parse_math=False)
    axes.set_title(title, fontsize=11, parse_math=False)
    _save_figure(path, figure)


def confusion_figure(
    path: str | os.PathLike[str], matrix: np.ndarray, mapping: np.ndarray, class_labels: Sequence[str]
) -> None:
    """Draws a confusion matrix with its matched pairs on the diagonal.

    Columns follow the class that each category is matched to; categories and classes without a partner
    come last. The colour is the share of the class, the number the count of examples.

    Args:
        path: The PNG file.
        matrix: Integers [classes, categories], counts, at least 0.
        mapping: Integers [categories], the class of each category, or -1; no class twice.
        class_labels: The name of each class.

    Raises:
        ValueError: If a shape, a dtype or a value is not as above.
    """
    matrix, mapping = np.asarray(matrix), np.asarray(mapping)
    if (
        matrix.ndim != 2
        or matrix.size == 0
        or not np.issubdtype(matrix.dtype, np.integer)
        or matrix.min() < 0
    ):
        raise ValueError(f"matrix must be counts [classes, categories], got {matrix.dtype} {matrix.shape}")
    classes, categories = matrix.shape
    if mapping.shape != (categories,) or not np.issubdtype(mapping.dtype, np.integer):
        raise ValueError(f"mapping must be integers [{categories}], got {mapping.dtype} {mapping.shape}")
    matched = mapping[mapping >= 0]
    if mapping.min() < -1 or mapping.max() >= classes or len(np.unique(matched)) != len(matched):
        raise ValueError(f"mapping must match each category to another class below {classes}, got {mapping}")
    if len(class_labels) != classes:
        raise ValueError(f"{classes} classes need as many labels, got {len(class_labels)}")

    column_order = np.argsort(np.where(mapping < 0, classes, mapping), kind="stable")
    row_order = np.argsort(~np.isin(np.arange(classes), matched), kind="stable")
    counts = matrix[row_order][:, column_order]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    figure = Figure(figsize=(2.2 + 0.5 * categories, 1.4 + 0.42 * classes), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(categories), [str(k) for k in column_order], fontsize=9)
    axes.set_yticks(range(classes), [class_labels[row] for row in row_order], fontsize=9, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("category, in the order of the matched classes")
    axes.set_ylabel("class")
    if max(classes, categories) <= MOST_ANNOTATED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    bar = figure.colorbar(mesh, ax=axes, label="share of the class")
    bar.outline.set_visible(False)
    _save_figure(path, figure)


def factors_figure(
    path: str | os.PathLike[str],
    information: np.ndarray,
    code_labels: Sequence[str],
    factor_labels: Sequence[str],
) -> None:
    """Draws what each code knows of each factor.

    Args:
        path: The PNG file.
        information: float [codes, factors] in [0, 1].
        code_labels: The name of each code.
        factor_labels: The name of each factor.

    Raises:
        ValueError: If a shape or a value is not as above.
    """
    information = np.asarray(information)
    if information.shape != (len(code_labels), len(factor_labels)) or not information.size:
        raise ValueError(
            f"information is {information.shape}, but there are {len(code_labels)} codes and "
            f"{len(factor_labels)} factors"
        )
    if not ((information >= 0) & (information <= 1 + 1e-9)).all():
        raise ValueError("information must be in [0, 1]")
    codes, factors = information.shape
    figure = Figure(figsize=(2.2 + 0.9 * factors, 1.4 + 0.42 * codes), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    mesh = axes.imshow(information, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(factors), factor_labels, fontsize=9, parse_math=False)
    axes.set_yticks(range(codes), code_labels, fontsize=9, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("factor")
    axes.set_ylabel("code")
    for (row, column), value in np.ndenumerate(information):
        colour = "white" if value > 0.5 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    bar = figure.colorbar(mesh, ax=axes, label="mutual information, normalised")
    bar.outline.set_visible(False)
    _save_figure(path, figure)


def curves_figure(
    path: str | os.PathLike[str],
    records: Sequence[Mapping[str, float]],
    prior_entropy: Mapping[str, float],
) -> None:
    """Draws a training log: the two losses, and the bound on the information beside its codes' entropies.

    Args:
        path: The PNG file.
        records: At least one, in the order of their "step", each with "loss_d", "loss_g" and, for each
            code, "mi_<code>" in nats.
        prior_entropy: H(c) in nats for each code's name, at least one.

    Raises:
        ValueError: If there is no record or no code, or a record lacks a value.
    """
    if not records or not prior_entropy:
        raise ValueError("curves need at least one record and one code")
    needed = {"step", "loss_d", "loss_g", *(f"mi_{code}" for code in prior_entropy)}
    for record in records:
        if missing := sorted(needed - record.keys()):
            raise ValueError(f"the record of step {record.get('step')} lacks {', '.join(missing)}")

    series = {name: np.array([record[name] for record in records], np.float64) for name in needed}
    figure = Figure(figsize=(10, 3.8), dpi=DPI, layout="constrained")
    losses, information = figure.subplots(1, 2)
    losses.plot(series["step"], series["loss_d"], label="discriminator", linewidth=1.2)
    losses.plot(series["step"], series["loss_g"], label="generator", linewidth=1.2)
    losses.set_title("Loss", fontsize=11)

    sharing = Counter(prior_entropy.values())
    drawn: Counter[float] = Counter()
    for index, (code, entropy) in enumerate(prior_entropy.items()):
        colour = f"C{index % 10}"
        bound = series[f"mi_{code}"]
        information.plot(series["step"], bound, color=colour, label=code, linewidth=1.2)
        # Codes of equal entropy share one line: each colour's dashes fill the gaps of the others.
        dash, period = 5, 5 * max(sharing[entropy], 2)
        style = (-dash * drawn[entropy], (dash, period - dash))
        information.axhline(entropy, color=colour, linestyle=style, linewidth=1)
        drawn[entropy] += 1
    # An untrained Q can put the bound far below zero, which would flatten everything worth seeing.
    floor = -0.5 * max(*prior_entropy.values(), 1.0)
    information.set_ylim(bottom=max(information.get_ylim()[0], floor))
    information.set_title("Lower bound L_I on the information, and H(c) (dashed)", fontsize=11)
    information.set_ylabel("nats")

    for axes in (losses, information):
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        # By default it is the best place too, but with a warning where the machine is slow to find it.
        legend = axes.legend(loc="best", frameon=False, fontsize=9, ncols=1 + len(prior_entropy) // 6)
        for text in legend.get_texts():
            text.set_parse_math(False)
    _save_figure(path, figure)


def information_figure(
    path: str | os.PathLike[str],
    curves: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    entropy: float,
) -> None:
    """Draws L_I against the step, a line for each run and a colour for each kind of run.

    Args:
        path: The PNG file.
        curves: For each kind by name, each run's steps and L_I in nats, [records] both.
        entropy: H(c) in nats, which L_I can't pass where the codes are discrete.

    Raises:
        ValueError: If there is no run.

    References:
        Chen et al., InfoGAN, 2016, figure 1.
    """
    if not any(curves.values()):
        raise ValueError("curves need at least one run")
    figure = Figure(figsize=(6.4, 3.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    lowest = 0.0
    for index, (kind, runs) in enumerate(curves.items()):
        for run, (steps, nats) in enumerate(runs):
            label = f"{kind} ({len(runs)} runs)" if run == 0 and len(runs) > 1 else kind
            axes.plot(steps, nats, color=f"C{index}", linewidth=1.2, label=label if run == 0 else None)
            lowest = min(lowest, float(np.min(nats, initial=0.0)))
    axes.axhline(entropy, color="black", linestyle=(0, (5, 5)), linewidth=1, label="H(c)")
    # An untrained Q can put the bound far below zero.
    axes.set_ylim(max(lowest, -0.5 * entropy) - 0.05 * entropy, 1.08 * entropy)
    axes.set_xlabel("step")
    axes.set_ylabel("L_I, nats", parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="center right")
    _save_figure(path, figure)


def comparison_figure(
    path: str | os.PathLike[str], logs: Mapping[str, Sequence[Mapping[str, float]]], names: Sequence[str]
) -> None:
    """Draws several training logs over each other: a panel for each quantity, a colour for each run.

    Args:
        path: The PNG file.
        logs: For each run by its label, its records in the order of their "step"; the labels are drawn where
            there are several.
        names: The quantities, at least one; a run whose records lack one has no line there.

    Raises:
        ValueError: If there is no quantity.
    """
    if not names:
        raise ValueError("a comparison of curves needs at least one quantity")
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5 * columns, 3.2 * rows), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        for index, records in enumerate(logs.values()):
            points = [(record["step"], record[name]) for record in records if name in record]
            if points:
                panel.plot(*zip(*points, strict=True), color=f"C{index % 10}", linewidth=1.2)
        panel.set_title(name, fontsize=11, parse_math=False)
        panel.set_xlabel("step")
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    if len(logs) > 1:
        handles = [Line2D([], [], color=f"C{index % 10}", label=label) for index, label in enumerate(logs)]
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    _save_figure(path, figure)


def _save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        bbox_inches="tight",
        pad_inches=FIGURE_MARGIN / DPI,
        metadata={"Software": None},  # equal drawings are equal files, whatever matplotlib's version
    )
    write_atomically(path, buffer.getvalue())
