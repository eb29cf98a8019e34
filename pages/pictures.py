"""Images as the pages serve them: read from PostgreSQL once in a while, however many ask."""

from typing import Final

from core.remembered import Remembered
from store.database import Database
from templates import images
from templates.pictures import PictureType

KEPT: Final = 32
"""Images in memory, of at most 2 MB each."""
_SECONDS: Final = 600.0
"""A deleted image is gone after that."""


def remembered_images(database: Database) -> Remembered[str, tuple[PictureType, bytes] | None]:
    """Type and bytes by hash; None where there is no such image."""

    async def load(digest: str) -> tuple[PictureType, bytes] | None:
        async with database.connection() as connection:
            return await images.content(connection, digest)

    return Remembered(load, _SECONDS, most=KEPT)
