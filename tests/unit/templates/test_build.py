"""From HTML, MJML and blocks to mail: what comes out, what is said of what is wrong, and what is never handed to the
libraries."""

import re
import subprocess
import sys
from typing import Any

import orjson
import pytest

from templates.build import Built, Kind, Source, build, compiled
from templates.checks import remarks_on, shingles
from templates.faults import SourceError
from templates.markup import objection

VALUES = {"first_name": "Ann", "items": [{"name": "Tea", "url": "https://x.example/?a=1&b=2"}, {"name": "R&B"}]}


def mjml(inside: str) -> Source:
    return Source(Kind.MJML, f"<mjml><mj-body>\n{inside}\n</mj-body></mjml>", "Hi")


def column(inside: str) -> Source:
    return mjml(f"<mj-section><mj-column>\n{inside}\n</mj-column></mj-section>")


def blocks(*given: dict[str, Any], **settings: Any) -> Source:
    return Source(Kind.BLOCKS, orjson.dumps({"blocks": given, "settings": settings}).decode(), "Hi")


def rendered(source: Source | Built, **values: Any) -> str:
    built = source if isinstance(source, Built) else build(source)
    return compiled(built).html.render(VALUES | values)


def refused(source: Source, *layouts: Source) -> list[str]:
    with pytest.raises(SourceError) as caught:
        build(source, layouts)
    return [str(fault) for fault in caught.value.faults]


def test_html_stays_as_it_is() -> None:
    body = "<table>{% for a in b %}<tr {{ c }}><td>x{% endfor %}<p STYLE=color:red>{{{UNSUBSCRIBE_URL}}}"

    assert build(Source(Kind.HTML, body)).html == body


def test_placeholders_survive_mjml_and_styles_wherever_they_stand() -> None:
    source = column(
        """{% for item in items %}
        <mj-text color="{{ colour | default('red') }}">
          <a href="{{ item.url | default("https://y.example/?c=1&d=2") }}" title='{{ item.name }}'>{{ item.name }}</a>
          {% if loop.first %}first{% endif %} a < b
        </mj-text>{% endfor %}
        <mj-button href="https://x.example/{{ first_name }}?a=1&amp;b={{{none|z}}}">Hi {{ first_name }}</mj-button>
        <mj-table>{% for item in items %}<tr><td>{{ item.name }}</td></tr>{% endfor %}</mj-table>
        <mj-text><a href="{{{RESEND_UNSUBSCRIBE_URL}}}">Unsubscribe</a></mj-text>"""
    )

    html = rendered(source)

    assert 'title="R&amp;B">R&amp;B</a>' in html.replace(' style="color: red"', "")
    assert 'href="https://x.example/?a=1&amp;b=2"' in html
    assert 'href="https://y.example/?c=1&amp;d=2"' in html
    assert html.count("first") == 1
    assert 'href="https://x.example/Ann?a=1&amp;b=z"' in html
    assert html.count("<tr><td") >= 2
    assert (
        html.index("Tea</td>") < html.index("R&amp;B</td>") < html.index("</tbody></table>", html.index("R&amp;B</td>"))
    )
    assert 'href="{{{RESEND_UNSUBSCRIBE_URL}}}"' in html
    assert not re.search("pq[0-9a-f]{16}z", html)


@pytest.mark.parametrize(
    "around",
    [
        "{0}<mj-section><mj-column><mj-text>One</mj-text></mj-column></mj-section>{1}",
        "<mj-section>{0}<mj-column><mj-text>One</mj-text></mj-column>{1}</mj-section>",
        "<mj-section><mj-column>{0}<mj-text>One</mj-text>{1}</mj-column></mj-section>",
        "<mj-wrapper>{0}<mj-section><mj-column><mj-text>One</mj-text></mj-column></mj-section>{1}</mj-wrapper>",
        "<mj-section><mj-group>{0}<mj-column><mj-text>One</mj-text></mj-column>{1}</mj-group></mj-section>",
        "<mj-hero>{0}<mj-text>One</mj-text>{1}</mj-hero>",
        "<mj-section><mj-column><mj-text>{0}One{1}</mj-text></mj-column></mj-section>",
    ],
)
def test_loops_stand_between_any_elements(around: str) -> None:
    content = compiled(build(mjml(around.format("{% for n in range(3) %}", "{% endfor %}"))))

    html = content.html.render({})

    assert html.count("One") == 3
    assert html.count("<!--[if") == html.count("<![endif]-->")
    assert "".join(content.text.render({}).split()) == "OneOneOne"


