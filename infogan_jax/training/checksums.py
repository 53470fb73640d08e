"""Whether a checkpoint's files are what was written: SHA-256 of each, in a file beside them.

The file has the form that `sha256sum -c` reads. Orbax checks some of what it reads, but not every byte; and
of damaged files it says many things at once.
"""

import hashlib
from pathlib import Path

from infogan_jax.errors import UserError
from infogan_jax.images import write_atomically

SUMS_FILE = "SHA256SUMS"


class DamagedCheckpoint(UserError):
    """A checkpoint isn't what was saved."""


def write(folder: Path) -> None:
    """Writes the checksums of all files in a folder's sub-folders.

    Orbax changes its own files beside them once more, when it gives the folder its final name.
    """
    files = sorted(path for path in folder.glob("*/**/*") if path.is_file())
    lines = [f"{_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    write_atomically(folder / SUMS_FILE, "".join(lines).encode())


def check(folder: Path) -> None:
    """Reads a folder's files again; without checksums there is nothing to compare them with.

    Raises:
        DamagedCheckpoint: a file isn't what was written, or isn't there.
    """
    try:
        lines = (folder / SUMS_FILE).read_text().splitlines()
    except FileNotFoundError:
        return
    except UnicodeDecodeError as error:
        raise _damaged(folder, SUMS_FILE, "can't be read") from error
    for line in lines:
        wanted, _, name = line.partition("  ")
        # Of a line that is damaged itself the name may be anything.
        if not name or ".." in name or name.startswith("/") or "\0" in name:
            raise _damaged(folder, SUMS_FILE, "can't be read")
        try:
            found = _sum(folder / name)
        except OSError as error:
            raise _damaged(folder, name, f"can't be read ({error.strerror})") from error
        if found != wanted:
            raise _damaged(folder, name, "is not what was saved")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, name: str, what: str) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"{folder}: the checkpoint is damaged, {name} {what}")
