import signal

import pytest

from infogan_jax.training.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_once_and_then_acts_as_before(number):
    came = []
    previous = signal.signal(number, lambda *_: came.append("handler from before"))
    try:
        with Interrupts() as interrupts:
            assert interrupts.received is None
            signal.raise_signal(number)
            assert interrupts.received == number and not came
            signal.raise_signal(number)
            assert came == ["handler from before"]
        signal.raise_signal(number)
        assert len(came) == 2
    finally:
        signal.signal(number, previous)