def test_styles_go_into_elements_and_nothing_is_fetched() -> None:
    source = Source(
        Kind.MJML,
        "<mjml><mj-head><mj-style>.x div{border:0} a:hover{color:blue} @media (max-width:9px){.x{color:green}}"
        '</mj-style><mj-raw><link rel="stylesheet" href="http://127.0.0.1:9/x.css"></mj-raw></mj-head><mj-body>'
        '<mj-section><mj-column><mj-text css-class="x">X</mj-text></mj-column></mj-section></mj-body></mjml>',
    )

    html = build(source).html

    assert "border: 0" in html.split("<body")[1]
    assert "a:hover" in html
    assert "@media (max-width:9px)" in html
    assert "fonts.googleapis.com" not in html


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        (
            "<mjml>\n<mj-body>\n<mj-sectoin />\n</mj-body></mjml>",
            ["line 3: there is no element <mj-sectoin>: did you mean `mj-section`?"],
        ),
        (
            "<mjml><mj-body>\n<mj-text>x</mj-text></mj-body></mjml>",
            ["line 2: <mj-text> cannot stand in <mj-body>, only in <mj-column> or <mj-hero>"],
        ),
        (
            '<mjml><mj-body>\n\n<mj-section paddin="1px" /></mj-body></mjml>',
            ["line 3: <mj-section> has no attribute `paddin`: did you mean `padding`?"],
        ),
        (
            "<mjml>\n<mj-body>\n<mj-section>\n</mj-body></mjml>",
            ["line 3: <mj-section> is not closed before </mj-body> in line 4"],
        ),
        (
            "<mjml><mj-body>hello</mj-body></mjml>",
            ["line 1: text outside of an element that shows text: 'hello'; write texts into <mj-text>"],
        ),
        (
            '<mjml><mj-body\nwidth="{{ w }}"></mj-body></mjml>',
            ["line 1: <mj-body>: `width` cannot be a placeholder: widths are computed once"],
        ),
        (
            "<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>",
            ["line 1: <mj-include>: nothing can be included: name a layout with the template"],
        ),
        ("<mjml></mjml>", ["line 1: a document has one <mj-body>"]),
        ("", ["line 1: a document is one <mjml> element"]),
        ("<mjml><mj-body>\n{{ a</mj-body></mjml>", ["line 2: `{{` is not closed"]),
        ("<mjml><mj-body>\n\n{{ a | no }}</mj-body></mjml>", ["line 3: there is no filter `no`"]),
        (
            "<mjml><mj-body width=600></mj-body></mjml>",
            [
                "line 1: <mj-body>: '=600' is no attribute",
                "line 1: <mj-body>: the attribute `width` needs a value in quotation marks",
            ],
        ),
    ],
)
def test_all_that_is_wrong_in_mjml_is_said_with_its_line(source: str, faults: list[str]) -> None:
    assert refused(Source(Kind.MJML, source)) == faults


def test_missing_attributes_are_named() -> None:
    assert refused(column("<mj-image alt='x' />\n<mj-button>x</mj-button>")) == [
        "line 3: <mj-image> needs the attribute `src`",
        "line 4: <mj-button> needs the attribute `href`",
    ]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<mj-text><div {% if a %}class='x'{% endif %}>x</div></mj-text>", "must be in the value of an attribute"),
        ("<mj-text><p style='{{ a }}'>x</p></mj-text>", "a placeholder must be a value"),
        ("<mj-social>{{ a }}<mj-social-element name='x' href='y' /></mj-social>", "no placeholder can stand"),
        ("<mj-text><svg><td></svg></mj-text>", "shown by no mail program"),
    ],
)
def test_places_where_no_placeholder_can_stand_are_said(inside: str, said: str) -> None:
    assert said in refused(column(inside))[0]


