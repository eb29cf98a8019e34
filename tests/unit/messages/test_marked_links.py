"""Links of a campaign's template: found once in the source, filled in for each person after rendering."""

import re
from uuid import UUID

from core.secrets import InstanceSecret
from messages.link_tokens import HEAD, LONGEST, Kind, LinkTokens, payload_of
from messages.links import Tracking, _followed, marked, tracked
from templates.render import compile_text

EMAIL = UUID("01929af2-0000-7000-8000-000000000001")
TOKENS = LinkTokens(InstanceSecret.from_text("x" * 64))
TRACKING = Tracking(
    "https://t.example", TOKENS.place_of("t.example"), True, True, own="https://us.example/", mark=TOKENS.mark()
)
SOURCE = (
    '<html><body><p>Hello {{ name }}</p><a href="https://shop.example/?a=1&amp;b=2">shop</a>'
    '<a href="https://shop.example/for/{{ code }}?x=1">yours</a><a href="{{{UNSUBSCRIBE_URL}}}">leave</a></body></html>'
)


def sent(source: str, **variables: object) -> str:
    found = marked(source, TRACKING)
    html = compile_text(found.source, html=True).render({"UNSUBSCRIBE_URL": "{{{UNSUBSCRIBE_URL}}}", **variables})
    return found.filled(html, TOKENS, payload_of(EMAIL, 0, TRACKING.place))


def targets(html: str) -> list[str]:
    tokens = re.findall(r"https://t\.example/c/([\w-]+)", html)
    return [token.target for text in tokens if (token := TOKENS.read(Kind.CLICK, text))]


def test_every_link_leads_where_the_rendered_one_leads() -> None:
    html = sent(SOURCE, name="Ann", code="a&b")

    assert targets(html) == ["https://shop.example/?a=1&b=2", "https://shop.example/for/a&b?x=1"]
    assert '<a href="{{{UNSUBSCRIBE_URL}}}">' in html
    assert html.count("https://t.example/o/") == html.count("https://t.example/t/") == 1
    assert TRACKING.mark not in html


def test_it_is_what_tracking_after_rendering_makes() -> None:
    plain = compile_text(SOURCE, html=True).render(
        {"name": "Ann", "code": "7", "UNSUBSCRIBE_URL": "https://us.example/u/1"}
    )
    after = tracked(plain, TRACKING, TOKENS, EMAIL, 0)

    assert sent(SOURCE, name="Ann", code="7", UNSUBSCRIBE_URL="https://us.example/u/1") == after


def test_a_person_cannot_write_a_link_of_ours() -> None:
    """Marks are secret: what a name holds is text."""
    for name in ("@0;", "@(https://evil.example@)", TRACKING.mark[:-1] + "(https://evil.example)"):
        assert targets(sent(SOURCE, name=name, code="1")) == targets(sent(SOURCE, name="Ann", code="1"))


def test_a_persons_link_that_is_too_long_is_not_kept() -> None:
    before = _followed.cache_info()
    html = sent('<a href="https://shop.example/{{ code }}">', code="x" * LONGEST)

    assert targets(html) == []
    assert _followed.cache_info() == before


def test_a_link_behind_the_end_of_the_body_stays_whole() -> None:
    html = sent('<body>x</body><a href="https://a.example">{{ name }}</a>', name="Ann")

    assert re.fullmatch(r'<body>x</body><a href="[^"<>]+">Ann</a><a [^<>]+></a><img [^<>]+ />', html)


def test_a_link_that_must_not_be_tracked_stays_as_its_person_gets_it() -> None:
    html = sent('<a href="mailto:{{ who }}">write</a>', who="a@b.example")

    assert '<a href="mailto:a@b.example">' in html
    assert len(re.findall(rf"/o/[\w-]{{{HEAD}}}\.gif", html)) == 1
