"""Chromium without a window, driven from Python: for the explorer's tests and its benchmark."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
"""Where it is; None: it isn't installed."""

# It reads from 3 and writes to 4. Copies come first, since those may be among the pipes' own.
WIRE = """
import fcntl, os, sys
reading, writing = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(reading, 3)
os.dup2(writing, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


_KEYS = {
    "ArrowDown": 40,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowUp": 38,
    "Enter": 13,
    "Home": 36,
    "Space": 32,
    "Tab": 9,
}
"""What Windows calls the keys, which Chromium asks for."""


class Browser:
    """Chromium without a window, driven through the pipe of its DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        if CHROMIUM is None:
            raise FileNotFoundError("no Chromium: apt-get install chromium")
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe"]
        options += [f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", WIRE, str(to_browser), str(from_browser), CHROMIUM, *options],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._write, self._read = write, read
        self._ids, self._buffer = itertools.count(1), b""
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params} | self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Loads a page, or follows a link within it."""
        before = len(self.seen("Page.loadEventFired"))
        loads = "loaderId" in self.call("Page.navigate", url=url)
        while loads and len(self.seen("Page.loadEventFired")) == before:
            self.events.append(self._message())

    def seen(self, method: str) -> list[dict[str, Any]]:
        """What events of one kind have told."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def run(self, script: str) -> Any:
        """The value of a script, awaited where it is a promise."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def inside(self, script: str) -> Any:
        """Runs a script that names the page's one frame."""
        return self.run(f"(({{ contentWindow: frame }}) => {script})(document.querySelector('iframe'))")

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, key: str, selector: str | None = None) -> None:
        """Presses a key on an element, or on what has the focus."""
        if selector is not None:
            self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        # A character that the key writes or, of a button, what presses it.
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        named = {"key": text if key == "Space" else key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        for event in (down, {"type": "keyUp"}):
            self.call("Input.dispatchKeyEvent", **event, **named)
        self.settle()

    def click(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        """Clicks into an element, at shares of its width and height."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        at = {"x": box[0] + across * box[2], "y": box[1] + down * box[3]}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)
        self.settle()

    def close(self) -> None:
        """Ends Chromium."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)
