"""The figures of the InfoGAN paper, drawn again from runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from infogan_jax.config import InfoGANConfig, Train
from infogan_jax.errors import UserError
from infogan_jax.evaluation import figures
from infogan_jax.images import save_png
from infogan_jax.training import run_folder
from infogan_jax.training.logging import read_records


def draw_figures(folders: Sequence[Path], out: Path) -> list[Path]:
    """Draws Fig. 1 where a plain GAN is among the runs, and the manipulations of Figs. 2 to 6 of each run.

    Fig. 2 (b) is a plain GAN's: its code moves what it happens to. Of the runs in Fig. 1 only those that have
    been measured have a picture of their codes.

    Args:
        folders: runs' folders, or folders that hold runs. A run that is not in Fig. 1 has been measured.
        out: where the pictures go; made where it isn't there.

    Returns:
        The pictures.

    Raises:
        UserError: a folder holds no run of an InfoGAN, or a run hasn't been measured.
    """
    # A folder and a run in it may both be named.
    runs = list(
        {run.resolve(): (run, config) for folder in folders for run, config in _runs(folder)}.values()
    )
    plain = [(run, config) for run, config in runs if config.objective.plain_gan]
    trained = [(run, config) for run, config in runs if not config.objective.plain_gan]
    compared: list[tuple[Path, InfoGANConfig]] = []
    if plain:
        # Fig. 1 compares what differs in the bound alone.
        like = _without_bound(plain[0][1])
        if any(_without_bound(config) != like for _, config in plain):
            raise UserError("the plain GANs are of more than one kind: draw Fig. 1 of each kind by itself")
        compared = [(run, config) for run, config in trained if _without_bound(config) == like]
        trained = [(run, config) for run, config in trained if _without_bound(config) != like]
    in_figure_1 = [(run, config) for run, config in compared + plain if _measured(run, config)]
    grids = [(config, _traversals(run, config)) for run, config in trained + in_figure_1]
    names = [f"{config.experiment}-s{config.seed}" for config, _ in grids]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{names.count(name)} runs would be drawn as {name}.png: draw them apart, by --out"
            )
    out.mkdir(parents=True, exist_ok=True)
    made = []
    if plain:
        made.append(out / "information.png")
        curves = {"InfoGAN": _curves(compared), "GAN": _curves(plain)}
        figures.information_figure(made[0], curves, sum(plain[0][1].codes.entropy.values()))
    for name, (_, paths) in zip(names, grids, strict=True):
        made.append(out / f"{name}.png")
        _side_by_side(made[-1], paths)
    return made


def _without_bound(config: InfoGANConfig) -> InfoGANConfig:
    """A configuration but for its name, its seed, its length and rhythm, and the weight of L_I."""
    objective = replace(config.objective, plain_gan=False, lambda_discrete=0.0, lambda_continuous=0.0)
    train = replace(Train(steps=1), batch=config.train.batch)
    return replace(config, experiment="", seed=0, train=train, objective=objective)


def _runs(folder: Path) -> list[tuple[Path, InfoGANConfig]]:
    found = [folder] if run_folder.steps(folder) else run_folder.runs_in(folder)
    if not found:
        run_folder.find_step(folder)  # It says what is wrong with the folder.
    configs = []
    for run in found:
        config = run_folder.config(run, run_folder.steps(run)[-1])
        if not isinstance(config, InfoGANConfig) or not config.codes.codes:
            raise UserError(
                f"{run} is a run of {config.experiment}, which has no codes: name runs of an InfoGAN"
            )
        configs.append((run, config))
    return configs


def _curves(runs: Sequence[tuple[Path, InfoGANConfig]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each run: steps, and L_I of all codes in nats."""
    curves = []
    for run, config in runs:
        records = read_records(run)
        steps = np.array([record["step"] for record in records])
        nats = [sum(record[f"mi_{name}"] for name in config.codes.named) for record in records]
        curves.append((steps, np.array(nats)))
    return curves


def _pictures(run: Path, config: InfoGANConfig) -> list[Path]:
    return [run / "eval" / f"traversal-{name}.png" for name in config.codes.named]


def _measured(run: Path, config: InfoGANConfig) -> bool:
    return all(path.exists() for path in _pictures(run, config))


def _traversals(run: Path, config: InfoGANConfig) -> list[Path]:
    if not _measured(run, config):
        raise UserError(f"{run} has not been measured: run `eval.py {run}` first")
    return _pictures(run, config)


def _side_by_side(path: Path, pictures: Sequence[Path]) -> None:
    """The pictures in two columns, as large as they are."""
    opened = []
    for each in pictures:
        with Image.open(each) as image:
            opened.append(np.asarray(image.convert("RGB")))
    height, width = (max(picture.shape[axis] for picture in opened) for axis in (0, 1))
    columns = min(2, len(opened))
    rows = -(-len(opened) // columns)
    page = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, picture in enumerate(opened):
        top, left = i // columns * height, i % columns * width
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    save_png(path, page)
