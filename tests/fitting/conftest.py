"""What the tests of fits share."""

import jax
import pytest


@pytest.fixture
def double_precision():
    """Arrays are float64 inside the test."""
    if hasattr(jax, "enable_x64"):
        context = jax.enable_x64(True)
    else:
        from jax.experimental import enable_x64

        context = enable_x64()
    with context:
        yield
