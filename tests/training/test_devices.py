import jax
import pytest

from infogan_jax.config import Train
from infogan_jax.errors import UserError
from infogan_jax.training.devices import check_batch, stacks


def test_a_batch_is_shared_evenly_or_refused():
    check_batch(Train(steps=1, batch=16), jax.devices())
    check_batch(Train(steps=1, batch=16, microbatch=8), jax.devices())
    with pytest.raises(
        UserError, match=r"--train\.batch 20 can't be shared by 8 devices evenly: take 16 or 24"
    ):
        check_batch(Train(steps=1, batch=20), jax.devices())
    with pytest.raises(UserError, match=r"take 8$"):
        check_batch(Train(steps=1, batch=4), jax.devices())
    with pytest.raises(
        UserError, match=r"--train\.microbatch 4 can't be shared by 8 devices evenly: take 8$"
    ):
        check_batch(Train(steps=1, batch=16, microbatch=4), jax.devices())


class Gpu:
    platform = "gpu"


def test_runs_are_stacked_on_an_accelerator_alone():
    assert stacks([Gpu()]) and not stacks(jax.devices())
