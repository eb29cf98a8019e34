"""Something in every noun, for whoever wants to see its table; and which commands print one.

Wherever a stranger's words get in, they mean harm.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from campaigns import work
from cli.main import COMMANDS, app
from core.ids import uuid7
from messages.model import MessageRef
from requestlog.gathering import Gatherer, Rates
from sandbox import mailbox
from sandbox.mailbox import CapturedMail
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import execute, new_email, rows, store
from tests.integration.requestlog.requests import asked
from tests.integration.store.test_figures import counted
from tests.unit.pools.test_standing_files import SNDS
from tests.unit.templates.test_pictures import PNG
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

AT_EVERY_WIDTH: Final = (
    "messages list",
    "messages show EMAIL",
    "queue list",
    "status",
    "status --settings",
    "flags list",
    "flags show tracking",
    "automations list",
    "events list",
    "users list",
    "suppressions list",
    "suppressions get eve@two.example",
    "suppressions history eve@two.example",
    "suppressions imports",
    "alarms list",
    "alarms rules list",
    "alarms breakers list",
    "throttles list",
    "pools list",
    "pools show receipts",
    "pools advice",
    "pools assignments",
    "ips list",
    "ips show 127.0.1.1",
    "ips reputation 127.0.1.1",
    "warmup list",
    "warmup show 127.0.1.1",
    "warmup history 127.0.1.1",
    "warmup presets",
    "warmup plans list",
    "warmup simulate --plan stages-29 --volume 300000/day --days 3 --mix gmail:45,microsoft:20,yahoo:15,apple:5",
    "providers list",
    "providers check",
    "applications list",
    "domains list",
    "domains get shop.example",
    "keys list",
    "keys list --operators",
    "topics list",
    "topics choices eve@two.example",
    "contacts list",
    "contacts show eve@two.example",
    "contacts history eve@two.example",
    "contacts imports",
    "contact-properties list",
    "segments list",
    "segments people everybody",
    "forms list",
    "templates list",
    "images list",
    "campaigns list",
    "campaigns report spring",
    "campaigns recipients spring",
    "sandbox list",
    "sandbox rules list",
    "logs list",
    "webhooks list",
    "webhooks events https://hooks.example/",
    "webhooks types",
    "inbound list",
    "recipients show eve@two.example",
    "seeds list",
    "restored list",
    "standing list",
    "reports",
    "addresses check eve@two.example info@gmial.con",
)
AT_ONE_WIDTH: Final = ("warmup rehearse --volume 2000/day --days 1", "providers rules", "campaigns check spring")
"""A second of work each."""

WITH_IDS: Final = (
    "messages list", "keys list", "domains list", "applications list", "alarms list", "topics list", "segments list",
    "campaigns list", "templates list", "webhooks list", "inbound list", "sandbox list",
    "images list", "logs list", "contacts imports",
)  # fmt: skip
"""Lists that people copy an id from: it is there at any width."""

HOSTILE: Final = "\x1b[2J\x1b]0;mine\x07 \x9b31m \u202egnp.exe\nforged 2026-05-04 delivered [red]x[/red]"

_OLDER: Final = (
    "pools create receipts --lane transactional",
    "ips add 127.0.1.1 --ehlo m1.example.com",
    "pools attach receipts 127.0.1.1",
    "throttles rest 127.0.1.1 gmail --reason ticket",
    "warmup start 127.0.1.1 --plan stages-29",
    "keys create web --application shop",
    "keys create ops --permission operator",
    "domains create shop.example --application shop",
    "pools assign receipts --domain shop.example",
    "suppressions add eve@two.example --detail HOSTILE",
    "contact-properties create plan --fallback free",
    "contacts add eve@two.example --first-name Evelyn --last-name Featherstonehaugh-Cholmondeley --consent HOSTILE",
    "contacts update eve@two.example -p plan=HOSTILE",
)
_NEWER: Final = (
    "topics create all-that-is-new-in-the-shop --visibility private",
    "segments create everybody",
    "segments create others",
    "contacts add kim@three.example --consent HOSTILE -s everybody",
    "forms create footer-of-every-page --from hello@shop.example",
    "templates create welcome mail.html --alias welcome-to-the-shop --subject Hi",
    "images add logo.png",
    "campaigns create --name spring --from news@shop.example --segment everybody --subject Hi --html mail.html",
    "campaigns start spring --yes",
    "sandbox rules add qa.example",
    "webhooks create https://hooks.example/ -e email.bounced -e email.complained -e email.delivered",
    "alarms breakers stop shop marketing yahoo --reason HOSTILE",
    "flags set tracking 20% --reason not-all-at-once-for-we-have-only-just-begun",
    "flags set tracking off --application shop --reason ticket",
    "suppressions import left.txt",
    "contacts import people.csv --no-mail",
    "standing import snds snds.csv",
)
_SEED: Final = """
INSERT INTO seeds (id, address, provider, host, port, tls, login, sealed_password, sender, lane, every_minutes, trouble)
VALUES (gen_random_uuid(), 'our.long.name.at.gmail@gmail.com', 'gmail', 'imap.gmail.com', 993, 'tls', 'us', '',
  'news@shop.example', 'marketing', 360, %s)
