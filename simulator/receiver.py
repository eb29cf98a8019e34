"""An application that is told of events: receives webhooks on loopback, checks their signatures, keeps the last ones.

The first word of the path says how it answers, as local parts do for mail: `/ok`, `/fail` (503), `/fail+2` (so twice,
then 200), `/hang` (not at all), `/redirect` (to `/stolen`), `/gone` (410). What follows tells endpoints apart:
`/fail/shop`. Signatures are those of Standard Webhooks, checked once a secret is known; before, nothing is taken.
"""

import base64
import hmac
import json
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simulator.loopback import require_loopback

KEPT = 2_000
"""Requests that are remembered."""
_LARGEST = 1024 * 1024
_OLDEST_SECONDS = 300.0
"""A signature is good for so long (Standard Webhooks: a few minutes)."""
_HANG_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Told:
    """One request."""

    id: str
    type: str
    about: str
    """Whom or what: the recipients of the email, else the first name in it."""
    at: float
    """Seconds since the epoch."""
    path: str
    status: int
    """What was answered; 0 for nothing at all."""
    signed: bool
    body: str


class Receiver:
    """Listens from `start` to `stop`, in threads of its own."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._told: deque[Told] = deque(maxlen=KEPT)
        self._failed: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self, address: str, port: int) -> int:
        """Listen; the port. Raises OSError."""
        require_loopback(address)
        self._server = ThreadingHTTPServer((address, port), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="receiver", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Answer nobody any more."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def trust(self, secret: str) -> None:
        """Take what is signed with this secret (`whsec_…`) from now on. Raises ValueError."""
        self._keys.append(base64.b64decode(secret.removeprefix("whsec_"), validate=True))

    def told(self) -> list[Told]:
        """The last requests, oldest first."""
        return list(self._told)

    def clear(self) -> None:
        """Forget requests and failures; secrets stay."""
        self._told.clear()
        self._failed.clear()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status to answer; 0: none."""
        signed = is_signed(self._keys, headers, body, time.time())
        status = self._answer(path) if signed else (401 if self._keys else 503)
        self._told.append(_told(path, headers, body, status, signed=signed))
        return status

    def hang(self) -> None:
        """Wait until the end, or until nobody can be waiting any more."""
        self._stopping.wait(_HANG_SECONDS)

    def _answer(self, path: str) -> int:
        word, _, argument = path.strip("/").partition("/")[0].partition("+")
        if word == "fail":
            self._failed[path] += 1
            return 503 if not argument.isdigit() or self._failed[path] <= int(argument) else 200
        return {"hang": 0, "redirect": 302, "gone": 410}.get(word, 200)


def is_signed(keys: list[bytes], headers: dict[str, str], body: bytes, now: float) -> bool:
    """Whether one of the keys made one of the signatures, lately."""
    identifier, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit()) or abs(now - int(at)) > _OLDEST_SECONDS:
        return False
    signed = f"{identifier}.{at}.".encode() + body
    given = headers.get("webhook-signature", "").split()
    made = ["v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    return any(hmac.compare_digest(one, other) for one in made for other in given)


def _told(path: str, headers: dict[str, str], body: bytes, status: int, *, signed: bool) -> Told:
    text = body.decode("utf-8", "replace")
    try:
        event = json.loads(text)
        kind, about = str(event["type"]), _about(event["data"])
    except (ValueError, KeyError, TypeError):
        kind, about = "", ""
    return Told(headers.get("webhook-id", ""), kind, about, time.time(), path, status, signed, text)


def _about(data: dict[str, object]) -> str:
    to = data.get("to") or data.get("email") or data.get("name") or data.get("ip") or ""
    return ", ".join(map(str, to)) if isinstance(to, list) else str(to)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > _LARGEST:
                self.close_connection = True
                self._say(413)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.path, headers, self.rfile.read(int(length)))
            if status:
                self._say(status)
            else:
                receiver.hang()
                self.close_connection = True

        def _say(self, status: int) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/stolen")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """What came is shown by `postlane simulator webhooks`."""

    return Handler
