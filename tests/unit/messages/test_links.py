"""Links of an HTML body: which are tracked, which are left alone, and that nothing else changes by a byte."""

import re
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from messages.link_tokens import LONGEST, Kind, LinkTokens
from messages.links import _TELLTALE, _UNTRACKED, Template, Tracking, template, tracked

TOKENS = LinkTokens(InstanceSecret(b"s" * 32))
HOST = "https://links.shop.example"
CLICKS = Tracking(
    HOST, TOKENS.place_of("links.shop.example"), opens=False, clicks=True, own="https://mail.acme.example/"
)
BOTH = Tracking(HOST, CLICKS.place, opens=True, clicks=True)
OPENS = Tracking(HOST, CLICKS.place, opens=True, clicks=False)
EMAIL = UUID("01920000-0000-7000-8000-000000000001")
TRACKED = re.compile(re.escape(HOST) + r"/c/([A-Za-z0-9_-]+)")
TRAP = re.compile(r'<a href="[^"]+/t/[A-Za-z0-9_-]{44}" style="display:none" aria-hidden="true" tabindex="-1"></a>')


def targets(html: str) -> list[str]:
    """Where the tracked links of a body lead."""
    found = [TOKENS.read(Kind.CLICK, text) for text in TRACKED.findall(tracked(html, CLICKS, TOKENS, EMAIL, 3))]
    assert all(token is not None and (token.email_id, token.position) == (EMAIL, 3) for token in found)
    return [token.target for token in found if token is not None]


def undone(html: str) -> str:
    """The body with every tracked link put back; the hidden one taken out."""
    back = TRACKED.sub(lambda m: getattr(TOKENS.read(Kind.CLICK, m[1]), "target", "?"), html)
    return TRAP.sub("", back)


