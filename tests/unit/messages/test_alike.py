"""HTML that is like other HTML has its links where reading it would find them; where in doubt it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from messages.alike import Known, alike
from messages.link_tokens import LinkTokens
from messages.links import (
    CACHED,
    CACHED_BYTES,
    CACHED_IN_ALL,
    Template,
    Tracking,
    _changed,
    _follow,
    _known,
    _made,
    _parts,
    _Sample,
    template,
)

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


def known_as(html: str) -> _Sample:
    parts = _parts(html, TRACKING)
    return _Sample(Known(html, parts), _made(parts, TRACKING))


def cut_like(kind: _Sample, html: str) -> Template | None:
    """By what is known of its kind."""
    changes = alike(html, kind.known, lambda raw: _follow(raw, TRACKING))
    return None if changes is None else _changed(kind, changes, TRACKING)


def cut_alike(first: str, second: str) -> Template | None:
    """The second, by what is known of the first."""
    return cut_like(known_as(first), second)


def read(html: str) -> Template:
    """The same without any knowledge."""
    return _made(_parts(html, TRACKING), TRACKING)


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
    assert cut_alike(first, second) in (None, read(second))


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
        ('<a href="https://a.example" x <b>y</b>', " x ", " data-no-track "),
    ],
)
def test_what_stands_in_a_tag_behind_its_first_end_is_read(first: str, old: str, new: str) -> None:
    """Words in there are attributes, or part of an address, and addresses end what was open."""
    second = first.replace(old, new, 1)

    assert read(second) != read(first)
    assert cut_alike(first, second) in (None, read(second))


def test_where_the_tag_of_a_link_goes_on_no_words_are_looked_for() -> None:
    """It has no end of its own: what differs behind the address may be more of it."""
    kind = known_as("<a href=https://a.example x <b>y</b>")
    for more in (" z ", "/elsewhere ", "/elsewhere data-no-track "):
        odd = f"<a href=https://a.example{more}<b>y</b>"
        assert cut_like(kind, odd) in (None, read(odd))


def test_what_differs_nearly_everywhere_is_read() -> None:
    """To compare it would take longer."""
    words, addresses = ["<a href='https://a.example/'>%s<b>"] * 400, ["<a href='https://a.example/%s'>x<b>"] * 400
    for several in (words, addresses):
        first, second = ("".join(several).replace("%s", name) for name in ("Ann", "Bob"))
        assert cut_alike(first, second) is None

    few = "".join(words[:100])
    assert cut_alike(few.replace("%s", "Ann"), few.replace("%s", "Bob")) == read(few.replace("%s", "Bob"))


def test_mail_of_one_kind_is_read_once() -> None:
    made = [template(FIRST.replace("Ann", f"Ann {number}"), TRACKING) for number in range(3)]

    assert len(_known) == 1
    assert [f"Dear Ann {number}," in one.texts[0] for number, one in enumerate(made)] == [True] * 3
    assert {one.slots for one in made} == {made[0].slots}


def test_where_others_differed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = known_as(FIRST)
    others = [
        FIRST.replace("Ann", name).replace("17", order).replace("=1&", f"={order}&").replace("/'>", f"/{name}'>")
        for name, order in (("Bob", "4711"), ("Bartholomew", "9"), ("", "17"), ("\u00e9", "123456"))
    ]
    assert cut_like(kind, others[0]) == read(others[0])
    monkeypatch.setattr("messages.alike._end_of", lambda *_: -1)  # who compares all of it finds nothing

    assert [cut_like(kind, one) for one in others] == [read(one) for one in others]
    assert cut_like(kind, FIRST) == read(FIRST)
    assert cut_like(kind, others[0].replace("Bye", "Hi")) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Ann", "Ann<b>"), ("Ann", "it's"), ("Ann", 'a"b'), ("Ann", "a>b"), ("order=17", "order=1'7"),
        ("order=17", ""), ("order=17", "optout"), ("Bye", "Bye<p>"), ("</html>", "</html>\n"), ("<b>", "<i>"),
        ("data-x", "data-no-track"), ("see it", "see"),
    ],
)  # fmt: skip
def test_where_others_differed_may_still_be_more_than_words(old: str, new: str) -> None:
    kind = known_as(FIRST)
    cut_like(kind, FIRST.replace("Ann", "Bob").replace("order=17", "order=18").replace("Bye", "Hi"))
    odd = FIRST.replace(old, new)

    assert odd != FIRST
    assert cut_like(kind, odd) in (None, read(odd))


def test_words_that_may_be_more_are_not_kept_in_mind() -> None:
    kind = known_as("<p>it's Ann</p><a href='https://a.example'>x</a>")
    for name in ("Bob", "Carol's", "Di"):
        odd = f"<p>it's {name}</p><a href='https://a.example'>x</a>"
        assert cut_like(kind, odd) in (None, read(odd))

    assert kind.known.spots == ()


def kinds() -> list[str]:
    """HTML that is remembered, of the only end there is."""
    ((found, _),) = _known.values()
    return [kind.known.html for kind in found]


def test_kinds_of_mail_that_end_alike_are_known_side_by_side() -> None:
    others = [FIRST, *(FIRST.replace("<b>", f"<{tag}>") for tag in ("i", "u", "s"))]
    for number in range(9):
        for one in others:
            template(one.replace("Ann", str(number)), TRACKING)

    assert kinds() == [one.replace("Ann", "0") for one in reversed(others)]
    template(others[1], TRACKING)
    assert kinds()[0] == others[1].replace("Ann", "0")


def test_what_is_over_is_forgotten() -> None:
    """One more kind than there is room for has none while others go on, and takes the place of the oldest then."""
    others = [FIRST.replace("<b>", f"<{tag}>") for tag in ("b", "i", "u", "s")]
    new = FIRST.replace("<b>", "<tt>")
    for one in [*others, new, *others, new, *others]:
        template(one, TRACKING)
    assert kinds() == others[::-1]
    for number in range(9):
        template(new.replace("Ann", f"Bob {number}"), TRACKING)

    assert kinds() == [new.replace("Ann", "Bob 4"), *others[:0:-1]]


def test_only_so_much_html_is_kept() -> None:
    most = 0
    for number in range(200):
        template(f"{FIRST}<!-- {number} -->", TRACKING)
        template(f"<p>{FIRST}<!-- {number} -->", TRACKING)
        most = max(most, sum(len(kinds) for kinds, _ in _known.values()))
    assert most == CACHED
    for number in range(200):
        template(f"{FIRST}{'x' * 100_000}<!-- {number} -->", TRACKING)
        most = max(most, sum(len(kind.known.html) for kinds, _ in _known.values() for kind in kinds))
    assert CACHED_IN_ALL <= most < CACHED_IN_ALL + CACHED_BYTES


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
def _several(draw: st.DrawFn) -> list[str]:
    """HTML some times, with other words and addresses in each."""
    frame = draw(_FRAMES)
    return [_filled(frame, draw) for _ in range(4)]


def _filled(frame: str, draw: st.DrawFn) -> str:
    for sign, values in (("%w", _WORDS), ("%a", _ADDRESSES)):
        first, *others = frame.split(sign)
        frame = first + "".join(draw(values) + other for other in others)
    return frame


@given(_several())
def test_what_is_like_other_html_is_cut_as_if_it_had_been_read(several: list[str]) -> None:
    first, *others = several
    kind = known_as(first)

    for html in others:
        assert cut_like(kind, html) in (None, read(html))
