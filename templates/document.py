"""Changes of a document of blocks, block by block. Pure: each gives another document, and changes none.

A block is named by its path: `2` is the third, `3.0.1` the second of the first column of the fourth. What a document
may hold is said when it is built (`templates/blocks`).
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, TypeAlias

import orjson

from core.refusal import Refused, invalid
from templates.blocks import MAX_COLUMNS

Document: TypeAlias = dict[str, Any]
Block: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[int, ...]
"""() is the document; (2,) a block; (3, 0) a column; (3, 0, 1) a block in it."""

NEW: Final[Mapping[str, Mapping[str, Any]]] = {
    "heading": {"text": "A headline"},
    "text": {"html": "<p>Write here.</p>"},
    "button": {"text": "Have a look", "href": "https://"},
    "image": {"src": ""},
    "columns": {
        "columns": [
            {"blocks": [{"type": "text", "html": "<p>On the left.</p>"}]},
            {"blocks": [{"type": "text", "html": "<p>On the right.</p>"}]},
        ]
    },
    "divider": {},
    "spacer": {"height": 20},
    "social": {"links": [{"name": "Instagram", "href": "https://"}]},
    "product": {"title": "A product", "price": "", "button": "Have a look", "href": "https://"},
    "html": {"html": "<p>HTML as it stands.</p>"},
    "footer": {"text": "Your company, street and city"},
}
"""What a new block of each type holds."""

STARTER: Final[Mapping[str, Any]] = {
    "blocks": [
        {"type": "heading", "text": "Hello {{ first_name | default('there') }}"},
        {"type": "text", "html": "<p>What is new, in a sentence or two.</p>"},
        {"type": "button", "text": "Have a look", "href": "https://"},
        {"type": "footer", "text": "Your company, street and city"},
    ],
    "settings": {},
}
"""What a new document holds."""


def _prompts(blocks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for block in blocks:
        if block["type"] in ("heading", "text", "html", "footer", "product"):
            text = block.get("title") or block.get("text") or block.get("html", "")
            yield text.removeprefix("<p>").removesuffix("</p>")
        for column in block.get("columns", ()):
            yield from _prompts(column["blocks"])


PROMPTS: Final = frozenset(
    text
    for text in _prompts([*({"type": kind, **holds} for kind, holds in NEW.items()), *STARTER["blocks"]])
    if "{{" not in text
)
"""What stands where somebody is to write. A button may say what a new one says, and a greeting greet."""


def parsed(body: str) -> Document:
    """The document in a stored source."""
    found: Document = orjson.loads(body)
    return found


def written(document: Mapping[str, Any]) -> str:
    """As it is stored."""
    return orjson.dumps(document).decode()


def path_of(text: str) -> Path:
    """`3.0.1`; "" is the document. Raises Refused."""
    parts = text.split(".") if text else []
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts):
        raise _gone()
    return tuple(int(part) for part in parts)


def shown(path: Path) -> str:
    """The same as text."""
    return ".".join(map(str, path))


def walk(document: Document) -> Iterator[tuple[Path, Block]]:
    """Each block with its path, columns before what is in them."""
    for number, block in enumerate(document.get("blocks", ())):
        yield (number,), block
        for column, held in enumerate(block.get("columns", ()) if block.get("type") == "columns" else ()):
            for place, inner in enumerate(held.get("blocks", ())):
                yield (number, column, place), inner


def block_at(document: Document, path: Path) -> Block:
    """Raises Refused: it is not there."""
    blocks = blocks_at(document, path[:-1])
    if not path or path[-1] >= len(blocks):
        raise _gone()
    found: Block = blocks[path[-1]]
    return found


def blocks_at(document: Document, path: Path) -> list[Block]:
    """The blocks of the document, or of a column. Raises Refused."""
    if not path:
        found: list[Block] = document.setdefault("blocks", [])
        return found
    try:
        number, column = path
        inside: list[Block] = document["blocks"][number]["columns"][column].setdefault("blocks", [])
    except (LookupError, ValueError):
        raise _gone() from None
    return inside


def added(document: Document, where: Path, index: int, kind: str) -> tuple[Document, Path]:
    """With a new block, and its path. `where` is the document or a column."""
    if kind not in NEW:
        raise invalid("type", f"there is no block of this type; there are {', '.join(NEW)}")
    return _put(deepcopy(document), where, index, {"type": kind, **deepcopy(dict(NEW[kind]))})


def removed(document: Document, path: Path) -> Document:
    """Without a block. Raises Refused for the last one."""
    made = deepcopy(document)
    block_at(made, path)
    if len(path) == 1 and len(made["blocks"]) == 1:
        raise invalid("blocks", "a mail has at least one block")
    blocks_at(made, path[:-1]).pop(path[-1])
    return made


def doubled(document: Document, path: Path) -> tuple[Document, Path]:
    """With a block twice."""
    block = deepcopy(block_at(document, path))
    return _put(deepcopy(document), path[:-1], path[-1] + 1, block)


def moved(document: Document, path: Path, where: Path, index: int) -> tuple[Document, Path]:
    """With a block elsewhere, `index` counted as if it had been taken out before. Raises Refused."""
    made = deepcopy(document)
    block = block_at(made, path)
    blocks_at(made, where)
    if where and where[0] == path[0] and len(path) == 1:
        raise invalid("", "columns cannot stand in themselves")
    blocks_at(made, path[:-1]).pop(path[-1])
    if where and len(path) == 1 and path[0] < where[0]:
        where = (where[0] - 1, *where[1:])
    return _put(made, where, index, block)


def shifted(document: Document, path: Path, by: int) -> tuple[Document, Path]:
    """With a block so many places further down; it stays where it is at either end."""
    last = len(blocks_at(document, path[:-1])) - 1
    return moved(document, path, path[:-1], min(max(0, path[-1] + by), last))


def changed(document: Document, path: Path, values: Mapping[str, Any]) -> Document:
    """With other values in a block; None takes one away."""
    made = deepcopy(document)
    _set(block_at(made, path), values)
    return made


def settled(document: Document, values: Mapping[str, Any]) -> Document:
    """With other values for the whole mail; None takes one away."""
    made = deepcopy(document)
    _set(made.setdefault("settings", {}), values)
    return made


def with_columns(document: Document, path: Path, count: int) -> Document:
    """With so many columns in a block; what was in those that go stands in the last that stays."""
    if not 1 <= count <= MAX_COLUMNS:
        raise invalid("columns", f"there are 1 to {MAX_COLUMNS}")
    made = deepcopy(document)
    block = block_at(made, path)
    columns = block.get("columns", [])
    if count == len(columns):
        return made
    kept = columns[:count]
    for column in columns[count:]:
        kept[-1]["blocks"].extend(column["blocks"])
    for column in kept:
        column.pop("width", None)  # widths of another number of columns
    block["columns"] = kept + [{"blocks": []} for _ in range(count - len(kept))]
    return made


def _put(made: Document, where: Path, index: int, block: Block) -> tuple[Document, Path]:
    if where and block.get("type") == "columns":
        raise invalid("", "columns cannot stand in columns")
    blocks = blocks_at(made, where)
    at = min(max(0, index), len(blocks))
    blocks.insert(at, block)
    return made, (*where, at)


def _set(held: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            held.pop(name, None)
        else:
            held[name] = value


def _gone() -> Refused:
    return Refused("conflict", "there is no such block any more", hint="Load the page again.", code="block_gone")
