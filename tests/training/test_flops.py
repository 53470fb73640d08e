"""The count of a step's products, beside the compiler's, the layers' own and what devices can do."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import limits
import numpy as np
import pytest
from jax import lax

from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks import layers
from infogan_jax.training import loop
from infogan_jax.training.flops import flops_of_step, peak, products

RNG = np.random.default_rng(0)


def array(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def counted(program, *arguments):
    return products(jax.make_jaxpr(program)(*arguments).jaxpr)


@pytest.mark.parametrize(
    ("program", "shapes", "expected"),
    [
        (jnp.matmul, [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
        (jnp.matmul, [(7, 3, 4), (7, 4, 5)], 7 * 2 * 3 * 4 * 5),
        (lambda x, w: lax.scan(lambda c, _: (c @ w, None), x, length=6)[0], [(3, 4), (4, 4)], 6 * 2 * 3 * 16),
        # The larger branch; and in a function that is compiled apart.
        (
            lambda x, w: lax.cond(x.sum() > 0, lambda: x @ w, lambda: x @ w @ w),
            [(3, 4), (4, 4)],
            2 * 2 * 3 * 16,
        ),
        (jax.jit(jnp.matmul), [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
        (jax.value_and_grad(lambda x, w: (x @ w).sum(), (0, 1)), [(3, 4), (4, 5)], 3 * 2 * 3 * 4 * 5),
        (jnp.add, [(3, 4), (3, 4)], 0),
        # What nothing needs is not made.
        (lambda x, w: (x @ w, x @ w @ w.T)[0], [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
    ],
)
def test_products_are_counted_as_often_as_they_are_made(program, shapes, expected):
    assert counted(program, *(array(*shape) for shape in shapes)) == expected


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("convolution", [layers._conv_of_lax, layers._conv_transpose_of_lax])
def test_convolutions_and_their_gradients_are_those_of_the_compilers_count(convolution, stride):
    """XLA leaves out what falls onto the border, which here is little of the image."""
    x, kernel = array(2, 32, 32, 3), array(4, 4, 3, 8)
    program = jax.grad(lambda x, k: jnp.sum(convolution(x, k, stride=stride) ** 2), (0, 1))
    own = jax.jit(program).lower(x, kernel).cost_analysis()["flops"]
    assert counted(program, x, kernel) == pytest.approx(own, rel=0.1)


@pytest.fixture
def of_lax(monkeypatch):
    """The program that accelerators have, whose compilers don't count before they compile."""
    monkeypatch.setattr(layers, "_conv_on_cpu", layers._conv_of_lax)
    monkeypatch.setattr(layers, "_conv_transpose_on_cpu", layers._conv_transpose_of_lax)
    loop._program.cache_clear()
    yield
    loop._program.cache_clear()


@pytest.mark.parametrize(("replicas", "steps"), [(1, 3), (2, 1)])
@pytest.mark.usefixtures("of_lax")
def test_a_step_has_the_products_of_its_layers(replicas, steps):
    config = EXPERIMENTS["mnist"]
    config = replace(config, train=replace(config.train, batch=16))
    devices = jax.devices()[:replicas]
    program = loop.compile_steps(config, devices)
    state = jax.eval_shape(lambda: loop.initial_state(config, devices))
    images = jax.ShapeDtypeStruct((32, 28, 28, 1), jnp.uint8)
    batches = jax.ShapeDtypeStruct((replicas, steps, 16 // replicas), jnp.int32)

    class Uncounted:
        """An accelerator's program."""

        def __call__(self, *arguments):
            return program(*arguments)

        def lower(self, *_):
            return SimpleNamespace(cost_analysis=lambda: None)

    own = sum(product.flops * count for product, count in limits.products(config).items())
    found = flops_of_step(
        Uncounted(), (state, images, batches), config.train, steps=steps, devices=replicas, runs=1
    )
    # The norms of the gradients are products too, and grow with the weights, not with the batch.
    norms = replicas * 2 * limits.weights(config)
    assert found == pytest.approx(own + norms, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "dtype", "each"),
    [
        ("NVIDIA H100 80GB HBM3", "float32", 494.5e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H100 NVL", "float32", 417.5e12),
        ("NVIDIA H200 NVL", "bfloat16", 835e12),
        ("NVIDIA H200", "bfloat16", 989e12),
        ("Tesla V100-PCIE-16GB", "float32", 14e12),
        ("Tesla V100-SXM2-16GB", "float32", 15.7e12),
        ("NVIDIA A100-SXM4-40GB", "bfloat16", 312e12),
        ("NVIDIA L4", "float32", 60.5e12),
        ("NVIDIA L40S", "float32", None),
        ("Tesla T4", "float32", 8.1e12),
        ("Tesla T4", "bfloat16", None),
        ("TPU v5 lite", "float32", 197e12),
        ("TPU v5", "bfloat16", 459e12),
        ("TPU v6 lite", "bfloat16", 918e12),
        ("cpu", "float32", None),
    ],
)
def test_the_peak_is_that_of_the_device_or_none(kind, dtype, each):
    devices = [SimpleNamespace(device_kind=kind)] * 4
    assert peak(devices, dtype) == (each and 4 * each)
