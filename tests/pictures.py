"""`make screenshots`: a picture of every page of the console, and of pages for recipients, with the demo's data, on a
desk and on a phone, in light and dark, into `build/screenshots/`, with a page that shows them all.

The demo is a real one (`postlane up --demo`) in a folder of its own; `LIFE` is what happens there before we look.
"""

import asyncio
import email
import html
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.policy import default
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from cli.running.console_link import console_link
from tests import browser
from tests.accessibility import LOOKS
from tests.browser import Page
from tests.scenarios.resident import CLIENT, resident
from tests.scenarios.terminal import PATIENCE_SECONDS, ROOT, Terminal, up
from tests.stack import reachable_folder
from tests.walk import LINKS, one_of_each, path_of

INTO: Final = ROOT / "build" / "screenshots"
TALLEST: Final = 4000
"""CSS pixels of a picture; a longer page is cut there."""

LIFE: Final = """
campaigns start "Spring news" --yes
users create mara@acme.sim --role marketer
users create olli@acme.sim --role operator
keys create shop
keys create ci --test
segments create Berlin --filter 'city = "Berlin"'
segments create "Quiet in Paris" --filter 'city = "Paris" and not opened in last 30 days'
topics create "Weekly offers" --description "Every Thursday, what is new and what is less dear."
forms create Footer --from "Acme <hello@acme.sim>" --topic "Weekly offers"
templates create Welcome welcome.json --alias welcome --subject "Welcome to Acme" --publish
templates create Receipt receipt.mjml --alias receipt --subject "Your receipt" --publish
campaigns create --name "Summer preview" --from news@acme.sim --segment Berlin --subject "Summer" --html summer.html
contacts import fair.csv --no-mail
suppressions import left.txt
sandbox rules add '*@qa.example.com'
send --to tester@qa.example.com --subject "Your receipt" --text "Captured, not sent."
send --to bounced@sandbox.example --text "Nobody there."
send --to unknown1@yahoo.sim --subject "Your invoice" --text "It went to nobody."
send --to full@gmx.sim --subject "Your invoice" --text "The mailbox is full."
send --to greylist@outlook.sim --subject "Your code: 4711" --text "4711"
send --to late@gmail.sim --subject "Your invoice" --text "Taken, and bounced two seconds later."
send --to complain@outlook.sim --stream marketing --subject "Offers" --text "Reported as spam."
send --to ada@acme-corp.sim --subject "Reset your password" --text "Here is the link."
ips add 127.0.1.14 --ehlo mta-14.pool.sim
pools attach marketing 127.0.1.14
warmup start 127.0.1.14 --plan stages-29
warmup start 127.0.1.13 --plan linear-45
pools create reserve --lane marketing
webhooks create HOOKS/fail/shop -e email.bounced -e email.delivered
simulator throttle gmail 127.0.1.11
send --to emmy@gmail.sim --stream marketing --subject "Three for two" --text "Through another IP."
send --to kurt@gmail.sim --stream marketing --subject "Three for two" --text "Through another IP."
send --to lise@gmail.sim --stream marketing --subject "Three for two" --text "Through another IP."
send --to hedy@gmail.sim --subject "Your receipt" --text "Thank you."
domains create shop.example
"""
"""Commands, in their order."""

_BLOCKS: Final = {
    "blocks": [
        {"type": "heading", "text": "Welcome to Acme", "level": 1},
        {
            "type": "text",
            "html": "<p>Good to have you, {{ first_name | default('friend') }}. Three things to begin with:</p>",
        },
        {"type": "button", "text": "Look around", "href": "https://acme.sim/start"},
        {"type": "footer", "text": "Acme, 1 Garden Street"},
    ],
    "settings": {},
}
_FILES: Final = {
    "welcome.json": json.dumps(_BLOCKS),
    "receipt.mjml": "<mjml><mj-body><mj-section><mj-column><mj-text>Thank you for your order.</mj-text></mj-column>"
    "</mj-section></mj-body></mjml>",
    "summer.html": "<h1>Summer is near</h1><p>A first look, {{ first_name | default('friend') }}.</p>"
    '<p><a href="{{{UNSUBSCRIBE_URL}}}">Unsubscribe</a></p>',
    "fair.csv": "email,first_name,city\nnina@gmail.sim,Nina,Berlin\notto@gmx.sim,Otto,Oslo\nnobody,,\n",
    "left.txt": "gone@yahoo.sim\nnever@gmx.sim\n",
}


