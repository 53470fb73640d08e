"""Ctrl-C, SIGTERM and a closed terminal as a request that the loop reads between two calls."""

import signal
from types import FrameType
from typing import Any


class Interrupts:
    """A context in which SIGINT, SIGTERM and SIGHUP are noted instead of ending the process at once.

    A second signal acts as it would have without the context, for whoever can't wait. A SIGHUP that is
    ignored (nohup) stays so.

    Attributes:
        received: the signal that came, or None.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        heard = [
            number
            for number in self._SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        self._previous = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            # None: a handler that Python doesn't know, as a library's own.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
