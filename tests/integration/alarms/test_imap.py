"""Where a mail lies in a mailbox, asked of real IMAP servers; and what is said when it cannot be asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from alarms.imap import MailboxError, Place, look_for
from alarms.seeds import Account
from mta.guard import PUBLIC, Guard, networks
from tests.imap_server import KINDS, PASSWORD, USER, Mailbox, mailbox

HERE = Guard(networks(["127.0.0.0/8"]))
IDS = ("<1.inbox@acme.example>", "<2.junk@acme.example>", "<3.elsewhere@acme.example>", "<4.nowhere@acme.example>")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(params=KINDS)
async def box(request: pytest.FixtureRequest, authority: trustme.CA) -> AsyncIterator[Mailbox]:
    async with mailbox(request.param, authority.issue_cert("127.0.0.1")) as running:
        yield running


async def found(account: Account, context: ssl.SSLContext, *ids: str, guard: Guard = HERE) -> dict[str, Place]:
    return await asyncio.to_thread(look_for, account, ids, context, guard)


async def test_each_mail_is_found_where_it_lies(box: Mailbox, trusting: ssl.SSLContext) -> None:
    for message_id, folder in zip(IDS, ("INBOX", "Junk", "Promotions"), strict=False):
        box.deliver(message_id, folder)
    for tls, port in (("tls", box.tls), ("none", box.plain)):
        places = await found(Account("127.0.0.1", port, tls, USER, PASSWORD), trusting, *IDS)
        assert places == {
            IDS[0]: Place("inbox", "INBOX"), IDS[1]: Place("spam", "Junk"), IDS[2]: Place("other", "Promotions"),
        }  # fmt: skip


async def test_reading_changes_nothing(box: Mailbox, trusting: ssl.SSLContext) -> None:
    box.deliver(IDS[0])
    account = Account("127.0.0.1", box.tls, "tls", USER, PASSWORD)
    assert list(await found(account, trusting, IDS[0])) == [IDS[0]]
    assert {file.name.rpartition(",")[2] for file in (box.folder / "mail" / "cur").iterdir()} == {""}
    if box.commands:
        assert "SELECT" not in box.commands


async def test_a_mailbox_behind_us_is_not_spoken_to(box: Mailbox, trusting: ssl.SSLContext) -> None:
    for tls, port in (("tls", box.tls), ("none", box.plain)):
        for host in ("127.0.0.1", "localhost", "0177.1", "2130706433", "::ffff:127.0.0.1"):
            with pytest.raises(MailboxError, match="not a public address, nor in a network that POSTLANE_SERVER"):
                await found(Account(host, port, tls, USER, PASSWORD), trusting, *IDS, guard=PUBLIC)


async def test_trouble_is_told_in_words(box: Mailbox, trusting: ssl.SSLContext) -> None:
    with pytest.raises(MailboxError, match=r"127\.0\.0\.1: .*(AUTHENTICATIONFAILED|failed)"):
        await found(Account("127.0.0.1", box.tls, "tls", USER, "wrong"), trusting, *IDS)
    with pytest.raises(MailboxError, match="certificate verify failed"):
        await found(Account("127.0.0.1", box.tls, "tls", USER, PASSWORD), ssl.create_default_context(), *IDS)
    with pytest.raises(MailboxError, match="refused"):
        await found(Account("127.0.0.1", 1, "tls", USER, PASSWORD), trusting, *IDS)