@pytest.mark.parametrize(
    ("html", "target"),
    [
        ('<a href="https://a.example/x">', "https://a.example/x"),
        ("<a href='http://a.example'>", "http://a.example"),
        ("<a href=https://a.example/x/>", "https://a.example/x/"),
        ('<A CLASS=b\n  HREF = "https://a.example/x"\n>', "https://a.example/x"),
        ('<a\thref="HTTPS://A.example/X">', "https://A.example/X"),
        ('<a/href="https://a.example/x">', "https://a.example/x"),
        ('<area shape=rect href="https://a.example/x">', "https://a.example/x"),
        ('<a href="https://a.example/?a=1&amp;b=2">', "https://a.example/?a=1&b=2"),
        ('<a href="https://a.example/?a=1&b=2">', "https://a.example/?a=1&b=2"),
        ('<a href="https://a.example/?a=1&copy=2&amp;para=3">', "https://a.example/?a=1&copy=2&para=3"),
        ('<a href="https://a.example/?a=1&copyright=2">', "https://a.example/?a=1&copyright=2"),
        (f'<a href="https://a.example/&#{"0" * 5000}65;">', "https://a.example/%EF%BF%BD"),
        ('<a href="&#104;ttps://a.example/&#x78;">', "https://a.example/x"),
        ('<a href=" https://a.example/\r\n  x ">', "https://a.example/%20%20x"),
        ('<a href="https://a.example/a b|c">', "https://a.example/a%20b%7Cc"),
        ('<a href="https://a.example/caf\u00e9?q=\u00e4#\u00fc">', "https://a.example/caf%C3%A9?q=%C3%A4#%C3%BC"),
        ('<a href="https://b\u00fccher.example/">', "https://xn--bcher-kva.example/"),
        ('<a href="https://a.example/x#part">', "https://a.example/x#part"),
        ('<a href="https://a.example/?u=https://b.example/%2F">', "https://a.example/?u=https://b.example/%2F"),
        ('<a title="a > b" href="https://a.example/x">', "https://a.example/x"),
        ('<a title="it\'s" href="https://a.example/x">', "https://a.example/x"),
        ('<a title=it\'s href="https://a.example/x">', "https://a.example/x"),
        ('<td width="100""><a href="https://a.example/x">', "https://a.example/x"),
        ('<a href="https://a.example/x" href="https://b.example">', "https://a.example/x"),
        ('<!--[if mso]><v:roundrect href="https://a.example/x"><![endif]-->', "https://a.example/x"),
        ('<!--[if !mso]><!--><a href="https://a.example/x"><!--<![endif]-->', "https://a.example/x"),
        ('<!--><a href="https://a.example/x">', "https://a.example/x"),
        ('<style>a{}</style><a href="https://a.example/x">', "https://a.example/x"),
        ('<noscript><a href="https://a.example/x"></noscript>', "https://a.example/x"),
        ('a < b <a href="https://a.example/x">', "https://a.example/x"),
    ],
)
def test_a_link_is_found_as_a_browser_finds_it(html: str, target: str) -> None:
    assert targets(html) == [target]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:a@b.example">', '<a href="tel:+1">', '<a href="sms:+1">', '<a href="#top">', '<a href="">',
        '<a href="/relative">', '<a href="//a.example/x">', '<a href="cid:1">', "<a href>",
        '<a href="ftp://a.example">',
        '<a href="javascript:alert(1)">', '<a href="data:text/html,x">', '<a name="x">', "<a>",
        '<a href="{{link}}">', '<a href="https://a.example/{{id}}">', '<a href="*|LINK|*">', '<a href="[[url]]">',
        '<a href="https://a.example/unsubscribe?u=1">', '<a href="https://a.example/Opt-Out">',
        '<a href="https://mail.acme.example/p/abc">', f'<a href="{HOST}/c/abc">',
        '<a data-no-track href="https://a.example">', '<a href="https://a.example" DATA-NO-TRACK="">',
        '<a data-pm-no-track href="https://a.example">', '<a ses:no-track href="https://a.example">',
        '<a clicktracking=off href="https://a.example">', '<a disable-tracking="TRUE" href="https://a.example">',
        '<!-- <a href="https://a.example"> -->', "<!-- <a href='https://a.example'>", "<!--a--!><b>",
        '<![CDATA[ <a href="https://a.example"> ]]>', '<style><!-- <a href="https://a.example"> --></style>',
        '<script>"<a href=https://a.example>"</script>', '<title><a href="https://a.example"></title>',
        '<img alt="<a href=https://a.example>">', '<abbr href="https://a.example">', '<link href="https://a.example">',
        '<img src="https://a.example/i.png">', '<a data-href="https://a.example">', '<a href="https://a.example"',
        '<a href="https:\\\\a.example">', '<a href="https://a.example\\x">', '<a href="https://">',
        '<a href="https://a.example/\x01x">', '<a href="https://a b.example/">',
        f'<a href="https://a.example/{"x" * LONGEST}">',
    ],
)  # fmt: skip
def test_what_is_not_to_be_tracked_stays_as_it_is(html: str) -> None:
    assert tracked(html, CLICKS, TOKENS, EMAIL, 0) == html


@pytest.mark.parametrize("name", ["style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes"])
def test_names_that_only_begin_like_those_of_raw_text_hide_nothing(name: str) -> None:
    """Tags are told apart by their first two letters where that is enough."""
    link = '<a href="https://a.example/x">'
    for hiding in (name, name.upper(), f"{name} x=y", f"{name}/"):
        assert targets(f"<{hiding}>{link}</{name}>{link}") == ["https://a.example/x"]
    for open_one in (name[:1], name[:2], name[:-1], f"{name}s", f"{name[:2]}=", f"{name[:1]}=", "b", "br", "abbr", "v"):
        assert targets(f"<{open_one}>{link}</{open_one}>{link}") == ["https://a.example/x"] * 2
    assert targets(f"</ {name}>{link}</{name}{link}{link}") == ["https://a.example/x"] * 2


