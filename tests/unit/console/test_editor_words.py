"""What the editor of mails calls places and changes."""

from uuid import UUID

import pytest

from console.editor import fields, words

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
