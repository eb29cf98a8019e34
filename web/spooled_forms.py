"""Forms that bring a large file: the body goes to the disk as it comes, and is never in memory whole.

A browser shows the answer to what it has sent to its end, and a broken connection instead of a refusal that comes
before; so a body that is too long is read on, and thrown away, up to `_READ_ON` times its bound.
"""

import asyncio
import mmap
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Final

from fastapi import Request

from web.bodies import BodyTooLargeError
from web.forms import LARGEST, Form, read_form
from web.multipart import Place, places

_READ_ON: Final = 4
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """A file that came with a form."""

    filename: str
    size: int
    stream: IO[bytes]
    """From its beginning; closed with the request."""


async def read_spooled(request: Request, limit: int, kept: ExitStack) -> tuple[Form, Mapping[str, FileOnDisk]]:
    """The fields, and the files by their fields, which are there until `kept` closes. Raises BodyTooLargeError."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        return await read_form(request), {}
    with tempfile.TemporaryFile() as body:
        size = await _received(request, limit, body)
        if not size:
            return {}, {}
        return await asyncio.to_thread(_split, kind, body, kept)


async def _received(request: Request, limit: int, body: IO[bytes]) -> int:
    declared, size, piece = request.headers.get("content-length", ""), 0, bytearray()
    if declared.isdecimal() and int(declared) > limit * _READ_ON:
        raise BodyTooLargeError(limit)
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit * _READ_ON:
            break
        piece += chunk if size <= limit else b""
        if len(piece) >= _PIECE:
            await asyncio.to_thread(body.write, bytes(piece))
            piece.clear()
    if size > limit:
        raise BodyTooLargeError(limit)
    await asyncio.to_thread(body.write, bytes(piece))
    body.flush()
    return size


def _split(kind: str, body: IO[bytes], kept: ExitStack) -> tuple[Form, Mapping[str, FileOnDisk]]:
    fields: dict[str, list[str]] = {}
    files: dict[str, FileOnDisk] = {}
    with mmap.mmap(body.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for name, place in places(kind, mapped):
            if place.filename:
                files[name] = _copy(mapped, place, kept)
            elif place.ends - place.begins <= LARGEST:
                text = mapped[place.begins : place.ends].decode("utf-8", "replace")
                fields.setdefault(name, []).append(text)
    return fields, files


def _copy(mapped: mmap.mmap, place: Place, kept: ExitStack) -> FileOnDisk:
    stream = kept.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # closed by `kept`
    for at in range(place.begins, place.ends, _PIECE):
        stream.write(mapped[at : min(at + _PIECE, place.ends)])
    stream.seek(0)
    return FileOnDisk(place.filename, place.ends - place.begins, stream)
