"""Which task a configuration is of."""

from types import ModuleType
from typing import Any

from infogan_jax.config import AutoencoderConfig, Config, InfoGANConfig, SuperResolutionConfig
from infogan_jax.tasks import autoencoder, infogan, superresolution

_TASKS: dict[type[Config], ModuleType] = {
    InfoGANConfig: infogan,
    AutoencoderConfig: autoencoder,
    SuperResolutionConfig: superresolution,
}


def task_of(config: Config) -> ModuleType:
    """The module whose functions train a configuration: see `infogan_jax.tasks`."""
    return _TASKS[type(config)]


def constants_of(config: Config) -> tuple[Any, ...]:
    """The arrays that a task's steps read and never change: further arguments of its ``step``.

    Raises:
        UserError: they come from a file that isn't there or can't be used.
    """
    constants = getattr(task_of(config), "constants", None)
    return constants(config) if constants else ()
