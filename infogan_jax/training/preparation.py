"""What is wrong with a training that is asked for, found before anything is written or takes long."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infogan_jax.config import (
    AutoencoderConfig,
    Config,
    InfoGANConfig,
    SuperResolutionConfig,
    differences,
    flag,
    limits,
    validate,
)
from infogan_jax.data import folder as image_folder
from infogan_jax.data import sources
from infogan_jax.errors import UserError
from infogan_jax.images import SMALLEST_COMPARED
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.training import run_folder
from infogan_jax.training.run_folder import Run

if TYPE_CHECKING:
    import jax

# What a resumed run may change: none of these alters what a step computes.
MAY_CHANGE = {
    "data.stream",
    "train.steps",
    "train.steps_per_call",
    "train.checkpoint_every",
    "train.keep",
    "train.keep_every",
    "train.sample_every",
}


def check_resumed(stored: Config, config: Config, folder: Path, step: int) -> Config:
    """Whether a run can go on as it is asked to.

    Args:
        stored: what the run was trained with.
        config: what it shall go on with.
        folder: the run's folder.
        step: its newest checkpoint's.

    Returns:
        What it goes on with, which notes the weights of a feature network that it was begun with.

    Raises:
        UserError: a setting differs that can't change, or the training is past the steps asked for.
    """
    if isinstance(config, SuperResolutionConfig) and isinstance(stored, SuperResolutionConfig):
        config = _noting(config, config.content.weights_sha256 or stored.content.weights_sha256)
    changed = [path for path in differences(stored, config) if path not in MAY_CHANGE]
    if changed:
        allowed = ", ".join(sorted(map(flag, MAY_CHANGE)))
        raise UserError(f"{', '.join(map(flag, changed))} can't change in a resumed run; {allowed} can")
    if config.train.steps < step:
        raise UserError(f"{folder} is at step {step} already: --train.steps must be {step} or more")
    return config


def check_new_folder(folder: Path) -> None:
    """Whether a new run can begin in a folder.

    Raises:
        UserError: it is a file, can't be written, or holds something already.
    """
    if folder.is_symlink() and not folder.exists():
        raise UserError(f"{folder} is a link to what isn't there: name a folder with --run-dir")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder with --run-dir")
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not run_folder.was_only_begun(folder):
        is_run = bool(run_folder.steps(folder))
        advice = "--resume goes on, --run-dir takes another" if is_run else "see --run-dir"
        raise UserError(f"{folder} is there already and not empty: {advice}")


def check_seeds(seeds: Sequence[int]) -> None:
    """Whether runs can have these seeds, one each.

    Raises:
        UserError: one of them can't be a seed, or comes twice.
    """
    allowed, meaning = limits(Config)["seed"]
    for seed in seeds:
        if not allowed(seed):
            raise UserError(f"--seeds has {seed}: each must be {meaning}")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds is {' '.join(map(str, seeds))}: name each seed once")


def runs_of_seeds(config: Config, folders: Mapping[int, Path], begun: Mapping[int, Run]) -> list[Run]:
    """The runs to train, one of each seed: those that go on, and beside them new ones of the same settings.

    Args:
        config: of the new runs where none goes on, but for the seed.
        folders: the runs' folders, by seed.
        begun: the runs that go on, by seed.

    Raises:
        UserError: those that go on differ in more than their seeds, or a folder for a new one is taken or
            can't be written.
    """
    first = next(iter(begun.values()), None)
    for run in begun.values():
        assert first
        other = set(differences(first.config, run.config)) - {"seed"}
        if other:
            names = ", ".join(map(flag, sorted(other)))
            raise UserError(f"{run.folder} and {first.folder} differ in {names}: resume them one by one")
    for seed, folder in folders.items():
        if seed not in begun:
            check_new_folder(folder)
    settings = first.config if first else config
    return [
        begun[seed] if seed in begun else Run(replace(settings, seed=seed), folder)
        for seed, folder in folders.items()
    ]


def check_holds_runs(folder: Path) -> None:
    """Whether runs of several seeds can lie inside a folder.

    Raises:
        UserError: it is a run itself.
    """
    if run_folder.steps(folder):
        raise UserError(f"{folder} is a run itself: name another folder for those of --seeds")


def prepared(
    runs: Sequence[Run],
    find_devices: Callable[[Config], "Sequence[jax.Device]"],
    *,
    profile: Path | None,
    wandb: str | None,
) -> tuple[list[Run], "Sequence[jax.Device]"]:
    """The runs, ready to be trained, once it is sure that nothing is wrong with what they need.

    Args:
        runs: those of one training, which differ in their seeds.
        find_devices: gives the devices to train a configuration on, or refuses those that there are.
        profile: a folder for a profile of the program's second call.
        wandb: a project of Weights & Biases that shows the runs.

    Returns:
        The runs, their configurations noting which weights of a feature network they use, and the devices.

    Raises:
        UserError: a setting, the data set, a device, an earlier run or a package that they need is not as it
            must be.
    """
    for run in runs:
        validate(run.config)
    if profile:
        _check_profile(runs, profile)
    data = runs[0].config.data
    check_images(runs[0].config, sources.check(data))
    # Late: what imports JAX is slow, and a mistyped option shall be told at once.
    from infogan_jax.training import memory

    memory.check_data(sources.nbytes(data), sources.fewer(data))
    # Before weights are read: that starts JAX.
    devices = find_devices(runs[0].config)
    runs = [check_arrays(run) for run in runs]
    if wandb is not None:
        from infogan_jax.training.writers import wandb_module

        wandb_module()
    return runs, devices


def _check_profile(runs: Sequence[Run], profile: Path) -> None:
    check_writable(profile)
    settings = runs[0].config.train
    if all(settings.steps - (run.resume_from or 0) <= settings.steps_per_call for run in runs):
        raise UserError(
            "--profile shows the program's second call, and there is one: lower "
            f"--train.steps-per-call {settings.steps_per_call}"
        )


def runs_to_compare(folders: Sequence[Path], page: Path) -> list[Path]:
    """The runs of a comparison, after a look at each and at where the page goes.

    Args:
        folders: runs' folders, or folders that hold runs.
        page: the page's file.

    Raises:
        UserError: a folder holds no run, a run comes twice, or something can't be written.
    """
    runs: list[Path] = []
    for folder in folders:
        inside = [] if run_folder.steps(folder) else run_folder.runs_in(folder)
        runs += inside or [folder]
    for run in runs:
        run_folder.find_step(run)
        check_writable(run)
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("a run is named twice: name each once")
    if page.is_dir():
        raise UserError(f"{page} is a folder: name a file for the page")
    check_writable(page.parent)
    return runs


def check_writable(folder: Path) -> None:
    """Whether a folder can be written, or made.

    Raises:
        UserError: it can't.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"{folder} can't be written: {there} is no folder that you may write to")


