"""The product reads what the simulated providers say as they mean it: a wrong lesson would be worse than none."""

import pytest

from mta.model import Action, Phase, Response, Scope
from mta.replies import classify
from mta.reply_parser import ReplyParser, response_of
from simulator.model import Stage
from simulator.replies import STYLES, fill

PHASES = {Stage.BANNER: Phase.BANNER, Stage.MAIL: Phase.MAIL, Stage.RCPT: Phase.RCPT, Stage.DOT: Phase.DOT}


def said(style: str, field: str, phase: Phase) -> Response:
    text = fill(
        getattr(STYLES[style], field),
        id="1f",
        host="mx.test",
        ip="127.0.1.2",
        rcpt="b@x.sim",
        domain="x.sim",
        seconds=5,
    )
    parser = ReplyParser()
    parser.feed(text.encode() + b"\r\n")
    (reply,) = parser.replies
    return response_of(phase, reply)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("known", [True, False])
def test_each_refusal_blames_what_it_means(style: str, known: bool) -> None:
    provider = style if known else ""
    throttled = classify(said(style, "throttle", PHASES[STYLES[style].throttle_stage]), provider)
    assert (throttled.action, throttled.scope) == (Action.THROTTLE_IP, Scope.IP)
    for phase in (Phase.BANNER, Phase.MAIL, Phase.RCPT, Phase.DOT):
        blocked = classify(said(style, "block", phase), provider)
        assert (blocked.action, blocked.scope, blocked.suppress) == (Action.THROTTLE_IP, Scope.IP, False)
    spam = classify(said(style, "spam", Phase.DOT), provider)
    assert (spam.action, spam.scope) == (Action.BLOCK, Scope.MESSAGE)
    unknown = classify(said(style, "unknown", Phase.RCPT), provider)
    assert (unknown.action, unknown.suppress) == (Action.BOUNCE, True)
    full = [classify(said(style, field, Phase.RCPT), provider) for field in ("full", "full_permanent")]
    assert [(one.klass, one.suppress) for one in full] == [("mailbox_full", False)] * 2
    greylisted = classify(said(style, "greylist", Phase.RCPT), provider)
    assert (greylisted.action, greylisted.klass) == (Action.RETRY_SAME_IP, "greylisted")


def test_the_microsoft_like_one_throttles_in_the_words_of_the_february_wave() -> None:
    response = said("microsoft", "throttle", Phase.MAIL)
    assert (response.code, response.enhanced) == (451, "4.7.650")
    assert "(S775)" in response.text
    assert classify(response, "microsoft").rule == "microsoft-ip-rate"
