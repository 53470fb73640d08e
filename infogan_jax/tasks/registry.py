"""Which task a configuration is of."""

from types import ModuleType

from infogan_jax.config import AutoencoderConfig, Config, InfoGANConfig
from infogan_jax.tasks import autoencoder, infogan

_TASKS: dict[type[Config], ModuleType] = {InfoGANConfig: infogan, AutoencoderConfig: autoencoder}


def task_of(config: Config) -> ModuleType:
    """The module whose functions train a configuration: see `infogan_jax.tasks`."""
    return _TASKS[type(config)]
