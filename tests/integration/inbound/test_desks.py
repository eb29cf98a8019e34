"""Reports at fbl@, abuse@ and postmaster@: placed by token or not at all, proven by their signature, kept and shown."""

import base64
import smtplib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import UnavailableError
from core.paging import Window
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.repository import find_email
from messages.timeline import EventKind
from mta import return_path
from mta.inbound_reports import ReceivedMail
from mta.loops import Loop
from mta.sign import DkimKey, dns_record, generate_rsa, load_key, sign
from outcomes import inbound
from outcomes.inbound import (
    KEPT,
    KEPT_OPEN,
    MOST_OF_MESSAGE,
    MOST_OPEN,
    forget_inbound,
    get_inbound,
    page_of_inbound,
    store_inbound,
)
from outcomes.reports import BATCH, ReportTools, Result, sweep
from store.database import Database
from suppression.adding import add
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from tests.integration.inbound.conftest import (
    SECRET,
    Account,
    SentMail,
    accepted_mail,
    delivered_mail,
    ended,
    later,
    offer,
    rows,
    talk_to,
)
from tests.unit.mta.bounce_corpus import CORPUS
from tests.unit.mta.no_bounce_corpus import ARF_ABUSE, ARF_NOT_SPAM
from workers.inbound import InboundServer

pytestmark = pytest.mark.timeout(60)

FBL = "fbl@mail.shop.example"
LOOP = Loop("Practice loop", "loop.example")


def token_of(mail: SentMail) -> str:
    return return_path.make_token(InstanceSecret.from_text(SECRET), *mail.ref)


def headers_only(header: str, kind: str = "abuse") -> bytes:
    """As Microsoft reports: no recipient, no addresses, nothing of our mail but its headers."""
    return (
        f"From: staff@loop.example\r\nTo: {FBL}\r\nSubject: FW: Sale\r\nDate: Sat, 28 Nov 2026 09:00:00 +0000\r\n"
        "Message-ID: <r1@loop.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=p\r\n\r\n"
        f"--p\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: Loop/1\r\n\r\n"
        f"--p\r\nContent-Type: text/rfc822-headers\r\n\r\n{header}\r\nSubject: Sale\r\n\r\n--p--\r\n"
    ).encode()


async def received(database: Database, *raws: bytes, to: str = FBL) -> None:
    async with database.transaction() as connection:
        await store_inbound(connection, [ReceivedMail(to, raw) for raw in raws])


async def results(database: Database) -> list[object]:
    return [result for (result,) in await rows(database, "SELECT result FROM inbound_mail ORDER BY id")]


async def kinds(database: Database, mail: SentMail) -> list[object]:
    found = await rows(database, "SELECT kind FROM events WHERE email_id = %s ORDER BY at", mail.ref.email_id)
    return [kind for (kind,) in found]


async def heard(database: Database, account: Account, mail: SentMail) -> str:
    """What the application is told of it."""
    async with database.connection() as connection:
        detail = await find_email(connection, account.application_id, mail.ref.email_id)
    assert detail is not None
    return detail.summary.heard


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("fbl@mail.shop.example", 250),
        ("ABUSE@Mail.Shop.Example", 250),
        ("postmaster@bounce.shop.example", 250),
        ("abuse@bounce.news.shop.example", 250),
        ("postmaster", 250),
        ("postmaster@shop.example", 550),
        ("sales@mail.shop.example", 550),
        ("abuse", 550),
    ],
)
async def test_the_desks_of_our_hosts_take_mail(
    server: InboundServer, account: Account, address: str, code: int
) -> None:
    def talk(client: smtplib.SMTP) -> int:
        client.mail("x@y.example")
        return client.rcpt(address)[0]

    assert await talk_to(server.bounces, talk) == code


async def test_who_brought_it_is_kept(server: InboundServer, account: Account, database: Database) -> None:
    raw = CORPUS["vacation"].data
    code, _ = await talk_to(server.bounces, lambda client: offer(client, "ann@isp.example", [FBL], raw))
    assert code == 250
    assert await rows(database, "SELECT envelope_to, mail_from, peer FROM inbound_mail") == [
        (FBL, "ann@isp.example", "127.0.0.1")
    ]


