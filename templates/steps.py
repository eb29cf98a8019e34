"""Steps of a draft: what was written after each change, so that changes can be taken back and made again. Bounded.

Number 0 is how it was before the first change; `templates.step` says at which one the draft is. A change cuts off what
was taken back before. Changes of one thing by one person that follow each other within seconds are one step: typing is
not undone letter by letter, and what two typed is not undone as if it were one's.

Every function works on the caller's connection and never commits; the caller has its turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from store.database import Connection
from templates.build import Kind, Source
from templates.model import Change, Variable, VariableType, Writing

MOST: Final = 50
"""Steps of a template."""
MOST_CHARACTERS: Final = 4 * 1024 * 1024
"""Of all its steps; the newest two stay whatever they hold."""
TOGETHER_SECONDS: Final = 20
"""How long changes of one thing are one step."""

_JOIN: Final = """
UPDATE template_steps SET writing = %(writing)s
 WHERE template_id = %(template)s AND number = %(step)s AND number > 0 AND what = %(what)s AND %(typing)s
   AND at > now() - make_interval(secs => %(together)s) AND user_id IS NOT DISTINCT FROM %(who)s
   AND NOT EXISTS (SELECT FROM template_steps l WHERE l.template_id = %(template)s AND l.number > %(step)s)
RETURNING number
"""
_INSERT: Final = "INSERT INTO template_steps (template_id, number, what, writing, user_id) VALUES (%s, %s, %s, %s, %s)"
_BOUND: Final = """
DELETE FROM template_steps s
 USING (SELECT number, sum(length(writing)) OVER (ORDER BY number DESC) AS upto, max(number) OVER () AS newest
          FROM template_steps WHERE template_id = %(template)s) k
 WHERE s.template_id = %(template)s AND s.number = k.number AND k.number < k.newest - 1
   AND (k.upto > %(characters)s OR k.number <= k.newest - %(most)s)
"""
_AROUND: Final = """
SELECT b.number, h.what, h.user_id, a.number, a.what, a.user_id
  FROM templates t
  LEFT JOIN template_steps h ON h.template_id = t.id AND h.number = t.step
  LEFT JOIN LATERAL (SELECT number FROM template_steps s WHERE s.template_id = t.id AND s.number < t.step
                      ORDER BY number DESC LIMIT 1) b ON true
  LEFT JOIN LATERAL (SELECT number, what, user_id FROM template_steps s WHERE s.template_id = t.id AND s.number > t.step
                      ORDER BY number LIMIT 1) a ON true
 WHERE t.id = %s
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What can be taken back and made again: the number of the step to go to, what changed there, and who did."""

    undo: int | None
    undone: str
    undone_by: UUID | None
    redo: int | None
    redone: str
    redone_by: UUID | None


async def note(connection: Connection, template_id: UUID, writings: tuple[Writing, Writing], change: Change) -> None:
    """A change of the draft: what was written before, and after."""
    before, after = writings
    cursor = await connection.execute(
        "SELECT t.step, EXISTS (SELECT FROM template_steps s WHERE s.template_id = t.id) FROM templates t"
        " WHERE t.id = %s",
        [template_id],
    )
    row = await cursor.fetchone()
    assert row is not None, "it is there"
    step, begun = row
    if not begun:
        await connection.execute(_INSERT, [template_id, step, "", to_json(before), None])
    names = {
        "template": template_id, "step": step, "what": change.what, "typing": change.typing, "writing": to_json(after),
        "together": TOGETHER_SECONDS, "characters": MOST_CHARACTERS, "most": MOST,
        "who": change.who,
    }  # fmt: skip
    await _next(connection, names)


async def _next(connection: Connection, names: Mapping[str, Any]) -> None:
    template_id, step, *said = (names[name] for name in ("template", "step", "what", "writing", "who"))
    if await (await connection.execute(_JOIN, names)).fetchone() is not None:
        return
    await connection.execute("DELETE FROM template_steps WHERE template_id = %s AND number > %s", [template_id, step])
    await connection.execute(_INSERT, [template_id, step + 1, *said])
    await connection.execute("UPDATE templates SET step = %s WHERE id = %s", [step + 1, template_id])
    await connection.execute(_BOUND, names)


async def around(connection: Connection, template_id: UUID) -> Around:
    """Where one can go from here."""
    row = await (await connection.execute(_AROUND, [template_id])).fetchone()
    assert row is not None, "it is there"
    before, here, by, after, what, again_by = row
    if before is None:  # the first step is how it was, and nobody's
        here = by = None
    return Around(before, here or "", by, after, what or "", again_by)


async def go(connection: Connection, template_id: UUID, number: int) -> Writing:
    """Be at a step; what was written there."""
    cursor = await connection.execute(
        "SELECT writing FROM template_steps WHERE template_id = %s AND number = %s", [template_id, number]
    )
    row = await cursor.fetchone()
    assert row is not None, "the caller has just seen it"
    await connection.execute("UPDATE templates SET step = %s WHERE id = %s", [number, template_id])
    return from_json(row[0])


def to_json(writing: Writing) -> str:
    """As it is stored."""
    sources = {
        tag: [one.kind.value, one.body, one.subject, one.text] for tag, one in writing.sources.items()
    }  # fmt: skip
    variables = [[one.key, one.type.value, one.fallback] for one in writing.variables]
    return orjson.dumps(
        {
            "sources": sources, "sender": writing.sender, "reply_to": writing.reply_to, "variables": variables,
            "layout": writing.layout_id,
        }
    ).decode()  # fmt: skip


def from_json(text: str) -> Writing:
    """The same back."""
    known: dict[str, Any] = orjson.loads(text)
    sources = {tag: Source(Kind(kind), *rest) for tag, (kind, *rest) in known["sources"].items()}
    variables = tuple(Variable(key, VariableType(kind), value) for key, kind, value in known["variables"])
    layout = UUID(known["layout"]) if known["layout"] else None
    return Writing(sources, known["sender"], tuple(known["reply_to"]), variables, layout)
