"""Documents of blocks, as editors write them: what they may hold. Pure.

    {"blocks": [{"type": "heading", "text": "Hello {{ first_name | default('there') }}"},
                {"type": "columns", "columns": [{"blocks": [...]}, {"blocks": [...]}]},
                {"type": "footer", "text": "Acme, Main Street 1"}]}

`templates/block_mjml` writes them as MJML. Texts are plain (`text`) or HTML (`html`); both hold placeholders. Any block
may have `show_if`, a condition, and `repeat`, such as `item in items`.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from templates.faults import Fault, SourceError

MAX_BLOCKS = 200
MAX_COLUMNS = 4

_RUNS: Final = re.compile(r"(?:javascript|vbscript|data):", re.IGNORECASE)
_UNSEEN: Final = re.compile("[\x00-\x20\x7f-\xa0]+")


def _leading_on(address: str) -> str:
    """An address that runs nothing where somebody clicks. Browsers read over blanks and line breaks in it."""
    if _RUNS.match(_UNSEEN.sub("", address)):
        raise ValueError("a link begins with https://, http://, mailto: or tel:")
    return address


def _like(pattern: str, told: str) -> AfterValidator:
    """Refuses what is written otherwise, in words."""
    fits = re.compile(pattern).fullmatch

    def check(text: str) -> str:
        if not fits(text):
            raise ValueError(told)
        return text

    return AfterValidator(check)


_Text = Annotated[str, StringConstraints(max_length=20_000)]
_Line = Annotated[str, StringConstraints(max_length=2_000)]
_Link = Annotated[_Line, AfterValidator(_leading_on)]
_Colour = Annotated[
    str,
    _like(
        r"#[0-9A-Fa-f]{3,8}|[a-zA-Z]{3,20}|\{\{[^{}]{1,200}\}\}",
        "a colour is written as #1a5fb4, or as its English name",
    ),
]
_Condition = Annotated[
    str, StringConstraints(max_length=500), _like(r"[^{}%\n]+", 'a condition has no braces: country == "AT"')
]
_Repeat = Annotated[
    str,
    StringConstraints(max_length=200),
    _like(r"[A-Za-z_]\w* in [A-Za-z_][\w.]*", "a repetition is written as: item in items"),
]
_Align = Literal["left", "center", "right"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Block(_Part):
    """What all blocks have."""

    id: Annotated[str, StringConstraints(max_length=100)] = ""
    """The editor's own."""
    show_if: _Condition = ""
    """`vip`, `country == "AT"`: the block is left out unless it holds."""
    repeat: _Repeat = ""
    """`item in items`: once for each."""
    align: _Align = "left"
    background_color: _Colour | None = None


class Heading(Block):
    """A headline."""

    type: Literal["heading"]
    text: _Line
    level: Literal[1, 2, 3] = 1
    color: _Colour | None = None


class Text(Block):
    """A paragraph or several."""

    type: Literal["text"]
    text: _Text = ""
    """Plain; an empty line begins a paragraph."""
    html: _Text = ""
    color: _Colour | None = None
    font_size: Annotated[int, Field(ge=8, le=48)] | None = None


class Button(Block):
    """A link that looks like a button."""

    type: Literal["button"]
    text: _Line
    href: _Link
    align: _Align = "center"
    button_color: _Colour | None = None
    color: _Colour | None = None
    border_radius: Annotated[int, Field(ge=0, le=60)] = 4


class Image(Block):
    """A picture."""

    type: Literal["image"]
    src: _Line
    alt: _Line = ""
    href: _Link = ""
    align: _Align = "center"
    width: Annotated[int, Field(ge=1, le=1200)] | None = None


class Divider(Block):
    """A line."""

    type: Literal["divider"]
    color: _Colour = "#dddddd"
    thickness: Annotated[int, Field(ge=1, le=20)] = 1


