"""A browser without a window, driven through the DevTools protocol over a pipe; nothing to install but Chromium."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Home": 36,
    "End": 35,
}

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str:
    """The browser to test with; skips the test where there is none."""
    found = next(filter(None, (shutil.which(name) for name in NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: install the package chromium to test the page in a browser")
    return found


class Browser:
    """A running browser; every page is a tab of its own, with its own cookies where asked for."""

    def __init__(self, process: subprocess.Popen[bytes], to_browser: int, from_browser: int) -> None:
        self.process = process
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, *, timeout: float = 30, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._receive(end, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self, end: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser did not answer to {what}")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def page(self, *, width: int = 1280, height: int = 800, own_cookies: bool = False) -> Page:
        """A new window."""
        context = (
            {"browserContextId": self.call("Target.createBrowserContext")["browserContextId"]} if own_cookies else {}
        )
        target = self.call("Target.createTarget", url="about:blank", newWindow=True, **context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        return page


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.browser, self._session, self._target = browser, session, target

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command to this tab."""
        return self.browser.call(method, self._session, **params)

    def resize(self, width: int, height: int) -> None:
        """Make the tab so many pixels large."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def go(self, address: str) -> None:
        """Open an address, and wait until the page itself is there."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, script: str, *, seconds: float = 15) -> Any:
        """Wait until an expression holds in the page, and return its value."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError):  # While a page gives way to the next one, there is none to ask.
                value = self.run(script)
                if value:
                    return value
            if time.monotonic() > end:
                raise AssertionError(f"does not become true: {script}; the page says: {self.text()[:600]}")
            time.sleep(0.02)

    def text(self) -> str:
        """All that can be read on the page."""
        return self.run("document.body.innerText")

    def press(self, *keys: str) -> None:
        """Press keys one after the other: a character, a name such as `Enter`, with `Shift+` or `Ctrl+` before it."""
        for key in keys:
            *held, name = key.split("+") if len(key) > 1 else [key]
            modifiers = 8 * ("Shift" in held) + 2 * ("Ctrl" in held)
            code = KEYS.get(name, ord(name.upper()) if len(name) == 1 else 0)
            shown = name.upper() if "Shift" in held and len(name) == 1 else name
            event: dict[str, Any] = {"key": shown, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            if len(name) == 1 and "Ctrl" not in held:
                event["text"] = shown
            self.call("Input.dispatchKeyEvent", type="keyDown", **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that the selector finds."""
        place = self.until(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})?.getBoundingClientRect();"
            " return box && box.width && {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def type(self, text: str) -> None:
        """Put text into the element in focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Write what is to be seen to a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings that the browser's console has shown for this tab so far."""
        self.run("0")
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self._session:
                continue
            params = event["params"]
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"])[:400])
        return found

    def close(self) -> None:
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self._target)


@contextlib.contextmanager
def open_browser() -> Generator[Browser]:
    """Start a browser, and end it with everything that it has started."""
    program = chromium()
    with tempfile.TemporaryDirectory(prefix="designkit-browser-", ignore_cleanup_errors=True) as profile:
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        # The browser looks for its pipe at 3 and 4: first out of their way.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (read_there, write_there)]

        def place_pipe() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        arguments = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run",
            "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-extensions",
            "--force-color-profile=srgb"]  # fmt: skip
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place_pipe,  # Nothing else can say which number a pipe gets.
            start_new_session=True,
        )
        for each in (read_there, write_there, *high):
            os.close(each)
        try:
            yield Browser(process, write_here, read_here)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            os.close(read_here)
            os.close(write_here)
