"""What a click does to a document of blocks, and what stays of HTML that somebody typed or pasted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.refusal import Refused
from templates import document
from templates.blocks import read_document
from templates.build import Kind, Source, build
from templates.faults import SourceError
from templates.rich import cleaned, simple


def a_document() -> dict[str, Any]:
    """A, B, columns of C | D and E, F."""
    inside = [{"blocks": [_text("C")]}, {"blocks": [_text("D"), _text("E")]}]
    return {"blocks": [_text("A"), _text("B"), {"type": "columns", "columns": inside}, _text("F")]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def order(made: dict[str, Any]) -> str:
    return "".join(block.get("text", "|") for _, block in document.walk(made))


@pytest.mark.parametrize(
    ("path", "where", "index", "wanted", "at"),
    [
        ((0,), (), 1, "BA|CDEF", (1,)),
        ((3,), (), 0, "FAB|CDE", (0,)),
        ((0,), (), 99, "B|CDEFA", (3,)),
        ((0,), (2, 1), 1, "B|CDAEF", (1, 1, 1)),  # the columns are one place further up by then
        ((3,), (2, 0), 0, "AB|FCDE", (2, 0, 0)),
        ((2, 1, 0), (), 0, "DAB|CEF", (0,)),
        ((2, 1, 0), (2, 0), 1, "AB|CDEF", (2, 0, 1)),
        ((2,), (), 0, "|CDEABF", (0,)),
    ],
)
def test_a_block_is_moved(path: tuple[int, ...], where: tuple[int, ...], index: int, wanted: str, at: object) -> None:
    before = a_document()
    made, now = document.moved(before, path, where, index)

    assert (order(made), now) == (wanted, at)
    assert before == a_document(), "the one before is as it was"
    assert document.block_at(made, now) == document.block_at(before, path)


@given(st.data())
def test_moving_loses_and_doubles_nothing(data: st.DataObject) -> None:
    made = a_document()
    for _ in range(4):
        paths = [path for path, _ in document.walk(made)]
        path = data.draw(st.sampled_from(paths))
        where = data.draw(st.sampled_from([(), *((n, c) for n in range(4) for c in range(2))]))
        try:
            made, _ = document.moved(made, path, where, data.draw(st.integers(0, 5)))
        except Refused:  # no such column by now, or columns in columns
            continue
    assert sorted(order(made)) == sorted("AB|CDEF")


def test_columns_stand_neither_in_columns_nor_in_themselves() -> None:
    two = document.added(a_document(), (), 0, "columns")[0]
    for where in ((0, 0), (3, 0)):
        with pytest.raises(Refused):
            document.moved(two, (3,), where, 0)


def test_what_is_not_there_is_refused_and_nothing_else_happens() -> None:
    for path in ((9,), (0, 0, 0), (2, 9, 0), (2, 0, 9), ()):
        with pytest.raises(Refused, match="no such block"):
            document.removed(a_document(), path)
    for text in ("x", "1.", "-1", "1.2.3.4", "99999", "²"):
        with pytest.raises(Refused, match="no such block"):
            document.path_of(text)
    assert document.path_of("2.1.0") == (2, 1, 0)
    with pytest.raises(Refused, match="at least one"):
        document.removed({"blocks": [_text("A")]}, (0,))


def test_blocks_are_added_removed_doubled_shifted_and_changed() -> None:
    made, path = document.added(a_document(), (2, 1), 1, "button")
    assert (order(made), path) == ("AB|CDHave a lookEF", (2, 1, 1))
    assert order(document.removed(a_document(), (2, 1, 0))) == "AB|CEF"
    assert order(document.doubled(a_document(), (1,))[0]) == "ABB|CDEF"
    assert order(document.shifted(a_document(), (0,), -1)[0]) == "AB|CDEF", "it is the first already"
    assert document.shifted(a_document(), (2, 1, 0), 1)[1] == (2, 1, 1)
    changed = document.changed(a_document(), (0,), {"text": None, "html": "<p>A</p>"})
    assert changed["blocks"][0] == {"type": "text", "html": "<p>A</p>"}
    assert document.settled(a_document(), {"width": 700, "title": None})["settings"] == {"width": 700}


def test_fewer_columns_keep_what_was_in_the_others() -> None:
    assert order(document.with_columns(a_document(), (2,), 1)) == "AB|CDEF"
    assert [len(one["blocks"]) for one in document.with_columns(a_document(), (2,), 3)["blocks"][2]["columns"]] == [
        1, 2, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", list(document.NEW))
def test_every_new_block_can_be_built(kind: str) -> None:
    made, _ = document.added(dict(document.STARTER), (), 0, kind)
    assert read_document(made).blocks[0].type == kind
    assert build(Source(Kind.BLOCKS, document.written(made))).html


def test_each_type_of_block_is_offered() -> None:
    for kind in document.NEW:
        read_document({"blocks": [{"type": kind, **document.NEW[kind]}]})
    with pytest.raises(SourceError) as refused:
        read_document({"blocks": [{"type": "nothing"}]})
    known = set(str(refused.value).partition("there are ")[2].split(", "))
    assert set(document.NEW) == known


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", " JaVaScRiPt:x", "java\nscript:x", "\tvbscript:x", "data:text/html,x"]
)
@pytest.mark.parametrize("block", [
    {"type": "button", "text": "x"}, {"type": "image", "src": "x"}, {"type": "product", "title": "x"},
])  # fmt: skip
def test_a_link_that_runs_something_is_refused_by_its_place(address: str, block: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=r"blocks\[0\]\.href: a link begins with https://"):
        read_document({"blocks": [block | {"href": address}]})


def test_other_links_are_taken() -> None:
    for address in (
        "https://a.example/?x=javascript:",
        "mailto:a@b.example",
        "{{ link }}",
        "#top",
        "",
        "{{{UNSUBSCRIBE_URL}}}",
    ):
        assert read_document({"blocks": [{"type": "button", "text": "x", "href": address}]})


# HTML


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        ("<p>Hi <b>you</b></p>", "<p>Hi <b>you</b></p>"),
        ("<script>alert(1)</script><p>x</p>", "<p>x</p>"),
        ('<p onclick="alert(1)">x</p>', "<p>x</p>"),
        ('<img src=x onerror="alert(1)">', '<img src="x">'),
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="java\nscript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="https://a.example/?b=1&amp;c=2">x</a>', '<a href="https://a.example/?b=1&amp;c=2">x</a>'),
        ('<a href="{{ link }}">x</a>', '<a href="{{ link }}">x</a>'),
        ("<iframe src=//x></iframe><form><input></form>y", "y"),
        ("<svg><script>alert(1)</script></svg>z", "z"),
        ('<p style="color:red;position:fixed;background:url(//x)">x</p>', '<p style="color:red">x</p>'),
        ("{% if a < b %}x{% endif %}", "{% if a &lt; b %}x{% endif %}"),
        ('{{ "<script>" }}', "{{ &quot;&lt;script&gt;&quot; }}"),
        ('<a title="{{ name | default("x") }}">y</a>', '<a title="{{ name | default(&quot;x&quot;) }}">y</a>'),
        ("{{ open", "{{ open"),
    ],
)
def test_what_stays_of_html(given: str, stays: str) -> None:
    assert cleaned(given) == stays
    assert cleaned(stays) == stays, "once is enough"


def test_placeholders_mean_the_same_after_cleaning() -> None:
    text = '<p>{{ name | default("you & me") }}, {% if n > 2 and n < 5 %}some{% endif %}</p>'
    for written in (text, cleaned(text)):
        built = build(Source(Kind.BLOCKS, document.written({"blocks": [{"type": "text", "html": written}]})))
        assert '{{ name | default("you & me") }}' in built.html
        assert "{% if n > 2 and n < 5 %}" in built.html


@given(st.text("<>/abp \"'=&;{}%jsx:()\n", max_size=60))
def test_nothing_that_runs_stays(html: str) -> None:
    made = cleaned(html)
    assert cleaned(made) == made or "{" in html
    for word in ("<script", "javascript:", "<iframe", " on"):
        assert word not in made.lower() or word == " on"


def test_an_editor_of_texts_takes_what_it_can_keep() -> None:
    assert simple(
        '<p>Hi <b>you</b>, <a href="https://a.example">look</a><br>{{ x | default("<") }}</p><ul><li>a</li></ul>'
    )
    for html in ("<table></table>", '<p style="color:red">x</p>', "<img>", "<!-- x -->", "{{ open"):
        assert not simple(html), html
