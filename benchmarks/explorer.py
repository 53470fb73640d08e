"""Times a run's explorer in a Chromium without a window: the first picture, and moves of a slider.

    python benchmarks/explorer.py --page runs/mnist-s0/explorer.html

The first picture's time is from the start of the navigation until it is on the screen; only in the first
round Chromium is new, too. A move's, from the slider's event until after the frame that shows it, so with the
wait for it. Nothing is drawn by a graphics card.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import machine
import tyro
from browser import CHROMIUM, Browser
from rich.console import Console
from rich.table import Table
from sides import median_min_max

# A message that is posted in a frame comes when the frame has been painted.
PAINTED = """
const painted = () => new Promise((done) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => done(performance.now());
  port2.postMessage(null);
}));
"""
FIRST = (
    PAINTED
    + "const first = new Promise((done) => addEventListener('DOMContentLoaded', () => done(painted())));"
)
MOVES = """(async (count) => {
  const slider = document.querySelector('input[type=range]'), times = [];
  const low = Number(slider.min), high = Number(slider.max);
  for (let i = 0; i < count; i++) {
    // At any moment between two frames, as a hand does.
    await new Promise((done) => setTimeout(done, 100 * Math.random()));
    slider.value = low + (high - low) * Math.random();
    const started = performance.now();
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    times.push(await painted() - started);
  }
  return times;
})"""


@dataclass(frozen=True)
class Options:
    """Times an explorer's first picture and its moves."""

    page: Path
    """A run's explorer.html."""
    moves: int = 30
    """Moves of the first continuous code, each time that the page is opened."""
    rounds: int = 5
    """Times that the page is opened."""
    json: Path | None = None
    """Where the numbers are written."""


def measure(options: Options) -> dict[str, list[float]]:
    """Milliseconds of each first picture and each move."""
    found: dict[str, list[float]] = {"first picture": [], "move": []}
    # What Chromium starts may write a moment longer than Chromium itself is there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        try:
            browser.call("Page.addScriptToEvaluateOnNewDocument", source=FIRST)
            for _ in range(options.rounds):
                browser.open("about:blank")
                browser.open(options.page.resolve().as_uri())
                found["first picture"].append(browser.run("first"))
                if not browser.run("Boolean(document.querySelector('input[type=range]'))"):
                    sys.exit(f"--page {options.page}: it has no slider, since the run has no continuous code")
                found["move"] += browser.run(f"{MOVES}({options.moves})")
        finally:
            browser.close()
    return found


def main() -> None:
    """Opens the page several times."""
    options = tyro.cli(Options, description=__doc__)
    for name in ("moves", "rounds"):
        if getattr(options, name) < 1:
            sys.exit(f"--{name} {getattr(options, name)}: it must be 1 or more")
    if not options.page.is_file():
        sys.exit(f"--page {options.page}: there is no such file; `python eval.py RUN` makes it")
    if CHROMIUM is None:
        sys.exit("there is no Chromium here: apt-get install chromium")
    found = measure(options)
    table = Table(title=str(options.page))
    for heading in ("", "ms", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, times in found.items():
        table.add_row(name, *median_min_max(times, ".0f"))
    console = Console(width=110)
    console.print(table)
    circumstances = machine.circumstances()
    console.print(machine.told(circumstances))
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": found} | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