@dataclass(frozen=True, slots=True)
class Demo:
    """One that runs, and lived a little."""

    folder: Path
    facts: dict[str, Any]

    def runs(self, words: list[str]) -> str:
        """A command in its folder; what it printed. A refusal is shown and left behind: there is more to see."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE_")}
        done = subprocess.run(
            [str(self.folder / "postlane"), *words], cwd=self.folder, env=clean, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        if done.returncode:
            print(f"  postlane {shlex.join(words)}: {(done.stderr or done.stdout).strip()[-200:]}", file=sys.stderr)
        return done.stdout


@contextmanager
def living_demo() -> Iterator[Demo]:
    """The demo, after `LIFE`."""
    with reachable_folder() as folder:
        (folder / "postlane").write_text(CLIENT.format(python=sys.executable, path=str(folder / "s")))
        (folder / "postlane").chmod(0o755)
        for name, text in _FILES.items():
            (folder / name).write_text(text)
        with resident(folder / "s"), up(folder, "--demo") as terminal:
            terminal.until(lambda: terminal.lines("curl"), PATIENCE_SECONDS, "demo")
            demo = Demo(folder, json.loads((folder / ".postlane" / "demo.json").read_text()))
            hooks = json.loads((folder / ".postlane" / "simulator.json").read_text())["webhook_url"]
            for line in LIFE.strip().splitlines():
                demo.runs(shlex.split(line.replace("HOOKS", hooks)))
            _settled(demo, terminal)
            yield demo


def _settled(demo: Demo, terminal: Terminal) -> None:
    """Until half of the campaign is out, and somebody reacted."""
    url = json.loads((demo.folder / ".postlane" / "servers.json").read_text())["database_url"]

    def sent() -> bool:
        with psycopg.connect(url) as connection:
            asked = connection.execute("SELECT count(*) > 2500 FROM campaign_recipients WHERE state = 'delivered'")
            return asked.fetchone() == (True,)

    terminal.until(sent, 2 * PATIENCE_SECONDS, "half of the campaign")


async def take_pictures(demo: Demo, into: Path) -> int:
    """All of them; how many."""
    servers = json.loads((demo.folder / ".postlane" / "servers.json").read_text())
    console = demo.facts["console_url"]
    printed = await asyncio.to_thread(console_link, servers["database_url"], console, demo=True, seen=True)
    with tempfile.TemporaryDirectory() as profile:
        async with browser.browsing(Path(profile), scripts=True) as page:
            shown = [await _taken(page, f"{console}/sign-in", into)]
            shown += [await _taken(page, printed.split()[0], into, "link")]
            await page.click("button", "Open the console")

            async def look(at: str) -> list[str]:
                shown.append(await _taken(page, console + at, into))
                links: list[str] = await page.value(LINKS)
                return links

            await one_of_each(look)
            for name, url in _public(demo).items():
                shown.append(await _taken(page, url, into, name))
            await _for_the_readme(page, console, servers["database_url"], into / "readme")
    (into / "index.html").write_text(_index(shown), encoding="utf-8")
    return len(shown) * len(LOOKS)


_OPEN_ALL: Final = "document.querySelectorAll('details:not(.me)').forEach(one => one.open = true)"
_REROUTED: Final = """
SELECT '/messages/' || email_id || '/' || position FROM events WHERE kind = 'rerouted' ORDER BY email_id DESC LIMIT 1
"""
_SENT: Final = "SELECT '/campaigns/' || id FROM campaigns WHERE started_at IS NOT NULL ORDER BY id LIMIT 1"
_QUALITY: Final = 82
_HEIGHTS: Final = {"overview": 980, "ips": 640, "message": 900, "campaign": 900}
"""CSS pixels of the pictures in the README; what is below says the same."""


async def _for_the_readme(page: Page, console: str, database_url: str, into: Path) -> None:
    """The four that show what no other does, as WebP: copy them to `docs/pictures`."""
    into.mkdir(exist_ok=True)
    with psycopg.connect(database_url) as connection:
        asked = {"message": connection.execute(_REROUTED), "campaign": connection.execute(_SENT)}
        found = {name: row[0] for name, cursor in asked.items() if (row := cursor.fetchone())}
    await page.look("light")
    for name, path in {"overview": "/", "ips": "/ips", **found}.items():
        await page.open(f"{console}{path}")
        await page.size(1280, _HEIGHTS[name])
        await page.value(_OPEN_ALL if name == "message" else "0")
        await page.until("document.readyState === 'complete' && !document.querySelector('.htmx-request')")
        (into / f"{name}.webp").write_bytes(await page.picture(webp=_QUALITY))


def _public(demo: Demo) -> dict[str, str]:
    """Pages for recipients: a form, and the link of a mail."""
    forms = json.loads(demo.runs(["forms", "list", "--json"]))
    mail = demo.runs(
        ["send", "--to", "anna@gmail.sim", "--topic", "Weekly offers", "--text", "Leave: {{{UNSUBSCRIBE_URL}}}"]
    )
    raw = demo.runs(["simulator", "mailbox", "anna@gmail.sim", "--raw"])
    text = email.message_from_string(raw, policy=default).get_body(("plain",))
    link = re.search(r"http://\S+/u/\S+", text.get_content() if text else "")
    found = {"form": str(forms[0]["url"])} if forms else {}
    return found | ({"choices": link[0]} if mail and link else {})


async def _taken(page: Page, url: str, into: Path, name: str = "") -> str:
    """The page in every look; the beginning of the files' names."""
    await page.open(url)
    name = name or _named(url)
    for (width, height), mode in LOOKS:
        await page.size(width, height)
        await page.look(mode)
        await page.until("document.readyState === 'complete' && !document.querySelector('.htmx-request')")
        tall = min(max(height, int(await page.value("document.documentElement.scrollHeight"))), TALLEST)
        await page.size(width, tall)
        (into / f"{name}-{width}-{mode}.png").write_bytes(await page.picture())
    return name


