"""The command lines that stand in README.md, CONTRIBUTING.md and docs."""

import functools
import re
import shlex
from pathlib import Path

from infogan_jax.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

STUDIES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "docs/studies")
    for path in sorted((ROOT / folder).glob("*.py"))
]
"""What can be typed beside train.py and eval.py."""

# What stands for something that the reader has: any value of its kind.
PLACEHOLDERS = {
    "$JOB_COMPLETION_INDEX": "1",
    "$OMPI_COMM_WORLD_RANK": "1",
    "$OMPI_COMM_WORLD_SIZE": "2",
    "N": "1",
}


def blocks(page):
    """The blocks of code, each as its lines, of which continued ones are joined."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```|^((?: {4}[^\n]*\n)+)", text, re.MULTILINE | re.DOTALL)
    return [(language, (fenced or indented).splitlines()) for language, fenced, indented in found]


@functools.cache
def code(page):
    """The text that is code: the lines of blocks, and pieces of a line."""
    text = page.read_text().replace("\\\n", " ")
    return [line for _, lines in blocks(page) for line in lines] + re.findall(r"`([^`\n]+)`", text)


def commands(script):
    """(page, words after the script's name) of each command line that runs a script."""
    found = set()
    for page in PAGES:
        for piece in code(page):
            for words in re.findall(rf"(?:^|[\s/\"]){re.escape(script)}\b([^\"&|;#]*)", piece):
                found.add((page.name, words.strip()))
    return sorted(found)


def settings():
    """(page, preset and options) of the tables whose caption says that `python train.py` goes before each."""
    found = set()
    for page in PAGES:
        for words in re.findall(r"^\| `([^`]+)`", page.read_text(), re.MULTILINE):
            if words.split()[0] in EXPERIMENTS:
                found.add((page.name, words))
    return sorted(found)


def in_words(command):
    """A command line as the program gets it."""
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
