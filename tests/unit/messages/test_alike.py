"""HTML that is like other HTML has its links where reading it would find them; where in doubt it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from messages.alike import Known, Parts, alike
from messages.link_tokens import LinkTokens
from messages.links import Tracking, _cached, _follow, _known, _parts, template

TRACKING = Tracking(
    "https://t.example", LinkTokens(InstanceSecret(b"s" * 32)).place_of("t.example"), opens=True, clicks=True
)
FIRST = (
    "<html><head><style>a{}</style></head><body title='a b'><!-- c --><p>Dear Ann,</p>your order 17 of <b>May</b>"
    '<a href="https://a.example/?order=17&amp;x=1" data-x="1">see it</a> or <a href="mailto:x@a.example">write</a>'
    "<a href='https://a.example/'>home</a>Bye</body></html>"
)


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    """Of other tests."""
    _known.clear()
    _cached.cache_clear()


def cut_alike(first: str, second: str) -> Parts | None:
    """The second, by what is known of the first."""
    return alike(second, Known(_parts(first, TRACKING)), lambda raw: _follow(raw, TRACKING))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Ann", "Bartholomew"), ("Dear Ann,", ""), ("order 17 of", "order 4711 & more of"), ("Bye", "See you"),
        ("=17&amp;", "=18&amp;y=&lt;&amp;"), ("https://a.example/'", "https://b.example/?b'"), ("see it", "look"),
        (" c ", " d "), ("a.example", "ab.example"), ("nothing", "the same"), ("a{}", "p{}"), ("write", "\u00e9"),
    ],
)  # fmt: skip
def test_other_words_and_addresses_need_no_reading(old: str, new: str) -> None:
    second = FIRST.replace("mailto:x@a.example", "mailto:x@c.example").replace(old, new)
    first = FIRST.replace("mailto:x@a.example", "mailto:x@c.example")

    assert second != first or old == "nothing"
    assert (cut_alike(first, second) is None) == (old == " c ")
    assert cut_alike(first, second) in (None, _parts(second, TRACKING))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Ann", "<a href='https://evil.example'>Ann</a>"), ("Ann", "<!-- "), ("Ann", "Ann's"), ("17 of", "17> of"),
        ("https://a.example/?order=17&amp;x=1", "https://a.example/unsubscribe"), ('data-x="1"', "data-no-track"),
        ("https://a.example/?order=17&amp;x=1", ""), ("mailto:x@a.example", "https://b.example"), ("</body>", ""),
        ("</b>", ""), ("Bye", 'Bye</body><a href="https://b.example">'), ("</html>", "</html> "), ("<style>", "<p>"),
        ('href="https', "href='https"), ("</html>", ""), ("<html>", ""), ("https://a.example/'", "https://b.example/?<b>'"),
    ],
)  # fmt: skip
def test_what_may_mean_more_than_words_is_read(old: str, new: str) -> None:
    second = FIRST.replace(old, new, 1)

    assert second != FIRST
    assert cut_alike(FIRST, second) is None


@pytest.mark.parametrize(
    ("first", "old", "new"),
    [
        ('<a title=">" x <b href="https://a.example">', " x ", " data-no-track "),
        ('<a title=">" x <b href="https://a.example">', "x", "href=https://b.example"),
        ('<td title=">" x <="><a href="https://a.example">y</a>">', "x", "x="),
        ('<td a=\'>y<b><a href="https://a.example/1">', "/1", "/'1"),
        ("<a title=\"y href='https://a.example/1'>", "/1", '/"1'),
        ('<a href="https://a.example/?<b>{{y}}</b>">', "{{y}}", "y"),
        ('<a = href="https://a.example/1"<i>y</i>\'', "/1", "/>1<"),
        ('<a = href= "https://a.example/1" b><a href="https://a.example/2">', "/1", "/?1="),
    ],
)
def test_what_stands_in_a_tag_behind_its_first_end_is_read(first: str, old: str, new: str) -> None:
    """Words in there are attributes, or part of an address, and addresses end what was open."""
    second = first.replace(old, new, 1)

    assert _parts(second, TRACKING) != _parts(first, TRACKING)
    assert cut_alike(first, second) in (None, _parts(second, TRACKING))


def test_mail_of_one_kind_is_read_once() -> None:
    made = [template(FIRST.replace("Ann", f"Ann {number}"), TRACKING) for number in range(3)]

    assert len(_known) == 1
    assert [f"Dear Ann {number}," in one.texts[0] for number, one in enumerate(made)] == [True] * 3
    assert {one.slots for one in made} == {made[0].slots}


def test_kinds_of_mail_that_end_alike_take_turns_and_what_is_over_is_forgotten() -> None:
    other = FIRST.replace("<b>", "<i>")
    template(FIRST, TRACKING)
    ((known, _),) = _known.values()
    for number in range(9):
        template(other.replace("Ann", str(number)), TRACKING)
        template(FIRST.replace("Ann", str(number)), TRACKING)
    assert [*_known.values()] == [(known, 0)]
    for number in range(9):
        template(other.replace("Ann", f"Bob {number}"), TRACKING)
    assert [one is known for one, _ in _known.values()] == [False]


def test_only_so_many_kinds_of_mail_are_kept() -> None:
    """And one that changes takes its own place."""
    for number in range(64):
        template(f"{FIRST}<!-- {number} -->", TRACKING)
    kept = [*_known]
    for number in range(9):
        template(f"<p>{number}</p>{FIRST}<!-- 7 -->", TRACKING)
    assert [*_known] == kept
    for number in range(200):
        template(f"{FIRST}<!-- {number} -->", TRACKING)

    assert 0 < len(_known) <= 64


_WORDS = st.sampled_from(
    ["", "x", "Ann", "it's", '"', "a=b", "--", "&amp;", "\u00e9", "/", "!", "]", "-", "a=", "data-no-track", "{{x}}"]
)
_ADDRESSES = st.sampled_from(
    ["https://a.example", "https://a.example/?a=1&b=2", "http://b.example/'x", 'http://b.example/"x', "mailto:a", "",
     "https://a.example/>x<", "https://a.example/>{{x}}<"]
)  # fmt: skip
_FRAMES = st.lists(
    st.sampled_from(
        ['<a href="%a">', "<a href='%a'>", "<a href=%a>", "<a title='%w' href=\"%a\" %w>", "<p>", "</p>", "%w", "%w",
         "<!--", "-->", "<!--[if mso]>", "<![CDATA[", "]]>", "<style>", "</style>", "</body>", "<td a='%w'>", "<", ">",
         "<td a=%w>", "'", '"', "=", "<a title='>' href='%a' %w <b>", "<td a='>%w<b>", "<a title=\"%w href='%a'>"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@st.composite
def _two(draw: st.DrawFn) -> tuple[str, str]:
    """HTML twice, with other words and addresses in the second."""
    frame = draw(_FRAMES)
    return tuple(_filled(frame, draw) for _ in range(2))  # type: ignore[return-value]  # two of them


def _filled(frame: str, draw: st.DrawFn) -> str:
    for sign, values in (("%w", _WORDS), ("%a", _ADDRESSES)):
        first, *others = frame.split(sign)
        frame = first + "".join(draw(values) + other for other in others)
    return frame


@given(_two())
def test_what_is_like_other_html_is_cut_as_if_it_had_been_read(two: tuple[str, str]) -> None:
    first, second = two

    assert cut_alike(first, second) in (None, _parts(second, TRACKING))
