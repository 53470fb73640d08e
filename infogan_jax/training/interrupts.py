"""Ctrl-C and SIGTERM as a request that the loop reads between two calls."""

import signal
from types import FrameType
from typing import Any


class Interrupts:
    """A context in which SIGINT and SIGTERM are noted instead of ending the process at once.

    A second signal acts as it would have without the context, for whoever can't wait.

    Attributes:
        received: the signal that came, or None.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
