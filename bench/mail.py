"""The mail that is sent: about 5 KB on the wire, HTML and text, each copy with its own recipient and greeting.

Pure. What all copies share is made ready once, so that the load generator spends microseconds on a mail. Texts are
ASCII in lines below 100 characters, so nothing needs to be encoded; an accent would cost quoted-printable on top.
"""

import json
import random
from collections.abc import Iterable, Iterator
from hashlib import md5

SENDER_DOMAIN = "news.bench.sim"
BULK_ZONE = "bench.sim"
"""Marketing recipients: `d0.bench.sim` and so on, taken by smtp-sink."""
TIMED_ZONE = "timed.sim"
"""Recipients whose arrival is timed one by one: `d0.timed.sim` and so on, taken by the sink in this process."""

_TEXT_LINES = 30
_HTML_ROWS = 27
_SEED = 5322


def domain(number: int, zone: str, domains: int) -> str:
    """The recipient domain of mail `number`: one after the other."""
    return f"d{number % domains}.{zone}"


def recipient(number: int, zone: str, domains: int, run: str = "") -> str:
    """The recipient of mail `number` of a run. Local parts are hashes: look-ups then fall anywhere in an index of
    the suppression list, as those of real addresses do, and not on one page of it."""
    return f"{local_part(number, run)}@{domain(number, zone, domains)}"


def local_part(number: int, run: str) -> str:
    """20 hexadecimal digits, others for each mail of each run."""
    return md5(f"{run}/{number}".encode(), usedforsecurity=False).hexdigest()[:20]


class MailBodies:
    """JSON of emails, put together from parts that are already encoded."""

    def __init__(self, stream: str, *, links: int = 0, tracked: bool = False) -> None:
        """`links`: so many rows of the HTML are links; `tracked`: opens and clicks are asked for."""
        words = _words()
        text = "\\n".join(" ".join(next(words) for _ in range(10)) for _ in range(_TEXT_LINES))
        rows = "\\n".join(
            f"<tr><td style='padding:4px'>{_row(' '.join(next(words) for _ in range(7)), number, links)}</td></tr>"
            for number in range(_HTML_ROWS)
        )
        asked = '"open_tracking":true,"click_tracking":true,' if tracked else ""
        self._head = f'{{"from":"Bench <news@{SENDER_DOMAIN}>","stream":"{stream}",{asked}"to":"'
        self._text = f'. Thank you for reading.\\n\\n{text}\\n","html":"<html><body>\\n<p>Hello reader '
        self._html = f'. Thank you for reading.</p>\\n<table>\\n{rows}\\n</table>\\n</body></html>\\n"}}'

    def one(self, number: int, to: str) -> str:
        """One email as JSON."""
        return (
            f'{self._head}{to}","subject":"News number {number} for you","text":"Hello reader {number}'
            f"{self._text}{number}{self._html}"
        )

    def texts(self, number: int) -> tuple[str, str]:
        """HTML and text of mail `number`, for rows that do not come through the API."""
        email = json.loads(self.one(number, ""))
        return email["html"], email["text"]

    def batch(self, numbered: Iterable[tuple[int, str]]) -> bytes:
        """The body of a `POST /emails/batch`."""
        return f"[{','.join(self.one(number, to) for number, to in numbered)}]".encode()


def _row(words: str, number: int, links: int) -> str:
    return f"<a href='https://shop.bench.sim/{number}?from=mail'>{words}</a>" if number < links else words


def _words() -> Iterator[str]:
    """Words of 3 to 9 letters, the same ones in every run."""
    letters = random.Random(_SEED)  # filler text, nothing secret
    stock = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(3, 9))) for _ in range(500)]
    while True:
        yield letters.choice(stock)
