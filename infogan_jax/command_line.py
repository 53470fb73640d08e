"""Reading a command line with tyro, and naming the command that a user typed."""

import contextlib
import difflib
import io
import re
import shlex
import sys
from pathlib import Path
from typing import TypeVar

import tyro

from infogan_jax.config import flag
from infogan_jax.errors import UserError

T = TypeVar("T")


def choices(name: str, allowed: list[str]) -> str:
    """What there is to choose from, and what a wrong name may have meant."""
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choose one of {', '.join(allowed)}"


def parse(kind: type[T], argv: list[str], prog: str, description: str, default: T | None = None) -> T:
    """Parses a command line; what is wrong with it becomes one line."""
    explanation = io.StringIO()
    try:
        with contextlib.redirect_stderr(explanation):
            if default is None:
                return tyro.cli(kind, args=argv, prog=prog, description=description)
            return tyro.cli(kind, args=argv, prog=prog, description=description, default=default)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(_with_flag(_one_line(explanation.getvalue(), prog))) from None


def _with_flag(line: str) -> str:
    """A line that names a group of options and one of its fields, with what is typed for that."""
    return re.sub(
        r"^Error parsing config\.([\w.]+): (\w+)(?= is )", lambda name: flag(f"{name[1]}.{name[2]}"), line
    )


def _one_line(box: str, prog: str) -> str:
    """The reason, and the options that it is about, from the box in which tyro explains an error.

    Rules part the box into the reason, the options and a closing line. The title is part of the
    border, or a part of its own where standard output can't show box characters.
    """
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip("│ ") for line in box.splitlines()]
    border = [line for line in lines if line.startswith(("╭", "╰"))]
    text = "\n".join(line for line in lines if line and line not in border)
    parts = re.split(r"\n?^[─-]{10,}$\n?", text, flags=re.MULTILINE)
    reason, *rest = (parts if border else parts[1:]) or [text]
    options = [line for part in rest for line in part.splitlines() if line.startswith("--")]
    hint = f" ({'; '.join(options)})" if options else ""
    return f"{' '.join(reason.splitlines())}{hint}; see {prog} --help"


def say(line: str) -> None:
    """A line on standard error, if anything is there to read it: a terminal may have been closed."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def command() -> str:
    """What to type in this shell to get here again, whichever environment is active."""
    script = sys.argv[0]
    words = [sys.executable, script] if script.endswith(".py") else [script]
    return shlex.join(words)


def program() -> str:
    """What the user typed to get here: `python train.py` in a checkout, `infogan-train` where installed."""
    name = Path(sys.argv[0]).name
    return f"python {name}" if name.endswith(".py") else name
