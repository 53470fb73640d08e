"""Several processes that train as one: each feeds its own devices, the first alone logs and measures.

All of them take the same decisions at the same step. So what one of them finds out by itself, a wrong input
or a signal, is told to the others first.
"""

import hashlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from infogan_jax.errors import UserError, of_system

T = TypeVar("T")


class Refused(UserError):
    """An input that all processes refuse, whichever found it out."""


AGAIN = 75
"""The exit status where another process is missing: the same command may come further next time."""

_MESSAGE_BYTES = 4000
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def join(coordinator: str | None, count: int | None, index: int | None, timeout: int) -> None:
    """Meets the other processes; comes before anything that uses a device.

    Args:
        coordinator: HOST:PORT of process 0; None: as the cluster says (`jax.distributed.initialize`: Cloud
            TPU, GKE, SLURM, Open MPI).
        count: the number of processes; None as before.
        index: this process's number, from 0; None as before.
        timeout: seconds to wait for the others to come, and after which one that is silent counts as dead.

    Raises:
        UserError: the cluster isn't known.
        Refused: the processes were told different counts.

    Where the others don't come in time, the process ends: JAX waits in a place that can't be left.
    """
    # JAX's handler would take SIGTERM away from `Interrupts`, which tells the others itself. jax 0.7 can't
    # leave it out: there the one from before is put back.
    if hasattr(jax.config, "jax_enable_preemption_service"):
        jax.config.update("jax_enable_preemption_service", False)
    handler = signal.getsignal(signal.SIGTERM)
    # The coordinator listens to the network only where the others come from there.
    host, _, port = (coordinator or "").rpartition(":")
    bind = f"{'127.0.0.1' if host == 'localhost' else host}:{port}" if host in _LOOPBACK else None
    apart = (
        f"--distributed: the processes didn't meet at {coordinator or 'an address'} in {timeout} s; all "
        "need the same --coordinator HOST:PORT and --processes N, and each a --process from 0 to N - 1"
    )
    late = threading.Timer(timeout, lambda: _end(apart, AGAIN))
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            index,
            # JAX's own answer, a long one, would come later.
            initialization_timeout=timeout + 60,
            heartbeat_timeout_seconds=timeout,
            coordinator_bind_address=bind,
            **_known_to(jax.distributed.initialize, shutdown_timeout_seconds=timeout),
        )
        there = jax.process_count()
    except (RuntimeError, ValueError, OSError) as error:
        if coordinator is None:
            raise UserError(
                f"--distributed: JAX can't tell from a cluster where the processes meet ({_reason(error)}); "
                "give all the same --coordinator HOST:PORT and --processes N, and each a --process from 0 to "
                "N - 1"
            ) from error
        raise UserError(f"--distributed: {_reason(error)}") from error
    finally:
        late.cancel()
        # None: one that Python doesn't know.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is None else handler)
    said = _exchanged(str(count))
    if any(each not in ("None", str(there)) for each in said):
        raise Refused(
            f"--processes is {' and '.join(dict.fromkeys(said))}, and {there} came: give all the same"
        )


def _known_to(call: Callable[..., object], **options: int) -> dict[str, Any]:
    """Those of the options that a function has: jax 0.7 lacks some."""
    return {name: value for name, value in options.items() if name in inspect.signature(call).parameters}


def leave() -> None:
    """Parts from the others, after the last thing that all do together."""
    jax.distributed.shutdown()


def with_others(call: Callable[[], T]) -> T:
    """What a function returns in which this process works together with others.

    Where it fails in this process alone, the process ends at once, with a line that says why: others that
    wait for it then learn that it is gone, and it waits for none of them.
    """
    try:
        return call()
    except Refused:
        leave()
        raise
    except UserError as error:
        _end(f"process {jax.process_index()} of {jax.process_count()}: {error}", 2)
    except (jax.errors.JaxRuntimeError, TimeoutError, ConnectionError, ValueError) as error:
        # In jax 0.7 what Gloo says is a ValueError.
        if isinstance(error, ValueError) and "Gloo" not in str(error):
            raise
        _end(
            f"process {jax.process_index()} of {jax.process_count()}: another process ended, or can't be "
            f"reached ({_reason(error)}); the checkpoints are whole: start all again with --resume",
            AGAIN,
        )
    except OSError as error:
        _end(f"process {jax.process_index()} of {jax.process_count()}: {of_system(error)}", 2)


def _end(why: str, status: int) -> NoReturn:
    """Ends the process without waiting for anything, from any thread."""
    print(f"error: {why}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def first() -> bool:
    """Whether this process logs, prints and measures."""
    return jax.process_index() == 0


def agreed(call: Callable[[], T]) -> T:
    """What a function returns that may refuse its input, or fail to read it: if one process does, all do.

    Args:
        call: touches no device that it shares with the others.

    Raises:
        Refused: with the reason of this process, or of another, which is named.
    """
    if jax.process_count() == 1:
        return call()
    refused = ""
    try:
        result = call()
    except UserError as error:
        refused = str(error)
    except OSError as error:
        refused = of_system(error)
    said = _exchanged(refused)
    if refused:
        raise Refused(refused)
    for index, message in enumerate(said):
        if message:
            raise Refused(f"process {index} of {len(said)}: {message}")
    return result


def check_same(what: str, *values: bytes | memoryview) -> None:
    """Refuses values that aren't the same in all processes.

    Raises:
        Refused: names the processes that differ from the first.
    """
    said = _exchanged(" ".join(hashlib.sha256(value).hexdigest() for value in values))
    others = [str(index) for index, each in enumerate(said) if each != said[0]]
    if others:
        raise Refused(
            f"{what} of process {', '.join(others)} differ from those of process 0: start all with the same"
        )


def as_first(here: int) -> int:
    """A number as process 0 has it."""
    if jax.process_count() == 1:
        return here
    return int(multihost_utils.broadcast_one_to_all(np.int32(here)))


def any_of(here: bool) -> bool:
    """Whether something is so in this process or in another; the same in all."""
    if jax.process_count() == 1:
        return here
    return bool(np.max(multihost_utils.process_allgather(np.int32(here))))


def signal_of_any(received: signal.Signals | None) -> signal.Signals | None:
    """The signal that this process or another has received; the same in all."""
    if jax.process_count() == 1:
        return received
    numbers = multihost_utils.process_allgather(np.int32(received or 0))
    number = int(np.max(numbers))
    return signal.Signals(number) if number else None


def _exchanged(text: str) -> list[str]:
    """A text of each process."""
    content = np.zeros(_MESSAGE_BYTES, np.uint8)
    encoded = np.frombuffer(text.encode()[:_MESSAGE_BYTES], np.uint8)
    content[: len(encoded)] = encoded
    rows = multihost_utils.process_allgather(content)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows]
