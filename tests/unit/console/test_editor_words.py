"""What the editor of mails calls places and changes."""

import time
from uuid import UUID

import pytest

from console.editor import fields, words
from console.editor.desk import mjml_of
from templates import document
from templates.build import Kind, Source, build

ADA, BEN = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("blocks[2].href", "Link of block 3"),
        ("blocks[0].columns[1].blocks[2].color", "Colour of block 3 in column 2 of block 1"),
        ("blocks[1]", "block 2"),
        ("settings.width", "Width in pixels"),
        ("blocks[0].colour", "colour of block 1"),
        ("blocks", "blocks"),
        ("", ""),
    ],
)
def test_a_place_is_named_as_the_form_names_it(where: str, told: str) -> None:
    assert fields.placed(where) == told


def test_who_undoes_is_told_whose_change_it_is() -> None:
    assert words.step("order", ADA, ADA) == "order"
    assert words.step("order", None, ADA) == "order"
    assert words.step("order", BEN, ADA) == "order, by somebody else"
    assert words.step("", BEN, ADA) == ""


def test_what_was_typed_for_another_block_is_found() -> None:
    form = {"text": ["A headline"], "level": ["1"], "color": [""], "act": ["block"], "show_if": ["vip"]}
    assert fields.strays(form, "heading") == {}
    assert fields.strays(form, "divider") == {"Words": "A headline", "Size": "1"}
    assert fields.strays({"code": ["<mjml>"]}, "text") == {"Code": "<mjml>"}
    assert fields.strays({"code": ["<mjml>"]}, "") == {}


def test_blocks_as_code_are_the_same_mail_by_depth() -> None:
    column = {"blocks": [{"type": "image", "src": "https://a.example/x.png", "alt": "x > y"}]}
    made = {
        "blocks": [
            {"type": "heading", "text": "Hi {{ first_name | default('a > b') }}"},
            {"type": "text", "html": "<p>One</p>\n<p>Two</p>", "show_if": 'country == "AT"'},
            {"type": "columns", "columns": [column, column]}, {"type": "html", "html": "<b>x</b>\n<i>y</i>"},
            {"type": "footer", "text": "Acme"},
        ]
    }  # fmt: skip
    source = Source(Kind.BLOCKS, document.written(made))
    code = mjml_of(source)
    assert build(Source(Kind.MJML, code), []).html == build(source, []).html
    assert '\n        <mj-image src="https://a.example/x.png"' in code
    assert code.endswith("\n  </mj-body>\n</mjml>")


@pytest.mark.parametrize("part", ["a", "/", '"" ', "<mj", "<mj ", '<mj "', "<mj/", "> \t"])
def test_no_html_keeps_the_code_waiting(part: str) -> None:
    """The console's loop writes it, and everybody waits."""
    html = f"<p>Hi</p><!--<mj{part * (19_000 // len(part))}\n-->"
    source = Source(Kind.BLOCKS, document.written({"blocks": [{"type": "html", "html": html}]}))
    before = time.process_time()
    mjml_of(source)
    assert time.process_time() - before < 0.25


def test_html_that_looks_like_elements_does_not_grow_with_its_depth() -> None:
    html = "<!--" + "<mj>\n" * 2_000 + "-->"
    source = Source(Kind.BLOCKS, document.written({"blocks": [{"type": "html", "html": html}]}))
    assert len(mjml_of(source)) < 50 * 2_000
