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
    lines = [f"{_sum(folder / name)}  {name}\n" for name in _names(folder)]
    write_atomically(folder / SUMS_FILE, "".join(lines).encode())


def check(folder: Path) -> None:
    """Reads a folder's files again.

    Raises:
        DamagedCheckpoint: a file isn't what was written, or isn't there, that of the checksums among them; or
            one is there that has no checksum.
    """
    try:
        lines = (folder / SUMS_FILE).read_text().splitlines()
    except FileNotFoundError as error:
        raise _damaged(folder, SUMS_FILE, "is not there") from error
    except UnicodeDecodeError as error:
        raise _damaged(folder, SUMS_FILE, "can't be read") from error
    named = set()
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
        named.add(name)
    # Where the last lines were cut off, those before are right. A name with a dot is a file manager's.
    others = [name for name in _names(folder) if name not in named and not Path(name).name.startswith(".")]
    if others:
        raise _damaged(folder, SUMS_FILE, f"has no line for {others[0]}")


def _names(folder: Path) -> list[str]:
    """The files in a folder's sub-folders."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/**/*") if path.is_file())


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, name: str, what: str) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"{folder}: the checkpoint is damaged, {name} {what}")
