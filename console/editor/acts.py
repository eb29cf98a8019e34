"""What buttons and fields of the editor do to a template: each one a change through `templates/service`.

A form says what it does in `act`: a word, and for some which block and whereto (`move 2 3.0 1`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final, TypeAlias

from console.choosing import chosen_id
from console.editor import door, fields, words
from console.editor.asked import Asked
from console.editor.desk import mjml_of
from console.editor.fields import Field
from console.visit import Visit
from core.refusal import Refused, conflict, invalid
from store.database import Connection
from templates import document, images, service
from templates.build import Kind, Source
from templates.document import Document, Path
from templates.model import DEFAULT, UNSAID, Change, Edit, LanguageEdit, Template, Unsaid, Version


@dataclass(frozen=True, slots=True)
class Act:
    """A change under way."""

    connection: Connection
    visit: Visit
    one: Template
    version: Version
    asked: Asked

    @property
    def source(self) -> Source:
        """In the language that is written in. Raises Refused: somebody has taken it away."""
        found = self.version.writing.sources.get(self.asked.language)
        if found is None:
            raise conflict("this language is gone", "Load the page again.", service.CHANGED)
        return found

    @property
    def document(self) -> Document:
        """Its blocks. Raises Refused: it is no document of blocks (any more)."""
        if self.source.kind is not Kind.BLOCKS:
            raise conflict(f"this mail is written as {self.source.kind}", "Load the page again.", service.CHANGED)
        return document.parsed(self.source.body)

    @property
    def seen(self) -> int:
        """The revision that the page showed. Raises Refused."""
        return door.seen(self.visit)

    async def save(self, edit: Edit, what: str, *, typing: bool = False) -> Template:
        """Store it."""
        one = self.one
        return await service.update(
            self.connection, one.application_id, str(one.id), edit,
            Change(self.seen, what, typing, self.visit.me.id),
        )  # fmt: skip

    async def write(self, what: str, *, typing: bool = False, **changes: object) -> Template:
        """Store another body, subject or text of this language."""
        content = LanguageEdit(**changes)  # type: ignore[arg-type]  # the names are those of its fields
        return await self.save(self.edit(content), what, typing=typing)

    def edit(self, content: LanguageEdit, layout: Unsaid | None = UNSAID) -> Edit:
        """A change of what is said in this language."""
        if self.asked.language == DEFAULT:
            return Edit(content=content, layout=layout)
        return Edit(languages={self.asked.language: content}, layout=layout)

    async def put(self, made: Document, what: str, *, typing: bool = False) -> Template:
        """Store another document."""
        return await self.write(what, typing=typing, body=(Kind.BLOCKS, document.written(made)))


Done: TypeAlias = tuple[Template, Asked]
"""The template as it is now, and where the page goes on."""


async def do(act: Act) -> Done:
    """What the form says. Raises Refused."""
    name, *rest = act.visit.field("act").split(" ")
    known = _ACTS.get(name)
    if known is None:
        raise invalid("act", "there is no such button any more; load the page again")
    return await known(act, rest)


async def _block(act: Act, _rest: list[str]) -> Done:
    """The fields of a block."""
    path = document.path_of(act.asked.block)
    block = document.block_at(act.document, path)
    if fields.strays(act.visit.form, str(block.get("type"))):
        raise conflict("another block stands in this place by now", "Load the page again.", service.CHANGED)
    given = _one_of(block)
    said = fields.values(given, act.visit.form)
    said |= await _uploads(act, given)
    made = document.changed(act.document, path, said)
    if "columns" in act.visit.form:
        made = document.with_columns(made, path, _number(act.visit.field("columns")))
    what = ", ".join(sorted(name for name in said if said[name] != block.get(name))) or "columns"
    return await act.put(made, f"{words.named(block)} {act.asked.block}: {what}", typing=True), act.asked


def _one_of(block: Mapping[str, object]) -> tuple[Field, ...]:
    return (*fields.FIELDS.get(str(block.get("type")), ()), *fields.EVERY)


async def _uploads(act: Act, given: tuple[Field, ...]) -> dict[str, str]:
    """Files that came along, stored as images; the address of each in its field."""
    settings, found = act.visit.given.settings, {}
    for field in given:
        file = act.visit.files.get(f"{field.name}_file") if field.kind == "image" else None
        if file is None or not file.body:
            continue
        if not settings.public_url:
            raise conflict(
                "pictures have no address yet", "Set POSTLANE_PUBLIC_URL to where the public pages are reached."
            )
        name = "".join(sign for sign in PurePath(file.filename).name if sign.isprintable())[: images.MAX_NAME]
        try:
            image, _ = await images.add(
                act.connection, act.one.application_id, name or "picture", file.body, settings.image_bytes
            )
        except Refused as error:
            raise Refused(error.kind, error.reason, field.name, error.hint, error.code) from None
        found[field.name] = images.below(settings.public_url).removesuffix(images.PATH) + image.path
    return found


async def _look(act: Act, _rest: list[str]) -> Done:
    """What holds for the whole mail: its subject, its colours, its text part."""
    changes: dict[str, object] = {}
    if any(field.name in act.visit.form for field in fields.LOOK):
        said = fields.values(fields.LOOK, act.visit.form)
        made = document.settled(act.document, said)
        changes["body"] = (Kind.BLOCKS, document.written(made))
    if "subject" in act.visit.form:
        changes["subject"] = act.visit.field("subject")
    if "text_part" in act.visit.form:
        changes["text"] = act.visit.form["text_part"][0].replace("\r\n", "\n").strip() or None
    return await act.write("the mail as a whole", typing=True, **changes), act.asked


async def _layout(act: Act) -> str | None:
    return await chosen_id(act.connection, act.visit, "layout", "Template", act.one.application_id) or None


async def _facts(act: Act, _rest: list[str]) -> Done:
    """What is no content."""
    form = act.visit.form
    addresses = tuple(one.strip() for one in act.visit.field("reply_to").split(",") if one.strip())
    edit = Edit(
        name=act.visit.field("name") if "name" in form else UNSAID,
        alias=(act.visit.field("alias") or None) if "alias" in form else UNSAID,
        sender=act.visit.field("from") if "from" in form else UNSAID,
        reply_to=addresses if "reply_to" in form else UNSAID,
        layout=(await _layout(act)) if "layout" in form else UNSAID,
    )
    return await act.save(edit, "name, sender, layout", typing=True), act.asked


async def _code(act: Act, _rest: list[str]) -> Done:
    """What is written in a mail without blocks."""
    if act.source.kind is Kind.BLOCKS:
        raise conflict("this mail is written in blocks", "Load the page again.", service.CHANGED)
    text = (act.visit.form.get("code") or ("",))[0].replace("\r\n", "\n")
    return await act.write("the code", typing=True, body=(act.source.kind, text)), act.asked


async def _kind(act: Act, rest: list[str]) -> Done:
    """The same mail in another way of writing; to blocks there is no way but to begin anew."""
    wanted = rest[0] if rest else ""
    asked = replace(act.asked, block="", tab="")
    if wanted == "mjml" and act.source.kind is Kind.BLOCKS:
        return await act.write("blocks to MJML", body=(Kind.MJML, mjml_of(act.source))), asked
    if wanted == "html" and act.source.kind is not Kind.HTML:
        if act.version.writing.layout_id and len(act.version.writing.sources) > 1:
            raise conflict("its layout holds the other languages too", "Make MJML of it, or take the layout away.")
        built = act.version.built[act.asked.language].html  # with its layout around it
        return await act.save(act.edit(LanguageEdit((Kind.HTML, built)), layout=None), "to HTML"), asked
    if wanted == "blocks" and act.source.kind is not Kind.BLOCKS:
        return await act.put(dict(document.STARTER), "begun anew with blocks"), asked
    raise invalid("act", "it is written so already")


async def _add(act: Act, rest: list[str]) -> Done:
    """A new block: behind the chosen one, or at the end of the column that the button names."""
    kind = act.visit.field("type")
    if rest:
        where = document.path_of(rest[0])
        index = len(document.blocks_at(act.document, where))
    else:
        chosen = document.path_of(act.asked.block) or (len(act.document.get("blocks", [])) - 1,)
        where, index = (chosen[:-1], chosen[-1] + 1) if kind != "columns" else ((), chosen[0] + 1)
    made, path = document.added(act.document, where, index, kind)
    return await act.put(made, f"new: {words.NAMES.get(kind, kind)}"), _at(act, path)


async def _up(act: Act, rest: list[str]) -> Done:
    made, path = document.shifted(act.document, _path(rest), -1)
    return await act.put(made, "order"), _at(act, path)


async def _down(act: Act, rest: list[str]) -> Done:
    made, path = document.shifted(act.document, _path(rest), 1)
    return await act.put(made, "order"), _at(act, path)


async def _move(act: Act, rest: list[str]) -> Done:
    """`move FROM LIST INDEX`, LIST `-` for the document itself."""
    if len(rest) != 3:
        raise invalid("act", "it does not say whereto; load the page again")
    where = document.path_of("" if rest[1] == "-" else rest[1])
    made, path = document.moved(act.document, _path(rest), where, _number(rest[2]))
    return await act.put(made, "order"), _at(act, path)


async def _delete(act: Act, rest: list[str]) -> Done:
    path = _path(rest)
    name = words.named(document.block_at(act.document, path))
    made = document.removed(act.document, path)
    left = len(document.blocks_at(made, path[:-1]))
    chosen = (*path[:-1], min(path[-1], left - 1)) if left else path[:1]
    return await act.put(made, f"removed: {name}"), _at(act, chosen)


async def _double(act: Act, rest: list[str]) -> Done:
    made, path = document.doubled(act.document, _path(rest))
    return await act.put(made, "a copy"), _at(act, path)


async def _undo(act: Act, _rest: list[str]) -> Done:
    return await service.undo(act.connection, act.one.application_id, str(act.one.id), act.seen), act.asked


async def _redo(act: Act, _rest: list[str]) -> Done:
    return await service.redo(act.connection, act.one.application_id, str(act.one.id), act.seen), act.asked


async def _publish(act: Act, _rest: list[str]) -> Done:
    return await service.publish(act.connection, act.one.application_id, str(act.one.id), act.seen), act.asked


async def _version(act: Act, rest: list[str]) -> Done:
    """An earlier version, as the draft."""
    number = _number(rest[0] if rest else "")
    one = act.one
    return await service.bring_back(act.connection, one.application_id, str(one.id), number, act.seen), act.asked


async def _speak(act: Act, _rest: list[str]) -> Done:
    """Another language, which begins with what the main one says."""
    tag = act.visit.field("tag")
    if tag in act.version.writing.sources:
        raise invalid("tag", "it is there already")
    main = act.version.writing.sources[DEFAULT]
    edit = Edit(languages={tag: LanguageEdit((main.kind, main.body), main.subject)})
    try:
        made = await act.save(edit, f"language {tag}")
    except Refused as error:
        if error.field.startswith("languages."):
            raise Refused(error.kind, error.reason, "tag", error.hint, error.code) from None
        raise
    return made, replace(act.asked, language=tag, tab="", block="")


async def _silence(act: Act, _rest: list[str]) -> Done:
    """Without the language that is written in."""
    if act.asked.language == DEFAULT:
        raise invalid("", "the main language stays: it is for everybody who has none of the others")
    made = await act.save(Edit(languages={act.asked.language: None}), f"without {act.asked.language}")
    return made, replace(act.asked, language=DEFAULT, block="")


def _at(act: Act, path: Path) -> Asked:
    return replace(act.asked, block=document.shown(path), tab="")


def _path(rest: list[str]) -> Path:
    return document.path_of(rest[0] if rest else "")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise invalid("act", "it names no number; load the page again")
    return int(text)


_ACTS: Final[Mapping[str, Callable[[Act, list[str]], Awaitable[Done]]]] = {
    "block": _block, "look": _look, "facts": _facts, "code": _code, "kind": _kind, "add": _add, "up": _up,
    "down": _down, "move": _move, "delete": _delete, "double": _double, "undo": _undo, "redo": _redo,
    "publish": _publish, "version": _version, "speak": _speak, "silence": _silence,
}  # fmt: skip
