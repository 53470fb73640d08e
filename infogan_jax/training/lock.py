"""One training at a time in a run's folder."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infogan_jax.errors import UserError
from infogan_jax.training.run_folder import LOCK_FILE


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Holds a run's folder, which is made where it isn't there.

    The system lets go of the lock when the process ends, however it ends. Where the file system knows no
    locks (some network drives), there is none.

    Raises:
        UserError: another process holds it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    # Opened for appending: the other's name is there until this process has the lock.
    with (run_dir / LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(
                f"{run_dir} is being trained by {file.read().strip() or 'another process'}: wait for it, "
                "stop it, or name another folder with --run-dir"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
