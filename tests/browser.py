"""A real browser for tests of pages: headless Chromium, told what to do over its DevTools pipe.

No library: the protocol is JSON with a NUL behind each message, on two file descriptors. Scripts of pages are off, as
careful people have them; a click is one of the mouse at a place of the screen.
"""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 40.0
WIDTH, HEIGHT = 360, 740
"""CSS pixels of a small phone."""

_OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-default-browser-check", "--hide-scrollbars", "--lang=en",
)  # fmt: skip
_PLACE = """
(() => {{
  const found = [...document.querySelectorAll({selector})].find(e => e.textContent.includes({text}) || !{text});
  if (!found) return null;
  found.scrollIntoView({{block: "center"}});
  const r = found.getBoundingClientRect();
  return [r.x + r.width / 2, r.y + r.height / 2];
}})()
"""
_CHOOSE = """
(() => {{
  const list = document.querySelector({selector});
  const option = list && [...list.options].find(one => one.textContent.includes({text}));
  if (!option) return false;
  list.value = option.value;
  for (const kind of ['input', 'change']) list.dispatchEvent(new Event(kind, {{bubbles: true}}));
  return true;
}})()
"""


class Page:
    """One tab."""

    def __init__(self, reader: asyncio.StreamReader, commands: int) -> None:
        self.said: list[str] = []
        """What the browser complained about: a policy that was broken, something that could not be loaded."""
        self._reader, self._commands = reader, commands
        self._session = ""
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def begin(self, *, scripts: bool = False) -> None:
        """A small phone, without scripts unless they are asked for."""
        target = await self.call("Target.createTarget", url="about:blank")
        self._session = (await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True))[
            "sessionId"
        ]
        for what in ("Page", "Log", "Runtime", "Audits"):
            await self.call(f"{what}.enable")
        await self.size(WIDTH, HEIGHT, scale=2)
        await self.scripts(on=scripts)

    async def scripts(self, *, on: bool) -> None:
        """Whether pages that are opened from now on run theirs."""
        await self.call("Emulation.setScriptExecutionDisabled", value=not on)

    async def size(self, width: int, height: int, *, scale: int = 1) -> None:
        """A screen of so many CSS pixels; a narrow one is a phone."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
            mobile=width < 500,
        )  # fmt: skip

    async def look(self, mode: str) -> None:
        """What somebody prefers who has set `light` or `dark`, and wants nothing to move."""
        wishes = {"prefers-color-scheme": mode, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def open(self, url: str) -> None:
        """Follow a link to the end of its loading."""
        await self._and_load(self.call("Page.navigate", url=url))

    async def click(self, selector: str, text: str = "", *, leads_on: bool = True) -> None:
        """Press the middle of the first element of this kind with this text; `leads_on`: another page loads then."""
        place = await self.value(_PLACE.format(selector=json.dumps(selector), text=json.dumps(text)))
        assert place, f"no {selector} {text!r} on {await self.text()}"
        press = self._press(*place)
        await (self._and_load(press) if leads_on else press)

    async def write(self, selector: str, text: str) -> None:
        """Type into the first field of this kind."""
        await self.click(selector, leads_on=False)
        await self.call("Input.insertText", text=text)

    async def fill(self, selector: str, text: str) -> None:
        """Write over what stands in the first field of this kind."""
        await self.value(f"(one => {{ one.focus(); one.select(); }})(document.querySelector({json.dumps(selector)}))")
        await self.call("Input.insertText", text=text)

    async def choose(self, selector: str, text: str) -> None:
        """Take the first option with this text, as a hand would."""
        done = await self.value(_CHOOSE.format(selector=json.dumps(selector), text=json.dumps(text)))
        assert done, f"no {text!r} in {selector} on {await self.text()}"

    async def text(self) -> str:
        """What a person reads."""
        return str(await self.value("document.body.innerText"))

    async def until(self, expression: str) -> None:
        """Wait for something that a script does."""
        async with asyncio.timeout(SECONDS):
            while not await self.value(expression):
                await asyncio.sleep(0.02)

    async def press(self, key: str, *, leads_on: bool = False) -> None:
        """A key of the keyboard; `leads_on`: another page loads then."""
        stroke = self._stroke(key)
        await (self._and_load(stroke) if leads_on else stroke)

    async def value(self, expression: str, *, world: int | None = None) -> Any:
        """The value of an expression, for looking only; what it promises is waited for. `world`: of `own_world`."""
        where = {} if world is None else {"contextId": world}
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, **where
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def own_world(self) -> int:
        """Where scripts of ours see the page that is shown now, and neither it nor its policy sees them."""
        frame = (await self.call("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        return int(
            (await self.call("Page.createIsolatedWorld", frameId=frame, worldName="tests"))["executionContextId"]
        )

    async def picture(self, *, whole: bool = False, webp: int = 0) -> bytes:
        """A PNG of what is seen, or a WebP of that quality; `whole`: also of what is below."""
        kind = {"format": "webp", "quality": webp} if webp else {"format": "png"}
        found = await self.call("Page.captureScreenshot", captureBeyondViewport=whole, **kind)
        return base64.b64decode(found["data"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._waiting[self._number] = answer = asyncio.get_running_loop().create_future()
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(SECONDS):
            return await answer

    async def close(self) -> None:
        """Hear no more."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _stroke(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 else "")

    async def _press(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def _and_load(self, act: Any) -> None:
        self._loaded.clear()
        await act
        async with asyncio.timeout(SECONDS):
            await self._loaded.wait()

    async def _listen(self) -> None:
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if waiting := self._waiting.pop(message.get("id", 0), None):
                waiting.set_result(message.get("result") or {"error": message.get("error")})
            elif message.get("method") == "Page.loadEventFired":
                self._loaded.set()
            elif message.get("method") == "Log.entryAdded":
                self.said.append(message["params"]["entry"]["text"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.said.append(str(message["params"]["exceptionDetails"]))
            elif message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                self.said.append(str([one.get("value") for one in message["params"]["args"]]))
            elif message.get("method") == "Audits.issueAdded":
                issue = message["params"]["issue"]
                if issue["code"] == "ContentSecurityPolicyIssue":
                    self.said.append(str(issue["details"]["contentSecurityPolicyIssueDetails"]))


@asynccontextmanager
async def browsing(folder: Path, *, scripts: bool = False) -> AsyncIterator[Page]:
    """A tab of a browser that keeps its data in the folder."""
    assert PROGRAM is not None
    (their_end, commands), (answers, their_other) = os.pipe(), os.pipe()
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f'exec "$@" 3<&{their_end} 4>&{their_other}', "bash", *command,
        pass_fds=(their_end, their_other), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(their_end)
    os.close(their_other)
    reader = asyncio.StreamReader(limit=1 << 24)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb", 0)
    )
    page = Page(reader, commands)
    try:
        await page.begin(scripts=scripts)
        yield page
    finally:
        await page.close()
        transport.close()
        os.close(commands)
        process.terminate()
        await process.wait()
