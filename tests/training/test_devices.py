from types import SimpleNamespace

import jax
import pytest

from infogan_jax.errors import UserError
from infogan_jax.training.devices import check_batch, peak_flops


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("Tesla T4", 65),
        ("TPU v5 lite", 197),
        ("TPU v5p", 459),
    ],
)
def test_the_peak_is_that_of_all_devices(kind, teraflops):
    assert peak_flops([SimpleNamespace(device_kind=kind)] * 4) == pytest.approx(4e12 * teraflops)


def test_the_peak_of_other_devices_is_not_known():
    assert peak_flops(jax.devices()) is None


def test_a_batch_is_shared_evenly_or_refused():
    check_batch(16, jax.devices())
    with pytest.raises(
        UserError, match=r"--train\.batch 20 can't be shared by 8 devices evenly: take 16 or 24"
    ):
        check_batch(20, jax.devices())
    with pytest.raises(UserError, match=r"take 8$"):
        check_batch(4, jax.devices())