def _named(url: str) -> str:
    parts = urlsplit(url)
    words = re.findall(r"[a-z0-9-]+", re.sub(r"\{[^}]*\}", "one", path_of(parts.path)))
    return "-".join(words or ["overview"]) + ("-panel" if "open=" in parts.query else "")


def _index(names: list[str]) -> str:
    rows = "".join(
        f"<h2>{html.escape(name)}</h2><p>"
        + " ".join(
            f'<a href="{name}-{width}-{mode}.png"><img loading="lazy" src="{name}-{width}-{mode}.png" alt="{name},'
            f' {width} pixels, {mode}"></a>'
            for (width, _), mode in LOOKS
        )
        + "</p>"
        for name in names
    )
    style = "body{font:14px system-ui;margin:24px;background:#888}img{height:360px;vertical-align:top;margin-right:8px}"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Postlane</title><style>{style}</style>{rows}'


def main() -> None:
    """Take them."""
    if browser.PROGRAM is None:
        sys.exit("make screenshots needs Chromium: apt install chromium")
    INTO.mkdir(parents=True, exist_ok=True)
    for old in INTO.glob("*.png"):
        old.unlink()
    with living_demo() as demo:
        count = asyncio.run(take_pictures(demo, INTO))
    print(f"{count} pictures: {INTO / 'index.html'}")


if __name__ == "__main__":
    main()