"""
_PROCESS: Final = """
INSERT INTO heartbeats (id, name, host, pid, version, seen_at)
VALUES (gen_random_uuid(), 'api', %s, 7, %s, now() + interval '1 hour')
"""
_CAME_BACK: Final = "INSERT INTO inbound_mail (id, envelope_to, raw, result) VALUES (%s, 'b@x.example', %s, 'unread')"


def arrange(postlane: Postlane) -> None:
    """IPs, pools, keys, a domain, a contact, a suppression, one of each."""
    _call(postlane, _OLDER)


def arrange_more(postlane: Postlane, database_url: str, folder: Path) -> None:
    """The nouns of marketing, and what comes back; in a folder that the commands run in."""
    (folder / "mail.html").write_text("<p>Hello</p>")
    (folder / "logo.png").write_bytes(PNG)
    (folder / "left.txt").write_text("gone@four.example\n")
    (folder / "people.csv").write_text("email,first_name\nlee@five.example,Lee\n")
    (folder / "snds.csv").write_text(SNDS.replace("192.0.2.1", "127.0.1.1"))
    in_database(database_url, lambda database: execute(database, "UPDATE domains SET status = 'verified'"))
    _call(postlane, _NEWER)
    in_database(database_url, _facts)


def _call(postlane: Postlane, commands: tuple[str, ...]) -> None:
    for words in commands:
        answer = postlane(*(word.replace("HOSTILE", HOSTILE.replace("\n", " ")) for word in words.split()))
        assert answer.status == 0, (words, answer.said)


async def _facts(database: Database) -> None:
    """What no command makes."""
    [(application,)] = await rows(database, "SELECT id FROM applications WHERE name = 'shop'")
    email = new_email("pat@qa.example", application_id=application, capture=True)
    await store(database, email)
    raw = f"Subject: {HOSTILE[:30]}\r\n\r\nHello\r\n".encode()
    told = OutboxEvent(EventType.EMAIL_DELIVERED, application, datetime.now(UTC), {"recipient": HOSTILE})
    async with database.transaction() as connection:
        kept = CapturedMail(MessageRef(email.id, 0), application, "b@acme.example", "pat@qa.example", raw)
        await mailbox.keep(connection, [kept])
        await outbox.append(connection, [told])
    gatherer = Gatherer(database, Rates(10))
    gatherer.put(asked(application, status=422, user_agent=HOSTILE))
    await gatherer.flush()
    await execute(database, _CAME_BACK, [uuid7(), raw])
    await execute(database, _SEED, [HOSTILE])
    await execute(database, _PROCESS, [HOSTILE, HOSTILE])
    await counted(database, datetime.now(UTC), 1_000_000, outcome="delivered")
    await work.begin(database)


def listing_commands() -> set[str]:
    """Every `… list` there is."""
    return {words for entry in COMMANDS for words in _under(entry.name, _loaded(entry.name)) if words.endswith(" list")}


def _loaded(name: str) -> Any:  # Typer does not export the type of a command
    root: Any = typer.main.get_command(app)
    return root.resolve_command(root.make_context("postlane", [], resilient_parsing=True), [name])[1]


def _under(words: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is None:
        yield words
    else:
        for name, child in children.items():
            yield from _under(f"{words} {name}", child)
