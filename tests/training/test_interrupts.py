import signal

import pytest

from infogan_jax.training.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_a_closed_terminal_that_is_to_be_ignored_is_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert interrupts.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)