BOMBS = {
    "nested": "<div>" * 20_000,
    "nested and closed": "<div>" * 20_000 + "</div>" * 20_000,
    "closed wrongly": "<div></b>" * 20_000,
    "formatting": "<p><font size=1>" * 2_000,
    "formatting closed around": "<div><font></div>" * 2_000,
    "foreign": "<svg>" + "<td>" * 20_000,
    "hidden in a comment": "<!-->" + "<div>" * 20_000 + "-->",
    "hidden in an attribute": '<div ">' + "<div>" * 20_000 + '">',
    "hidden in a style": "<style><!--</style>" + "<div>" * 20_000 + "--></style>",
    "hidden in xmp": "<xmp><!--</xmp>" + "<div>" * 20_000 + "-->",
    "elements": "<br>" * 30_000,
    "rules": "<style>" + "*{color:red}" * 9_000 + "</style>",
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_end_the_process_is_not_handed_on(name: str) -> None:
    """css-inline 0.24 and MRML overflow their stack, or make gigabytes of it."""
    assert objection(BOMBS[name]) is not None
    assert refused(column(f"<mj-text>{BOMBS[name]}</mj-text>"))


def test_deep_elements_of_mjml_are_refused() -> None:
    assert "deeper" in refused(mjml("<mj-wrapper>" * 2_000 + "</mj-wrapper>" * 2_000))[0]


def test_a_document_of_ten_megabytes_is_refused() -> None:
    for kind in Kind:
        assert refused(Source(kind, "x" * 10_000_000)) == ["it has more than 524288 characters"]


EVERY_BLOCK: tuple[dict[str, Any], ...] = (
    {"type": "heading", "text": 'Hello {{ first_name | default("there") }} & co'},
    {"type": "text", "text": "One < two\n\nThree\nfour"},
    {"type": "text", "html": "<b>VIP</b>", "show_if": 'first_name == "Bob"'},
    {"type": "button", "text": "Go", "href": "https://x.example/?a=1&b={{ first_name }}", "border_radius": 0},
    {
        "type": "image",
        "src": "https://x.example/y.png",
        "alt": 'a "picture"',
        "href": "https://x.example",
        "width": 300,
    },
    {
        "type": "columns",
        "columns": [
            {"blocks": [{"type": "product", "title": "{{ item.name }}", "price": "5 €", "repeat": "item in items"}]},
            {"blocks": [{"type": "divider"}, {"type": "spacer", "height": 9}], "width": 40},
        ],
    },
    {"type": "social", "links": [{"name": "Mastodon", "href": "https://m.example"}]},
    {"type": "html", "html": "<table>{% for i in items %}<tr><td>{{ i.name }}</td></tr>{% endfor %}</table>"},
    {"type": "footer", "text": "Acme, Main Street 1"},
)


def test_every_block_is_shown() -> None:
    built = build(blocks(*EVERY_BLOCK, preview_text="For {{ first_name }}"))
    content = compiled(built)

    text = content.text.render(VALUES)

    assert content.required == {"first_name", "items"}
    assert text.splitlines() == [
        "Hello Ann & co", "", "One < two", "", "Three", "four", "", "Go (https://x.example/?a=1&b=Ann)", "",
        'a "picture" (https://x.example)', "", "Tea", "", "5 €", "", "R&B", "", "5 €", "",
        "Mastodon (https://m.example)", "", "Tea", "", "R&B", "", "Acme, Main Street 1", "",
        "Unsubscribe ({{{UNSUBSCRIBE_URL}}})",
    ]  # fmt: skip
    html = content.html.render(VALUES)
    assert "For Ann" in html
    assert "VIP" not in html
    assert "Hello Ann &amp; co" in html
    assert "&lt; two" in html


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "input should be"),
        ({"blocks": []}, "blocks: "),
        ({"blocks": [{"type": "nope"}]}, "blocks[0]: there is no block of type 'nope'"),
        ({"blocks": [{"type": "text", "colour": "red"}]}, "blocks[0].colour: there is no such field"),
        ({"blocks": [{"type": "button", "text": "x"}]}, "blocks[0].href: it is missing"),
        (
            {"blocks": [{"type": "columns", "columns": [{"blocks": [{"type": "x"}]}]}]},
            "blocks[0].columns[0].blocks[0]: ",
        ),
        ({"blocks": [{"type": "spacer"}, {"type": "text", "html": "a\n\n{{ x"}]}, "blocks[1]: `{{` is not closed"),
        (
            {"blocks": [{"type": "text", "html": "a\n\nb"}, {"type": "text", "text": "{{ x | no }}"}]},
            "blocks[1]: there is no filter",
        ),
        ({"blocks": [{"type": "text", "text": "x", "show_if": "a %}{% if b"}]}, "blocks[0].show_if: "),
        ({"blocks": [{"type": "text", "text": "x", "show_if": "a("}]}, "blocks[0]: "),
        ({"blocks": [{"type": "spacer", "height": 10**9}]}, "blocks[0].height: "),
    ],
)
def test_what_is_wrong_in_blocks_is_said_with_the_block(document: object, said: str) -> None:
    found = refused(Source(Kind.BLOCKS, orjson.dumps(document).decode()))[0]

    assert found.startswith(said)


