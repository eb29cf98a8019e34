"""A SOCKS5 proxy for tests: a real twin of the one on a sending host, on loopback (RFC 1928, RFC 1929; CONNECT only).

It binds `external` for its connections, as danted does, asks for a password when it has users, and answers what became
of the connection. `answer` forces a reply code; `mute` and `hang_up` name the step ("greeting", "login", "connect") at
which it says nothing, or hangs up. What it saw is in `logins` and `targets`.
"""

import asyncio
import errno
import ipaddress
from collections.abc import Mapping
from typing import Self

_CODES = {errno.ECONNREFUSED: 5, errno.ENETUNREACH: 3, errno.EHOSTUNREACH: 4, errno.ETIMEDOUT: 6}


class SocksProxy:
    """One listening proxy: `async with SocksProxy("127.0.1.5") as proxy`."""

    def __init__(
        self,
        external: str,
        users: Mapping[str, str] | None = None,
        *,
        answer: int | None = None,
        mute: str = "",
        hang_up: str = "",
    ) -> None:
        self.external = external
        self.users = dict(users or {})
        self.answer = answer
        self.mute = mute
        self.hang_up = hang_up
        self.port = 0
        self.greetings = 0
        self.logins: list[str] = []
        self.targets: list[tuple[str, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def via(self, login: str = "") -> str:
        """How an IP says that it is used through this proxy."""
        return f"socks5://{login and login + '@'}127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._greet(reader, writer) and await self._log_in(reader, writer):
            await self._connect(reader, writer)

    async def _goes_on(self, step: str, reader: asyncio.StreamReader) -> bool:
        if self.mute == step:
            await reader.read()  # until the client has had enough
        return step not in (self.mute, self.hang_up)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        self.greetings += 1
        if not await self._goes_on("greeting", reader):
            return False
        wanted = 2 if self.users else 0
        writer.write(bytes((5, wanted if wanted in methods else 0xFF)))
        return wanted in methods

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not self.users:
            return True
        user = (await reader.readexactly((await reader.readexactly(2))[1])).decode()
        password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        self.logins.append(user)
        if not await self._goes_on("login", reader):
            return False
        right = self.users.get(user) == password
        writer.write(bytes((1, 0 if right else 1)))
        return right

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, command, _, kind = await reader.readexactly(4)
        assert (command, kind) in ((1, 1), (1, 4)), "a CONNECT to an address, never to a name"
        address = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.targets.append((address, port))
        if not await self._goes_on("connect", reader):
            return
        code = self.answer or 0
        try:
            if not code:
                far_reader, far_writer = await asyncio.open_connection(address, port, local_addr=(self.external, 0))
        except OSError as error:
            code = _CODES.get(error.errno or 0, 1)
        bound = ipaddress.ip_address(self.external)
        writer.write(bytes((5, code, 0, 1 if bound.version == 4 else 4)) + bound.packed + b"\0\0")
        if code:
            await writer.drain()
            return
        try:
            await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
