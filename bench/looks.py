"""The pages of the console that are asked for, each with what it has to show: lists, searches, single things.

Paths only: `bench/cases/pages` measures them with millions of messages, a test weighs them with few. The data is that
of `bench/month`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from bench import stored, stored_beside
from bench.rows import Connection
from bench.stored_beside import Beside

_ROW: Final = 'class="whole"'
_PAGE: Final = "<h1>"
"""Of what may have nothing to show."""


@dataclass(frozen=True, slots=True)
class Look:
    """A page to ask for, with a text that it must show."""

    name: str
    path: str
    shows: str = _ROW
    part: bool = False
    """It is fetched behind a page."""

    def is_in(self, page: str) -> bool:
        """Whether it shows that. Long words of pages hold places where they may break."""
        return self.shows in page.replace("<wbr>", "")


def of_admin(connection: Connection, beside: Beside) -> Iterator[Look]:
    """What an admin may ask for."""
    yield Look("overview", "/", "Accepted")
    yield from _messages(connection)
    yield from _people(connection, beside)
    yield from _operation(connection)
    yield from _developers(connection, beside)


def _messages(connection: Connection) -> Iterator[Look]:
    newest = "SELECT email_id, recipient FROM messages WHERE state = 'delivered' ORDER BY 1 DESC LIMIT 1"
    email, recipient = _one(connection, newest)
    middle = _one(connection, "SELECT id FROM emails ORDER BY id OFFSET (SELECT count(*) / 2 FROM emails) LIMIT 1")[0]
    domain = str(recipient).partition("@")[2]
    for name, asked in (
        ("", {}), ("of a recipient", {"q": recipient}), ("deferred", {"state": "deferred"}),
        ("by a common subject", {"subject": "news number"}), ("by a common tag", {"tag": stored.CAMPAIGN_TAG}),
        ("by a common provider", {"provider": "gmail"}), ("delivered", {"state": "delivered"}),
        ("bounced", {"state": "bounced"}), ("transactional", {"lane": "transactional"}),
        ("marketing, bounced", {"lane": "marketing", "state": "bounced"}), ("of the last hour", {"period": "1h"}),
        ("of all time", {"period": "all"}), ("in the middle", {"period": "all", "after": f"{middle}/0"}),
        ("in the middle, bounced", {"period": "all", "after": f"{middle}/0", "state": "bounced"}),
        ("with one open", {"open": f"{email}/0"}),
    ):  # fmt: skip
        yield Look(f"messages {name}".strip(), f"/messages?{urlencode(asked)}")
    for name, asked in (
        ("of a domain", {"q": f"@{domain}"}), ("by a rare subject", {"subject": stored.RARE_SUBJECT}),
        ("by a rare tag", {"tag": stored.RARE_TAG}), ("by a rare provider", {"provider": stored.RARE_PROVIDER}),
        ("suppressed", {"state": "suppressed"}), ("failed", {"state": stored.RARE_STATE}),
    ):  # fmt: skip
        for period, when in (("7d", ""), ("all", " of all time")):
            path = f"/messages?{urlencode({**asked, 'period': period})}"
            yield Look(f"messages {name}{when}", path, _PAGE)
        yield Look(f"messages {name}{when}, looked through all", f"{path}&look=all", _PAGE, part=True)
    yield Look("a message", f"/messages/{email}/0", str(recipient).partition("@")[0])
    yield Look("a message, its source", f"/messages/{email}/0?tab=source", "Source")


def _people(connection: Connection, beside: Beside) -> Iterator[Look]:
    contact, address = _one(connection, "SELECT id, address FROM contacts ORDER BY id LIMIT 1")
    middle = _one(connection, "SELECT id FROM contacts ORDER BY id OFFSET 100 LIMIT 1")[0]
    one = f"/campaigns/{beside.campaign}"
    yield Look("campaigns", "/campaigns")
    yield Look("campaign", one, "Spring")
    yield Look("campaign, its figures", f"{one}?figures=yes", "Why people did not get it", part=True)
    yield Look("campaign, its end", f"{one}/end", "", part=True)
    yield Look("recipients", f"{one}/recipients")
    for kind in ("delivered", "bounced", "opened", "clicked", "complained", "unsubscribed", "suppressed", "failed"):
        yield Look(f"recipients, {kind}", f"{one}/recipients?type={kind}", _PAGE)
        yield Look(f"recipients, {kind}, all", f"{one}/recipients?type={kind}&look=all", _PAGE, part=True)
    yield Look("recipients, one of them", f"{one}/recipients?{urlencode({'q': address})}")
    yield Look("recipients, deep", f"{one}/recipients?after={middle}")
    whose = f"application={beside.application}"
    yield Look("people", f"/people?{whose}")
    yield Look("people, deep", f"/people?{whose}&after={middle}")
    yield Look("people of a list", f"/people?{whose}&segment={beside.segment}")
    yield Look("people, counted", f"/people/count?{whose}", "", part=True)
    yield Look("a person", f"/people/{contact}", "Reader")
    yield Look("imports", f"/people/imports?{whose}", "imports")
    yield Look("segments", f"/segments?{whose}")
    yield Look("a segment with a filter", f"/segments/{beside.filtered}", "filtered")
    yield Look("a segment, whom it finds", f"/segments/{beside.filtered}?look=yes", "this filter now", part=True)
    yield Look("a list", f"/segments/{beside.segment}", "everybody")
    yield Look("a list, counted", f"/segments/{beside.segment}/count", "", part=True)
    yield Look("a filter, counted", f"/segments/{beside.filtered}/count", "", part=True)
    for noun in ("topics", "templates", "forms"):
        yield Look(noun, f"/{noun}?{whose}", _PAGE)


def _operation(connection: Connection) -> Iterator[Look]:
    listed, middle = _one(
        connection,
        "SELECT address, (SELECT id FROM suppressions ORDER BY id OFFSET 100 LIMIT 1) FROM suppressions LIMIT 1",
    )
    inbound = _one(connection, "SELECT max(id::text) FROM inbound_mail")[0]
    warming, resting = stored_beside.BENCH_IPS
    domain = str(listed).partition("@")[2]
    yield Look("IPs", "/ips", warming)
    yield Look("why an IP rests", f"/ips?{urlencode({'open': f'{resting} gmail'})}", "4.7.28")
    yield Look("an IP", f"/ips/{resting}", resting)
    yield Look("pools", "/pools", "marketing")
    yield Look("warm-ups", "/warmup", warming)
    yield Look("a warm-up", f"/warmup/{warming}", warming)
    yield Look("a warm-up to be", "/warmup/new", "plan")
    yield Look("plans", "/warmup/plans", "stages")
    yield Look("providers", "/providers", "Gmail")
    yield Look("a provider", "/providers/gmail", "Gmail")
    yield Look("suppressions", "/suppressions")
    yield Look("suppressions, deep", f"/suppressions?after={middle}")
    yield Look("suppressions of a domain", f"/suppressions?{urlencode({'q': f'@{domain}'})}")
    yield Look("suppressions by reason", "/suppressions?reason=hard_bounce")
    yield Look("a suppressed address", f"/suppressions?{urlencode({'q': listed})}", str(listed).partition("@")[0])
    yield Look("bounces", "/bounces")
    yield Look("bounces of a month", "/bounces?span=30d")
    yield Look("bounces nobody could place", "/bounces?result=unplaced")
    yield Look("a bounce", f"/bounces?open={inbound}", "Undelivered")
    yield Look("alarms", "/alarms", "127.0.1.4")
    yield Look("seeds", "/seeds", _PAGE)
    for by in ("provider", "ip", "pool", "stream", "topic", "tag", "domain", "application"):
        yield Look(f"report by {by}", f"/reports?by={by}", "Delivered")
        yield Look(f"report by {by}, a month", f"/reports?by={by}&span=30d", "Delivered")
    yield Look("system", "/system", _PAGE)
    yield Look("system, all settings", "/system?settings=all", "POSTLANE_")
    yield Look("audit log", "/audit")
    yield Look("audit log of one who hardly did anything", "/audit?actor=mallory%40bench.example")
    yield Look("audit log of an action", "/audit?action=campaign.update")
    yield Look("users", "/users", _PAGE)
    yield Look("account", "/account", _PAGE)


def _developers(connection: Connection, beside: Beside) -> Iterator[Look]:
    caught = _one(connection, "SELECT max(id::text) FROM captured_mails")[0]
    event = _one(connection, "SELECT id FROM webhook_events WHERE state = 'failed' ORDER BY id LIMIT 1")[0]
    domain = _one(connection, "SELECT id FROM domains WHERE name = 'brand1.example'")[0]
    request = _one(connection, "SELECT max(id::text) FROM request_log")[0]
    yield Look("applications", "/applications", "small")
    yield Look("domains", "/domains")
    yield Look("a domain", f"/domains/{domain}", "brand1.example")
    yield Look("API keys", "/keys", _PAGE)
    yield Look("snippets", "/snippets", _PAGE)
    yield Look("webhooks", "/webhooks", "hooks.bench.example")
    yield Look("a webhook", f"/webhooks/{beside.webhook}", "email.delivered")
    yield Look("a webhook, failed", f"/webhooks/{beside.webhook}?status=failed", "email.delivered")
    yield Look("an event", f"/webhooks/{beside.webhook}/events/{event}", "email.delivered")
    yield Look("a replay to be", f"/webhooks/{beside.webhook}/replay?which=failed", _PAGE)
    yield Look("sandbox", f"/sandbox?application={beside.application}")
    yield Look("a caught mail", f"/sandbox/{caught}", "@bench.example")
    yield Look("request log", "/logs")
    yield Look("request log, failed", "/logs?status=failed&period=all")
    yield Look("request log by path", "/logs?path=%2Femails%2Fbatch&period=all")
    yield Look("a request", f"/logs?open={request}&period=all", "resend-node")


OF_LIMITED: Final = (
    Look("overview of a small application", "/", "Accepted"),
    Look("messages of a small application", "/messages?period=all"),
    Look("messages of a small application, bounced", "/messages?period=all&state=bounced", _PAGE),
    Look("campaigns of a small application", "/campaigns", _PAGE),
)
"""What somebody asks for who sees one small application."""


def _one(connection: Connection, statement: str) -> tuple[object, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None, f"nothing is there: {statement}"
    return row
