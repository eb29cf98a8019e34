"""Images of mail: kept by their hash, in PostgreSQL, which all hosts of an installation share.

The address of an image is its content's hash, so it may be kept by everybody for ever, and the same file is stored
once for an application. `pages/routes/images` serves them. Every function works on the caller's connection and never
commits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import conflict, invalid, not_found
from store.database import Connection
from store.paging import newest_first
from templates.pictures import PictureType, picture

PATH: Final = "/i/"
HASH_LENGTH: Final = 40
"""Hexadecimal digits of SHA-256 in an address."""
MAX_NAME: Final = 200

_COLUMNS: Final = "id, application_id, hash, name, type, width, height, size, created_at"


@dataclass(frozen=True, slots=True)
class Image:
    """A stored image without its bytes."""

    id: UUID
    application_id: UUID
    hash: str
    name: str
    type: PictureType
    width: int
    height: int
    size: int
    """Bytes."""
    created_at: datetime

    @property
    def path(self) -> str:
        """Below the address of the public pages."""
        return f"{PATH}{self.hash}.{self.type.ending}"


def below(public_url: str) -> str:
    """Where all images are: below this address; "" where there are no public pages."""
    return f"{public_url.rstrip('/')}{PATH}" if public_url else ""


async def add(connection: Connection, application_id: UUID, name: str, data: bytes, most: int) -> tuple[Image, bool]:
    """The image, and whether it is new: the same content is stored once. `most` is the bytes that an application may
    have. Raises Refused."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise invalid("name", f"it must be one line of 1 to {MAX_NAME} characters")
    try:
        found = picture(data)
    except ValueError as error:
        raise invalid("content", str(error)) from None
    digest = hashlib.sha256(data).hexdigest()[:HASH_LENGTH]
    known = await _by_hash(connection, application_id, digest)
    if known is not None:
        return known, False
    await _make_room(connection, application_id, len(data), most)
    cursor = await connection.execute(
        "INSERT INTO images (id, application_id, hash, name, type, width, height, size, data)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        f" ON CONFLICT (application_id, hash) DO UPDATE SET hash = excluded.hash RETURNING {_COLUMNS}",
        [
            uuid7(), application_id, digest, name, found.type.value, found.width, found.height, len(data), data,
        ],
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None
    return _image(row), True


async def _make_room(connection: Connection, application_id: UUID, size: int, most: int) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 22))", [f"images {application_id}"])
    cursor = await connection.execute(
        "SELECT coalesce(sum(size), 0) FROM images WHERE application_id = %s", [application_id]
    )
    row = await cursor.fetchone()
    if row is not None and row[0] + size > most:
        raise conflict(
            f"the images of this application have {row[0] // 1024 // 1024} MB, and {most // 1024 // 1024} are allowed",
            "Delete some, or let the operator raise POSTLANE_IMAGE_MEGABYTES.",
        )


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Image]:
    """The application's images, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM images WHERE application_id = %(application)s AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_image)


async def get(connection: Connection, application_id: UUID, image_id: UUID) -> Image:
    """An image of the application. Raises Refused when there is none."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM images WHERE id = %s AND application_id = %s", [image_id, application_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Image not found")
    return _image(row)


async def delete(connection: Connection, application_id: UUID, image_id: UUID) -> Image:
    """Remove an image: mail that shows it, also sent mail, shows its `alt` from then on. Raises Refused."""
    found = await get(connection, application_id, image_id)
    await connection.execute("DELETE FROM images WHERE id = %s", [image_id])
    return found


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """All images of an application that is deleted."""
    await connection.execute("DELETE FROM images WHERE application_id = %s", [application_id])


async def content(connection: Connection, digest: str) -> tuple[PictureType, bytes] | None:
    """Type and bytes of whoever's image of this hash."""
    cursor = await connection.execute("SELECT type, data FROM images WHERE hash = %s LIMIT 1", [digest])
    row = await cursor.fetchone()
    return (PictureType(row[0]), bytes(row[1])) if row else None


async def _by_hash(connection: Connection, application_id: UUID, digest: str) -> Image | None:
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM images WHERE application_id = %s AND hash = %s", [application_id, digest]
    )
    row = await cursor.fetchone()
    return _image(row) if row else None


def _image(row: Sequence[Any]) -> Image:
    identifier, application_id, digest, name, kind, *rest = row
    return Image(identifier, application_id, digest, name, PictureType(kind), *rest)