async def test_a_report_is_found_by_any_header_of_ours(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """By the return path, by our header alone, and by that in base64; the recipient is nowhere named."""
    mails = [await delivered_mail(database, account, Lane.MARKETING) for _ in range(3)]
    encoded = headers_only("X: x").replace(
        b"text/rfc822-headers\r\n\r\nX: x\r\nSubject: Sale\r\n",
        b"text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(f"Postlane-Ref: {token_of(mails[2])}\r\n".encode()),
    )
    await received(
        database,
        headers_only(f"Return-Path: <{mails[0].path}>"),
        headers_only(f"postlane-ref: {token_of(mails[1]).upper()}"),
        encoded,
    )
    assert await sweep(tools) == 3
    assert await results(database) == ["complained"] * 3
    for mail in mails:
        assert await kinds(database, mail) == ["delivered", "complained"]
    assert await rows(database, "SELECT address, scope, reason FROM suppressions") == [
        ("jana@firma.example", "marketing", "complaint")
    ]
    assert await rows(database, "SELECT DISTINCT placed_by FROM inbound_mail") == [("token",)]


async def test_a_bounce_at_a_desk_is_placed_too(account: Account, database: Database, tools: ReportTools) -> None:
    mail = await delivered_mail(database, account)
    raw = CORPUS["postfix, unknown user"].data.replace(
        b"Subject: Your order", b"Postlane-Ref: %b" % token_of(mail).encode()
    )
    await received(database, raw, to="postmaster@bounce.shop.example")
    assert await sweep(tools) == 1
    assert await kinds(database, mail) == ["delivered", "bounced"]


async def test_not_spam_takes_the_complaint_back_and_nothing_else(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """The suppression goes; an unsubscription that it had taken the place of stands again."""
    mail, other = [
        await delivered_mail(database, account, Lane.MARKETING, to) for to in ("ann@x.example", "bob@x.example")
    ]
    left = SuppressionEntry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, Source.LINK, "left")
    async with database.transaction() as connection:
        await add(connection, [Addition("bob@x.example", left)])
    spam = [headers_only(f"Postlane-Ref: {token_of(one)}") for one in (mail, other)]
    await received(database, *spam)
    assert await sweep(tools) == 2
    listed = "SELECT address, reason FROM suppressions ORDER BY address"
    assert await rows(database, listed) == [("ann@x.example", "complaint"), ("bob@x.example", "complaint")]

    good = [headers_only(f"Postlane-Ref: {token_of(one)}", "not-spam") for one in (mail, other)]
    await received(database, *good, good[0])
    assert await sweep(tools) == 3
    assert (await results(database))[2:] == ["withdrawn", "withdrawn", "repeated"]
    assert await rows(database, listed) == [("bob@x.example", "unsubscribe")]
    assert await kinds(database, mail) == ["delivered", "complained", "complaint_withdrawn"]
    assert await heard(database, account, mail) == ""

    await received(database, spam[0].replace(b"<r1@", b"<r2@"))
    assert await sweep(tools) == 1
    assert (await kinds(database, mail))[-1] == "complained", "and may complain again"
    assert await heard(database, account, mail) == "complained"


async def test_a_report_without_a_token_is_kept_and_raises_nothing(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    forged = return_path.make_token(InstanceSecret.from_text("7e" * 32), *mail.ref)
    quoting = f"Message-ID: <{mail.ref.email_id.hex}@shop.example>"
    await received(
        database, headers_only(f"Postlane-Ref: {forged}"), headers_only(quoting), ARF_ABUSE.lstrip().encode()
    )
    await received(database, CORPUS["postfix, unknown user"].data, to="postmaster@bounce.shop.example")
    assert await sweep(tools) == 4
    assert await results(database) == ["unplaced"] * 4
    assert await kinds(database, mail) == ["delivered"]
    assert await rows(database, "SELECT address FROM suppressions") == []
    async with database.connection() as connection:
        page = await page_of_inbound(connection, ["unplaced"], Window(3))
        assert (len(page.entries), page.has_more) == (3, True)
        shown = await get_inbound(connection, page.entries[0].id)
    assert shown is not None
    assert (shown[0].kind, shown[1]) == ("failed", CORPUS["postfix, unknown user"].data)


def _proving(tools: ReportTools, keys: Sequence[tuple[DkimKey, str]]) -> ReportTools:
    records = {f"{key.selector}._domainkey.{key.domain}": dns_record(public, key.algorithm) for key, public in keys}

    async def txt(name: str) -> list[str]:
        return [records[name]] if name in records else []

    return replace(tools, txt=txt, loops=(LOOP,))


async def test_a_known_loop_is_proven_by_its_signature(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """Without a token, by the Message-ID that we gave: counts when signed by the loop, and in no other case."""
    private, public = generate_rsa()
    ours = load_key("loop.example", "s1", private)
    strange = load_key("evil.example", "s1", private)
    mail = await delivered_mail(database, account)
    raw = headers_only(f"Message-ID: <{mail.ref.email_id.hex}@shop.example>")
    now = datetime.now(UTC)
    changed = sign(raw, [ours], now) + raw.replace(b"abuse", b"fraud")
    stranger = sign(raw, [strange], now) + raw
    await received(database, changed, stranger, sign(raw, [ours], now) + raw)
    proving = _proving(tools, [(ours, public), (strange, public)])
    assert await sweep(proving) == 3
    assert await results(database) == ["unplaced", "unplaced", "complained"]
    [(detail, placed)] = await rows(database, "SELECT detail, placed_by FROM inbound_mail WHERE result = 'complained'")
    assert ("Practice loop" in str(detail), placed) == (True, "message_id")
    assert await kinds(database, mail) == ["delivered", "complained"]


async def test_many_are_worked_through_in_one_batch_with_each_in_its_order(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """More than a batch; two about the same message, one about a message that is under way, one nobody understands."""
    mail, waiting = await delivered_mail(database, account), await accepted_mail(database, account)
    bounce = CORPUS["postfix, unknown user"].data
    async with database.transaction() as connection:
        await store_inbound(connection, [ReceivedMail(mail.path, bounce)] * (BATCH + 2))
        await store_inbound(connection, [ReceivedMail(waiting.path, bounce)])
        await store_inbound(
            connection, [ReceivedMail(mail.path, b"From: MAILER-DAEMON@x.example\nSubject: Hello\n\nWell.\n")]
        )
    assert await sweep(tools) == BATCH + 3
    found = await results(database)
    assert found == ["bounced", *["repeated"] * (MOST_OF_MESSAGE - 1), None]
    assert await rows(database, "SELECT sum(further) FROM inbound_mail") == [(BATCH + 3 - MOST_OF_MESSAGE,)]
    assert await kinds(database, mail) == ["delivered", "bounced"]
    await ended(database, waiting, EventKind.DELIVERED)
    await rows(database, "UPDATE inbound_mail SET due_at = now() WHERE result IS NULL RETURNING 1")
    assert await sweep(tools) == 1
    assert set(await kinds(database, waiting)) == {"delivered", "bounced"}
    counted = await rows(database, "SELECT sum(n) FROM outcome_counts WHERE outcome = 'late_bounced'")
    assert counted == [(2,)]


async def test_what_nobody_understood_stays_longer_and_is_bounded(
    account: Account, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_OPEN == 10_000
    monkeypatch.setattr(inbound, "MOST_OPEN", 3)
    await received(database, *[b"x"] * 6)
    for index, result, age in (
        (0, "bounced", KEPT + timedelta(hours=1)),
        (1, "unread", KEPT_OPEN + timedelta(hours=1)),
        (2, "unread", KEPT + timedelta(hours=1)),
        (3, "unplaced", timedelta()),
        (4, "ignored", timedelta()),
        (5, "unplaced", timedelta()),
    ):
        await rows(
            database,
            "UPDATE inbound_mail SET result = %s, received_at = now() - %s WHERE id ="
            " (SELECT id FROM inbound_mail ORDER BY id OFFSET %s LIMIT 1) RETURNING 1",
            result, age, index,
        )  # fmt: skip
    async with database.connection() as connection:
        assert await forget_inbound(connection) == 3
    assert await results(database) == ["unplaced", "ignored", "unplaced"]


async def test_auto_replies_are_ignored_and_say_what_they_are(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    await received(database, CORPUS["vacation"].data, CORPUS["read receipt"].data, to=mail.path)
    await received(database, ARF_NOT_SPAM.lstrip().encode())
    assert await sweep(tools) == 3
    assert await rows(database, "SELECT result, kind, placed_by FROM inbound_mail ORDER BY id") == [
        (Result.IGNORED, "auto_reply", "return_path"),
        (Result.IGNORED, "receipt", "return_path"),
        (Result.UNPLACED, "not_spam", None),
    ]


async def test_a_loop_whose_key_nobody_has_waits_and_is_shown_in_the_end(
    account: Account, database: Database, tools: ReportTools
) -> None:
    private, public = generate_rsa()
    ours = load_key("loop.example", "s1", private)
    mail = await delivered_mail(database, account)
    raw = headers_only(f"Message-ID: <{mail.ref.email_id.hex}@shop.example>")
    await received(database, sign(raw, [ours], datetime.now(UTC)) + raw)

    async def nobody(_name: str) -> list[str]:
        raise UnavailableError("no resolver")

    away = replace(tools, txt=nobody, loops=(LOOP,))
    assert await sweep(away) == 0
    assert await rows(database, "SELECT due_at > now() + interval '20 seconds' FROM inbound_mail") == [(True,)]
    due = "UPDATE inbound_mail SET due_at = now() RETURNING 1"
    await rows(database, due)
    assert await sweep(_proving(tools, [(ours, public)])) == 1
    assert await kinds(database, mail) == ["delivered", "complained"]

    await received(database, sign(raw, [ours], datetime.now(UTC)) + raw)
    await rows(database, due)
    assert await sweep(later(away, datetime.now(UTC) + timedelta(days=2))) == 1
    [(result, detail)] = await rows(database, "SELECT result, detail FROM inbound_mail ORDER BY id DESC LIMIT 1")
    assert (result, "nobody answered" in str(detail)) == ("unplaced", True)
