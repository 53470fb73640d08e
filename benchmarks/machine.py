"""What a benchmark was measured on."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infogan_jax import __version__
from infogan_jax.config import Config, SuperResolutionConfig
from infogan_jax.experiments import EXPERIMENTS


def threads() -> int:
    """The number of processors, all of which both sides may use."""
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def circumstances(*libraries: str) -> dict[str, str | int]:
    """What the numbers were measured on, with the versions of these libraries."""
    versions = {"infogan-jax": __version__} | {name: version(name) for name in libraries}
    return {"processor": processor(), "threads": threads(), "Python": platform.python_version()} | versions


def told(numbers: dict[str, str | int]) -> str:
    """Circumstances in a line."""
    return ", ".join(f"{key} {value}" for key, value in numbers.items())


def check(experiment: str, *, least: dict[str, int] | None = None, **options: Any) -> None:
    """Refuses an experiment that isn't there, and counts below 1 or the least that is given."""
    if experiment not in EXPERIMENTS:
        sys.exit(f"--set-up {experiment}: it must be one of {', '.join(EXPERIMENTS)}")
    for name, value in options.items():
        counts = value if isinstance(value, tuple) else (value,)
        low = (least or {}).get(name, 1)
        for count in counts:
            if isinstance(count, int) and count < low:
                sys.exit(f"--{name.replace('_', '-')} {count}: it must be {low} or more")


def image_shape(config: Config) -> tuple[int, int, int]:
    """Height, width and channels of an experiment's training images."""
    if isinstance(config, SuperResolutionConfig):
        side = config.low_crop * config.networks.factor
        return side, side, 3
    return config.networks.image_shape