class Spacer(Block):
    """Nothing, so high."""

    type: Literal["spacer"]
    height: Annotated[int, Field(ge=1, le=400)] = 20


class SocialLink(_Part):
    """A page of the sender somewhere else."""

    name: _Line
    href: _Link
    icon: _Line = ""
    """Address of an image; without one the name is shown. No icon comes from another server by itself."""


class Social(Block):
    """Links to the sender's pages."""

    type: Literal["social"]
    links: Annotated[list[SocialLink], Field(min_length=1, max_length=20)]
    align: _Align = "center"


class Product(Block):
    """A thing with picture, name, price and button."""

    type: Literal["product"]
    title: _Line
    image: _Line = ""
    alt: _Line = ""
    text: _Text = ""
    price: _Line = ""
    href: _Link = ""
    button: _Line = ""
    """Text of the button; without one there is none."""


class Html(Block):
    """HTML as it stands."""

    type: Literal["html"]
    html: _Text


class Footer(Block):
    """Who sends this, and how to leave."""

    type: Literal["footer"]
    text: _Text = ""
    html: _Text = ""
    unsubscribe: _Line = "Unsubscribe"
    """Text of the link; empty for none, as in a receipt."""
    align: _Align = "center"
    color: _Colour = "#777777"


Simple = Annotated[
    Heading | Text | Button | Image | Divider | Spacer | Social | Product | Html | Footer, Field(discriminator="type")
]
"""What stands in a column, too."""


class Column(_Part):
    """A column, from top to bottom."""

    blocks: Annotated[list[Simple], Field(max_length=MAX_BLOCKS)]
    width: Annotated[int, Field(ge=10, le=90)] | None = None
    """Percent."""


class Columns(Block):
    """Columns side by side, below each other where the screen is narrow."""

    type: Literal["columns"]
    columns: Annotated[list[Column], Field(min_length=1, max_length=MAX_COLUMNS)]


class Look(_Part):
    """What is the same for the whole mail."""

    width: Annotated[int, Field(ge=320, le=900)] = 600
    background_color: _Colour = "#f2f2f2"
    content_color: _Colour = "#ffffff"
    text_color: _Colour = "#222222"
    link_color: _Colour = "#1a5fb4"
    button_color: _Colour = "#1a5fb4"
    font_family: Annotated[str, StringConstraints(max_length=200, pattern=r"^[\w ,.'-]+$")] = (
        "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
    )
    preview_text: _Line = ""
    """What inboxes show behind the subject."""
    title: _Line = ""


class Document(_Part):
    """A mail."""

    blocks: Annotated[
        list[
            Annotated[
                Heading | Text | Button | Image | Divider | Spacer | Social | Product | Html | Footer | Columns,
                Field(discriminator="type"),
            ]
        ],
        Field(min_length=1, max_length=MAX_BLOCKS),
    ]
    settings: Look = Look()


def read_document(given: object) -> Document:
    """The document in a JSON value. Raises SourceError naming each block: `blocks[2].href`."""
    try:
        return Document.model_validate(given)
    except ValidationError as error:
        raise SourceError([_fault(one) for one in error.errors(include_url=False)]) from None


def _fault(problem: Any) -> Fault:
    where = ""
    for part in problem["loc"]:
        where += f"[{part}]" if isinstance(part, int) else ("." if where else "") + str(part)
    for kind in _KINDS:
        where = where.replace(f".{kind}.", ".").removesuffix(f".{kind}")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "union_tag_invalid":
        message = f"there is no block of type {problem['ctx']['tag'][:40]!r}; there are {', '.join(_KINDS)}"
    elif problem["type"] == "extra_forbidden":
        message = "there is no such field"
    elif problem["type"] == "missing":
        message = "it is missing"
    return Fault(0, message[:1].lower() + message[1:], where)


_KINDS = (
    "heading", "text", "button", "image", "columns", "divider", "spacer", "social", "product", "html", "footer",
)  # fmt: skip
