"""Every combination of answers to MAIL, RCPT and DATA: the first refusal is what comes back, no mail arrives that was
not sent whole, and a connection that says it can go on does."""

import asyncio
from itertools import product

import pytest

from mta.model import Phase, Response, Trouble
from mta.smtp_client import SmtpClient
from tests.smtp_sink import DROP, Offer, Rule, SmtpSink
from tests.unit.mta.test_smtp_client import BODY, QUICK, envelope

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

STEPS = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT)
EVERYWHERE = ("250 2.0.0 yes", "354 go on", "421 4.7.0 bye", "451 4.3.0 later", "550 5.0.0 no", DROP)
COMBINATIONS = [
    *product(EVERYWHERE, EVERYWHERE, EVERYWHERE, ("250 2.0.0 yes",)),
    *product(("250 2.0.0 yes",), ("250 2.0.0 yes",), ("354 go on",), EVERYWHERE),
]


def expected(replies: tuple[str, ...]) -> tuple[Phase, int, Trouble | None]:
    """What has to come back: the first answer that is not the one its step wants, else that to the dot."""
    for step, reply in zip(STEPS, replies, strict=True):
        if reply == DROP:
            return step, 0, Trouble.CLOSED
        code = int(reply[:3])
        if code // 100 in (4, 5):
            return step, code, None
        if (code == 354) != (step is Phase.DATA):
            return step, 0, Trouble.PROTOCOL
    return Phase.DOT, 250, None


async def exchanged(sink: SmtpSink) -> tuple[Response, Response | None]:
    """One mail by the rules of the sink, and a second one, without rules, if the connection says it can carry it."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: SmtpClient(loop, QUICK), sink.address, sink.port)
    try:
        assert await client.greet("out.test") is None
        first = await client.send(envelope())
        sink.rules.clear()
        return first, await client.send(envelope("next@x.test")) if client.usable else None
    finally:
        client.abort()


@pytest.mark.parametrize("offer", [Offer(), Offer(pipelining=False)], ids=["pipelined", "one by one"])
async def test_no_combination_of_answers_delivers_what_was_not_sent(offer: Offer) -> None:
    reused = 0
    for replies in COMBINATIONS:
        rules = [Rule(str(step), reply) for step, reply in zip(STEPS, replies, strict=True)]
        async with SmtpSink(*rules, offer=offer) as sink:
            first, second = await exchanged(sink)
        phase, code, trouble = expected(replies)
        assert (first.phase, first.code, first.trouble) == (phase, code, trouble), replies
        taken = phase is Phase.DOT and replies[3] in (DROP, "250 2.0.0 yes")
        arrived = ["bob@x.test"] * taken + ["next@x.test"] * (second is not None)
        assert [(mail.rcpt_to, mail.data) for mail in sink.mails] == [((to,), BODY) for to in arrived], replies
        assert second is None or second.code == 250, replies
        reused += second is not None
    assert reused > 20
