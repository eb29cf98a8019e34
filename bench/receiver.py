"""The receiving end of webhooks: a process that answers 200 to every POST, as cheaply as can be.

It reads each request to its end, by the length of its body, and nothing else of it; `python -m bench.receiver PORT`
runs it.
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
_LENGTH = b"\r\ncontent-length:"
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
        if self._buffer:
            data = self._buffer + data
        while size := _request(data):
            self._transport.write(_ANSWER)
            data = data[size:]
        self._buffer = data


def _request(data: bytes) -> int:
    """Bytes of the request that `data` begins with; 0 while it is not all there."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return 0
    at = head.rfind(_LENGTH)
    if at < 0:  # or written otherwise than by us
        at = head.lower().rfind(_LENGTH)
    length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
    size = len(head) + 4 + length
    return size if len(data) >= size else 0


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, _HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
