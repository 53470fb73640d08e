"""How much arithmetic a training step has, and how much its devices could do."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr

from infogan_jax.config import Train

# Operations a second of one JAX device, by what its kind contains, the first that fits: where float32 is
# multiplied as XLA does by default, and of bfloat16. A TPU multiplies float32 as bfloat16, an NVIDIA GPU from
# Ampere on as TF32. Without sparsity. Google Cloud, pages of each TPU version (v2 and v3: half a chip is a
# device); NVIDIA, data sheets of each GPU.
_PEAKS: dict[str, tuple[float, float | None]] = {
    "TPU v2": (23e12, 23e12),
    "TPU v3": (61.5e12, 61.5e12),
    "TPU v4": (275e12, 275e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5p?": (459e12, 459e12),
    "TPU v6 lite": (918e12, 918e12),
    "B200": (1125e12, 2250e12),
    "H200 NVL": (417.5e12, 835e12),
    "H200": (494.5e12, 989e12),
    "H100 PCIe": (378e12, 756e12),
    "H100 NVL": (417.5e12, 835e12),
    "H100": (494.5e12, 989e12),
    "A100": (156e12, 312e12),
    "L4": (60.5e12, 121e12),
    "V100-PCIE": (14e12, None),
    "V100": (15.7e12, None),
    "T4": (8.1e12, None),
}


def peak(devices: Sequence[jax.Device], dtype: str) -> float | None:
    """Operations a second that the devices could do together at most; None where it isn't known.

    Args:
        devices: those that share a batch.
        dtype: what the networks compute in, "float32" or "bfloat16".
    """
    kind = devices[0].device_kind
    for name, (single, half) in _PEAKS.items():
        # A whole word: an L40 is no L4.
        if re.search(rf"\b{name}\b", kind):
            each = single if dtype == "float32" else half
            return each and each * len(devices)
    return None


def flops_of_step(
    program: jax.stages.Wrapped,
    arguments: Sequence[Any],
    settings: Train,
    *,
    steps: int,
    devices: int,
    runs: int,
) -> float:
    """The operations of one step on all devices.

    A program's own count where its compiler gives one before it compiles, as on a CPU. Accelerators' don't:
    there they are those of `products`.

    Args:
        program: the pmapped steps.
        arguments: those of a call: the state, the images, the batches' indices, and constants.
        settings: of the training.
        steps: how many the call takes.
        devices: how many share the batch.
        runs: how many take their steps in the program.
    """
    counted = (program.lower(*arguments).cost_analysis() or {}).get("flops", 0.0)
    if counted:
        # Of one step, and of one part of it: a loop's body counts once.
        parts = settings.batch // settings.microbatch if settings.microbatch else 1
        return float(counted * parts * devices * runs)
    return devices * products(jax.make_jaxpr(program)(*arguments).jaxpr) / steps


def products(jaxpr: Jaxpr) -> float:
    """The multiplications and additions of a program's matrix products and convolutions.

    Only those that its results need. A scan's body counts once for each of its rounds, another loop's once,
    and of branches the one with the most. By these a model's FLOP utilisation is told: Chowdhery et al. 2022,
    "PaLM", appendix B.
    """
    # Each player's gradient is pulled back through both; what is thrown away the compiler takes out too.
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return sum(map(_of_equation, needed.eqns), 0.0)


def _of_equation(equation: JaxprEqn) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
        (contracted, _), _ = params["dimension_numbers"]
        inner: int = math.prod(left[i] for i in contracted)
        return 2.0 * math.prod(out) * inner
    if name == "conv_general_dilated":
        kernel, out = _shape(equation.invars[1]), _shape(equation.outvars[0])
        features: int = kernel[params["dimension_numbers"].rhs_spec[0]]
        # Between the pixels of a dilated image are zeros, which need no product.
        dilation: int = math.prod(params["lhs_dilation"])
        return 2.0 * math.prod(out) * math.prod(kernel) / features / dilation
    counts = [products(each) for each in _programs(params)]
    if name == "cond":
        return max(counts)
    length: int = params["length"] if name == "scan" else 1
    return sum(counts) * length


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(getattr(variable.aval, "shape", ()))


def _programs(params: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in jax.tree.leaves(params, is_leaf=lambda each: isinstance(each, ClosedJaxpr | Jaxpr)):
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
