"""The receiving end of webhooks: a process that answers 200 to every POST, as cheaply as can be.

It reads the head as far as the length of the body and nothing else; `python -m bench.receiver PORT` runs it.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator

import uvloop

from bench.world import World, free_port, run_process
from cli.running.processes import Process, Service
from cli.running.supervisor import tcp_ready

_HOST = "127.0.0.1"
_LENGTH = b"content-length:"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def receiver(world: World) -> Iterator[tuple[str, int]]:
    """Its URL and process id while it runs."""
    port = free_port((_HOST,))
    command = (sys.executable, "-m", "bench.receiver", str(port))
    process = Process(Service("receiver", command, ready=tcp_ready(_HOST, port)), world.options.folder / "receiver.out")
    with contextlib.ExitStack() as stack:
        run_process(stack, process)
        assert process.pid is not None
        yield f"http://{_HOST}:{port}/", process.pid


class _Answering(asyncio.Protocol):
    # asyncio declares BaseTransport, of which one cannot write; TCP and TLS always give this one.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (size := _request(self._buffer)) is not None:
            self._buffer = self._buffer[size:]
            self._transport.write(_ANSWER)


def _request(data: bytes) -> int | None:
    """Bytes of the request that `data` begins with; None while it is not all there."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return None
    at = head.lower().find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    size = len(head) + 4 + length
    return size if len(data) >= size else None


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, _HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
