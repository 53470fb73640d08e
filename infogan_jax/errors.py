"""What ends a run with a line: input that a user can put right, numbers that aren't finite, the system."""

import unicodedata
from pathlib import Path


class UserError(ValueError):
    """One line that names the wrong input and says what would be right.

    The command lines print it as it is and exit with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NotInstalled(UserError):
    """An extra is missing, which the line names: what doesn't need it can be done all the same."""


class NonFiniteError(RuntimeError):
    """A loss or gradient stopped being a finite number.

    Attributes:
        run_dir: the folder of the run in which it happened.
    """

    def __init__(self, message: str, run_dir: Path) -> None:
        super().__init__(message)
        self.run_dir = run_dir


def one_line(text: str) -> str:
    """A text in which names of files, which may hold anything, end no line and say nothing to a terminal."""
    return "".join(c.encode("unicode_escape").decode() if _leads_astray(c) else c for c in text)


def _leads_astray(character: str) -> bool:
    # Controls, surrogates, ends of lines and paragraphs; and what embeds, overrides or isolates a direction.
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or direction in turns


def of_system(error: OSError) -> str:
    """A path that can't be looked at, a full disk: what the system says of it is the reason."""
    return one_line(f"{error.filename or 'input or output'}: {error.strerror or error}")