def check_images(config: Config, there: tuple[int, int, int]) -> None:
    """Whether a data set's images are of a shape that the networks can use.

    Args:
        config: the run's configuration.
        there: the data set's height, width and channels.

    Raises:
        UserError: they aren't.
    """
    if isinstance(config, SuperResolutionConfig):
        _check_photographs(config, there)
        return
    assert isinstance(config, InfoGANConfig | AutoencoderConfig)
    made = config.networks.image_shape
    if made != there:
        cures = {
            "folder": f"cut them with --data.crop {made[0]} or resize them with --data.size {made[0]}",
            "tfds": f"resize them with --data.size {made[0]}",
        }
        cure = "take a set of that shape with --data.name"
        if made[0] == made[1] and made[2] == there[2]:
            cure = cures.get(config.data.source, cure)
        elif config.data.source == "folder" and (made[2], there[2]) == (1, 3):
            cure = "make them grey with --data.grey"
        raise UserError(
            f"{config.data.name} has images of {_by(there)}, but the networks of {config.experiment} are "
            f"for {_by(made)}: {cure}, or another experiment"
        )


def check_arrays(run: Run) -> Run:
    """Whether a run can use the earlier run and the other network's weights that it names.

    Args:
        run: the run.

    Returns:
        The run, its configuration noting which weights they are.

    Raises:
        UserError: it can't, or one that it needs isn't named.
    """
    config = run.config
    if not isinstance(config, SuperResolutionConfig):
        return run
    # Late: the tasks are slow to import, and a mistyped option shall be told at once.
    from infogan_jax.tasks.superresolution import load_features

    if config.adversarial_weight and config.init_from is None:
        raise UserError(
            f"--init-from is missing: {config.experiment} goes on from a run by content alone; train "
            "the experiment wildlife-content first and name its folder"
        )
    if config.content.has_features:
        run = run._replace(config=_noting(config, load_features(config.content).sha256))
    if run.resume_from is None and config.init_from:
        folder = run_folder.of_seed(config.init_from, config.seed)
        try:
            earlier = run_folder.config(folder, run_folder.find_step(folder))
        except UserError as error:
            raise UserError(f"--init-from {error}") from error
        if not isinstance(earlier, SuperResolutionConfig):
            raise UserError(
                f"--init-from {folder} is a run of {earlier.experiment}, which enlarges no images"
            )
        mine, theirs = (replace(c.networks, discriminator_channels=1) for c in (config, earlier))
        if mine != theirs:
            raise UserError(
                f"--init-from {folder} has a generator of {_sizes(theirs)}, this run one of {_sizes(mine)}: "
                "give both the same --networks options"
            )
    return run


def _noting(config: SuperResolutionConfig, sha256: str) -> SuperResolutionConfig:
    return replace(config, content=replace(config.content, weights_sha256=sha256))


def _check_photographs(config: SuperResolutionConfig, there: tuple[int, int, int]) -> None:
    if there[2] != 3:
        raise UserError(
            f"{config.data.name} has images of {_by(there)}, but {config.experiment} enlarges colour: take a "
            "folder whose first image has three channels, without --data.grey"
        )
    side = config.low_crop * config.networks.factor
    if side > min(there[:2]):
        raise UserError(
            f"--low-crop {config.low_crop} at factor {config.networks.factor} needs {side} pixels, "
            f"but {config.data.name} has images of {_by(there)}: lower it to "
            f"{min(there[:2]) // config.networks.factor}, or raise --data.crop"
        )
    # What is held out is measured at the end, files whole where a folder's are cut.
    data = config.data
    measured: Iterable[tuple[object, int, int]] = [(data.name, *there[:2])]
    if data.source == "folder" and data.crop:
        measured = image_folder.held_out_sides(data.folder, skip_unreadable=data.skip_unreadable)
    least = -(-SMALLEST_COMPARED // config.networks.factor) * config.networks.factor
    for name, height, width in measured:
        if min(height, width) < least:
            raise UserError(
                f"{name} is held out and has {min(height, width)} pixels at a side, of {least} that it takes "
                "to measure the run: take larger images"
            )


def _sizes(networks: SuperResolution) -> str:
    over = " over bicubic" if networks.over_bicubic else ""
    return f"{networks.blocks} blocks, {networks.channels} channels and factor {networks.factor}{over}"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