def test_blocks_that_are_no_json_are_refused() -> None:
    assert "not valid JSON" in refused(Source(Kind.BLOCKS, "{"))[0]
    assert "not valid JSON" in refused(Source(Kind.BLOCKS, "[" * 200_000))[0]


def test_layouts_hold_their_content() -> None:
    html = Source(Kind.HTML, "<p>{{ first_name }}</p>")
    inner = Source(Kind.HTML, "<i>{{ content }}</i>")
    outer = Source(Kind.HTML, "<html>{{{content}}}{{{UNSUBSCRIBE_URL}}}")

    assert build(html, [inner, outer]).html == "<html><i><p>{{ first_name }}</p></i>{{{UNSUBSCRIBE_URL}}}"

    layout = mjml("{{ content }}<mj-section><mj-column><mj-text>Acme</mj-text></mj-column></mj-section>")
    for source in (column("<mj-text>Hi</mj-text>"), blocks({"type": "text", "text": "Hi"})):
        text = build(source, [layout]).text
        assert text.split() == ["Hi", "Acme"]

    in_blocks = blocks(
        {"type": "heading", "text": "Acme"}, {"type": "text", "text": "{{ content }}"}, {"type": "footer"}
    )
    assert build(blocks({"type": "text", "text": "Hi"}), [in_blocks]).text.split()[:2] == ["Acme", "Hi"]


def test_a_layout_that_cannot_hold_the_content_is_refused() -> None:
    html = Source(Kind.HTML, "x")

    assert "HTML goes into HTML" in refused(html, mjml("{{ content }}"))[0]
    assert "one {{ content }}, and has 0" in refused(html, Source(Kind.HTML, "x"))[0]
    assert "and has 2" in refused(html, Source(Kind.HTML, "{{ content }}{{ content }}"))[0]


def test_text_is_made_of_html_and_can_be_given() -> None:
    html = """<html><head><title>no</title><style>p{}</style></head><body><div style="display:none">no</div>
      <h1>Big</h1><p>One &amp; two<br>three</p><ul><li>a</li><li>b</li></ul><img src="x" alt="Pic">
      <a href="https://x.example/{{ n }}">Go</a> <a href="mailto:a@x.example">a@x.example</a><hr>
      {% if n %}<p>if</p>{% endif %}<!-- no --><p>end</p>"""

    assert build(Source(Kind.HTML, html)).text.splitlines() == [
        "Big", "", "One & two", "three", "", "- a", "", "- b", "",
        "Pic Go (https://x.example/{{ n }}) a@x.example", "", "----", "", "{% if n %}if", "", "{% endif %}end",
    ]  # fmt: skip
    assert build(Source(Kind.HTML, html, text="Mine {{ n }}")).text == "Mine {{ n }}"


@pytest.mark.parametrize(
    "part",
    ["<!--", "<a ", "<![CDATA[", "</", "<!", "<?", "<a b='", "<p", "<style>", "<textarea>", "&", "&#", "<a =", "<"],
)
def test_no_html_takes_long_to_be_read(part: str) -> None:
    """16 KB of `<a ` took the parser of Python's library three seconds, and the time grows with the square."""
    body = part * (400_000 // len(part))

    assert isinstance(build(Source(Kind.HTML, body)).text, str)
    assert remarks_on("Hi", body, "x")


@pytest.mark.parametrize(
    "part", ["<!--", "<?", '<a "', "<mj-body", "<mj-x/>", "<mj-text>", "</mj-text>", "<a <a '", "{{x}}", "{{ x", "&"]
)
def test_no_mjml_takes_long_to_be_refused(part: str) -> None:
    body = part * (150_000 // len(part))

    assert refused(Source(Kind.MJML, body))
    assert refused(Source(Kind.MJML, body), mjml("{{ content }}"))
    assert isinstance(shingles(body), frozenset)


def test_numbers_of_characters_have_an_end() -> None:
    assert build(Source(Kind.HTML, f"<p>a&#{'0' * 5000}65;b&amp;&eacute;&#x41;</p>")).text.endswith("b&éA\n")


def test_nobody_pays_for_the_libraries_who_does_not_build() -> None:
    check = (
        "import sys, templates.service, templates.filling\n"
        "sys.exit(any(name in sys.modules for name in ('mjml', 'css_inline')))"
    )

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
