"""A headless Chromium, driven over its own debugging socket: no driver program, no browser to download."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
START_S = 30.0
FLAGS = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


def require_chromium() -> str:
    """Give the browser's program; without one the test says how to get it."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    pytest.skip("Chromium is missing, so the live page is NOT tested: apt-get install chromium")


class Page:
    """One tab: `call` speaks the debugging protocol, `value` evaluates, `events` is all that the tab has told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and give its answer."""
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=START_S))
            if message.get("id") == self._last_id:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
            self.events.append(message)

    def open(self, url: str) -> None:
        """Load a page, and hear from its first request on what it does."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Give what a JavaScript expression comes to in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, seconds: float = 20.0) -> Any:
        """Give the expression's first true value, also of a page that is still loading; fail with its text instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
            if found := "exceptionDetails" not in answer and answer["result"].get("value"):
                return found
            time.sleep(0.05)
        pytest.fail(f"never true: {expression}\nthe page says: {self.value('document.body.innerText')[:2000]}")

    def told(self, method: str) -> list[dict[str, Any]]:
        """Give the parameters of every event of one kind so far."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def press(self, key: str) -> None:
        """Press and release one key, as a person at the keyboard does."""
        text = {"Enter": "\r", " ": " "}.get(key)
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        down = {"key": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        self.call("Input.dispatchKeyEvent", type="keyDown", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Prefer `light` or `dark`, as the system's setting does."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file: Path) -> None:
        """Write a picture of the window, for looking at."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def opened_page(profile: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own and give its tab; the browser ends with the block."""
    program = require_chromium()
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    command = [program, *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _awaited(lambda: _port(profile), process)
        target = _awaited(lambda: _first_tab(port), process)
        with connect(target, max_size=None, compression=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _awaited(look: Callable[[], str], process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail(f"Chromium did not start (exit code {process.poll()})")


def _port(profile: Path) -> str:
    file = profile / "DevToolsActivePort"
    return file.read_text("utf-8").split("\n")[0] if file.is_file() else ""


def _first_tab(port: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as reply:
        tabs = [tab for tab in json.load(reply) if tab["type"] == "page"]
    return str(tabs[0]["webSocketDebuggerUrl"]) if tabs else ""