def test_every_attribute_that_forbids_tracking_is_seen_behind_an_address() -> None:
    assert all(_TELLTALE in name for name in _UNTRACKED)
    for name, value in _UNTRACKED.items():
        html = f'<a href="https://a.example/x" class=b {name.upper()}="{value}">'
        assert tracked(html, CLICKS, TOKENS, EMAIL, 0) == html
    assert targets('<a href="https://a.example/x" title="tracking" clicktracking=on>') == ["https://a.example/x"]


def test_bytes_outside_the_links_stay() -> None:
    html = "<html>\r\n<BODY bgcolor=white>\t\u00a0\u00e9&nbsp;\n<a  href = 'https://a.example/x'  id=1>x</a></BODY>\n"
    assert undone(tracked(html, CLICKS, TOKENS, EMAIL, 0)) == html


def test_pixel_and_hidden_link_stand_before_the_end_of_the_body() -> None:
    html = '<body><!-- </body> --><a href="https://a.example">x</a></BODY ></html>'
    made = tracked(html, BOTH, TOKENS, EMAIL, 0)
    assert re.search(r'</a><a href="[^"]+/t/[^"]+"[^>]*></a><img src="[^"]+/o/[^"]+\.gif"[^>]*/></BODY ></html>$', made)


@pytest.mark.parametrize("behind", ["", "<p>x</p>", "</html>"])
def test_a_link_behind_the_end_of_the_body_stays_whole(behind: str) -> None:
    html = f'<body>x</body><a href="https://a.example">x</a>{behind}'
    made = tracked(html, BOTH, TOKENS, EMAIL, 0)
    assert undone(re.sub(r"<img[^>]*/>", "", made)) == html
    assert made.endswith(" />")


@pytest.mark.parametrize("html", ["<p>hello", "", "hello</html>", "<body>x</body><!-- </body> -->"])
def test_the_pixel_finds_a_place_in_every_body(html: str) -> None:
    made = tracked(html, OPENS, TOKENS, EMAIL, 0)
    token = re.search(r"/o/([A-Za-z0-9_-]+)\.gif", made)
    assert token is not None
    assert TOKENS.read(Kind.OPEN, token[1]) is not None
    assert re.sub(r"<img[^>]*/>", "", made) == html


def test_without_links_there_is_no_hidden_one() -> None:
    assert tracked("<p>hello</p>", CLICKS, TOKENS, EMAIL, 0) == "<p>hello</p>"


def test_one_content_is_read_once_for_all_recipients() -> None:
    html = '<a href="https://a.example/once">'
    assert template(html, CLICKS) is template(html, CLICKS)
    assert isinstance(template(html, CLICKS), Template)
    assert len({tracked(html, CLICKS, TOKENS, EMAIL, position) for position in range(50)}) == 50


_PIECES = st.sampled_from(
    ['<a href="https://a.example/x?a=1&b=2">', "<a href=https://a.example>", "<!--", "-->", "<!--[if mso]>",
     "<![CDATA[", "]]>", "<style>", "</style>", "</body>", "<a ",
     'href="', "'", '"', ">", "=", "&amp;", "\u00e9", "x", " ", "<"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_whatever_the_html_is_only_links_change(html: str) -> None:
    assert undone(tracked(html, CLICKS, TOKENS, EMAIL, 0)) == html


@pytest.mark.parametrize(
    "piece",
    ["<a ", '<a href="', "<!--[if ", "<style>", "<style></styl", "<!-", "<![CDATA[ ]", '="', '<b a="<', "a", "&a"],
)
def test_no_html_takes_more_than_its_length(piece: str) -> None:
    """Four times as much takes about four times as long, and not sixteen."""

    def seconds(times: int) -> float:
        html = piece * times
        started = time.process_time()
        template(html, CLICKS)
        return time.process_time() - started

    assert seconds(40_000) < 10 * max(seconds(10_000), 0.02)
