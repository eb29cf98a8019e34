"""A document of blocks → MJML. Pure. Each block of the document is a section of its own; columns are one section."""

from collections.abc import Iterable, Iterator
from html import escape

from templates import blocks
from templates.blocks import Block, Document, Look
from templates.placeholders import UnclosedError, hide
from templates.resend_notation import UNSUBSCRIBE

_SIZES = {1: 28, 2: 22, 3: 18}
_LINK = UNSUBSCRIBE["\ufdd1"]


def sections(document: Document) -> list[str]:
    """The MJML of each block, a section or what stands for one."""
    return [_section(block, document.settings) for block in document.blocks]


def whole(document: Document, inside: str) -> str:
    """A document around sections."""
    look = document.settings
    preview = f"<mj-preview>{_text(look.preview_text)}</mj-preview>" if look.preview_text else ""
    title = f"<mj-title>{_text(look.title)}</mj-title>" if look.title else ""
    return (
        f"<mjml><mj-head>{title}{preview}<mj-attributes>"
        f'<mj-all font-family="{look.font_family}" /><mj-text font-size="16px" line-height="1.5" '
        f'color="{look.text_color}" padding="8px 24px" /><mj-section padding="0" /><mj-image padding="8px 24px" />'
        f'<mj-button font-size="16px" padding="12px 24px" inner-padding="12px 28px" />'
        f"</mj-attributes><mj-style>a {{color:{look.link_color}}} p {{margin:0 0 12px}}</mj-style></mj-head>"
        f'<mj-body width="{look.width}px" background-color="{look.background_color}">\n{inside}\n</mj-body></mjml>'
    )


def _section(block: Block, look: Look) -> str:
    colour = block.background_color or look.content_color
    if isinstance(block, blocks.Columns):
        inside = "".join(_column(column, look) for column in block.columns)
    else:
        inside = f"<mj-column>{''.join(_parts(block, look))}</mj-column>"
    return _repeated(block, [f'<mj-section background-color="{colour}">{inside}</mj-section>'])


def _column(column: blocks.Column, look: Look) -> str:
    width = f' width="{column.width}%"' if column.width else ""
    inside = "".join(_repeated(block, _parts(block, look)) for block in column.blocks)
    return f'<mj-column vertical-align="top"{width}>{inside}</mj-column>'


def _repeated(block: Block, parts: Iterable[str]) -> str:
    made = "".join(parts)
    if block.show_if:
        made = f"{{% if {block.show_if} %}}{made}{{% endif %}}"
    return f"{{% for {block.repeat} %}}{made}{{% endfor %}}" if block.repeat else made


def _parts(block: Block, look: Look) -> Iterator[str]:
    """The elements of a column that a block becomes."""
    match block:
        case blocks.Heading():
            yield _heading(block, look)
        case blocks.Text():
            size = f' font-size="{block.font_size}px"' if block.font_size else ""
            colour = f' color="{block.color}"' if block.color else ""
            yield f'<mj-text align="{block.align}"{size}{colour}>{block.html or _paragraphs(block.text)}</mj-text>'
        case blocks.Button():
            yield _button(block.text, block.href, block.align, block.button_color or look.button_color, block)
        case blocks.Image(src=""):  # not chosen yet
            pass
        case blocks.Image():
            yield _image(block.src, block.alt, block.href, block.align, block.width)
        case blocks.Divider():
            yield f'<mj-divider border-color="{block.color}" border-width="{block.thickness}px" padding="12px 24px" />'
        case blocks.Spacer():
            yield f'<mj-spacer height="{block.height}px" />'
        case blocks.Social():
            yield f'<mj-text align="{block.align}">{" &nbsp; ".join(map(_social, block.links))}</mj-text>'
        case blocks.Product():
            yield from _product(block, look)
        case blocks.Html():
            yield f'<mj-text align="{block.align}">{block.html}</mj-text>'
        case blocks.Footer():
            yield (f'<mj-text align="{block.align}" font-size="13px" color="{block.color}">{_footer(block)}</mj-text>')


def _heading(block: blocks.Heading, look: Look) -> str:
    style = "margin:0;font-size:inherit;line-height:inherit;font-weight:inherit"
    return (
        f'<mj-text align="{block.align}" font-size="{_SIZES[block.level]}px" line-height="1.25" font-weight="700" '
        f'color="{block.color or look.text_color}">'
        f'<h{block.level} style="{style}">{_text(block.text)}</h{block.level}></mj-text>'
    )


def _button(text: str, href: str, align: str, colour: str, block: blocks.Button | None = None) -> str:
    radius, ink = (block.border_radius, block.color or "#ffffff") if block else (4, "#ffffff")
    return (
        f'<mj-button align="{align}" background-color="{colour}" color="{ink}" border-radius="{radius}px" '
        f'href="{_text(href)}">{_text(text)}</mj-button>'
    )


def _image(src: str, alt: str, href: str, align: str, width: int | None) -> str:
    more = (f' href="{_text(href)}"' if href else "") + (f' width="{width}px"' if width else "")
    return f'<mj-image src="{_text(src)}" alt="{_text(alt)}" align="{align}"{more} />'


def _social(link: blocks.SocialLink) -> str:
    name, href, icon = map(_text, (link.name, link.href, link.icon))
    shown = f'<img src="{icon}" alt="{name}" width="24" height="24" style="vertical-align:middle" />' if icon else name
    return f'<a href="{href}">{shown}</a>'


def _product(block: blocks.Product, look: Look) -> Iterator[str]:
    if block.image:
        yield _image(block.image, block.alt or block.title, block.href, block.align, None)
    price = f'<div style="font-weight:700">{_text(block.price)}</div>' if block.price else ""
    about = _paragraphs(block.text) if block.text else ""
    title = f'<div style="font-size:18px;font-weight:700">{_text(block.title)}</div>'
    yield f'<mj-text align="{block.align}">{title}{about}{price}</mj-text>'
    if block.button and block.href:
        yield _button(block.button, block.href, block.align, look.button_color)


def _footer(block: blocks.Footer) -> str:
    about = block.html or (_paragraphs(block.text) if block.text else "")
    link = f'<p style="margin:0"><a href="{_LINK}">{_text(block.unsubscribe)}</a></p>' if block.unsubscribe else ""
    return about + link


def _paragraphs(text: str) -> str:
    parts = (part.strip() for part in text.replace("\r\n", "\n").split("\n\n"))
    return "".join(f'<p style="margin:0 0 12px">{_text(part).replace(chr(10), "<br />")}</p>' for part in parts if part)


def _text(text: str) -> str:
    """A plain text as HTML, its placeholders untouched."""
    try:
        hidden = hide(text)
    except UnclosedError:
        return text  # said with its line when the whole is read
    return hidden.restored(escape(hidden.text))
