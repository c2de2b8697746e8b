"""A headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.programs import find_program
from tests.waiting import await_until

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: Without the background services: they would ask hosts that no test may ask.
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--window-size=1100,760",
)
#: Chromium's sandbox needs what containers and root do not give it; the only page it opens is ours.
ROOT_FLAGS = ("--no-sandbox",)
START_TIMEOUT_S = 60.0


def find_chromium() -> str:
    """Return the browser's path; without one, skip the test on a laptop and fail it where CI=true."""
    return find_program(*NAMES, package="chromium")


class Page:
    """One open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Carry out one DevTools command; events that come meanwhile are dropped."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads(await self._socket.receive_str())
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = await self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        await self.command("Page.navigate", url=url)
        wanted = json.dumps(url)
        await self.wait_for(f"location.href.startsWith({wanted}) && document.readyState === 'complete'")

    async def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true."""

        async def look() -> Any:
            return await self.evaluate(expression)

        return await await_until(look, timeout_s=30.0, what=expression)

    async def click(self, selector: str) -> None:
        """Click the first element that a selector finds."""
        await self.wait_for(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def press_enter(self) -> None:
        """Press the Enter key."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        await self.command("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **key)

    async def screenshot(self, path: Path) -> None:
        """Write a PNG of what is seen."""
        answer = await self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


@asynccontextmanager
async def open_browser(profile: Path, *options: str) -> AsyncIterator[Page]:
    """Run a browser with an empty profile until the block ends."""
    flags = FLAGS + (ROOT_FLAGS if os.geteuid() == 0 else ())
    process = await asyncio.create_subprocess_exec(
        find_chromium(),
        *flags,
        f"--user-data-dir={profile}",
        *options,
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            address = await _devtools_address(process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as response:
                targets = await response.json(content_type=None)
            page = next(target for target in targets if target["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        # Its helper processes are of the same session.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _devtools_address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        if line.startswith(b"DevTools listening on ws://"):
            return line.decode().split("ws://")[1].split("/")[0]
    raise AssertionError(f"the browser did not start: {said.decode(errors='replace')}")
