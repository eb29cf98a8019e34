"""Feedback loops that are known, and the proof that a report is theirs: its DKIM signature (RFC 6376).

`mta/loops.toml` and the operator's own file list them. A report that carries a token of ours needs no proof: whoever
quotes it has had our mail. Strangers cause no DNS question: only signatures in the name of a known loop are looked at,
and the question is asked of our own resolver before dkimpy works on what was answered.
"""

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Final

import dkim

from core.errors import ConfigurationError
from mta.report_parts import Part

_SHIPPED: Final = Path(__file__).with_name("loops.toml")
_FIELDS: Final = {"name", "domain", "sender", "source"}
_SIGNATURES: Final = 5
"""Of one mail that are looked at."""
_SMALLEST_KEY: Final = 1024
_TAG = re.compile(r"(?:^|;)\s{0,20}([ads])\s{0,20}=\s{0,20}([A-Za-z0-9._-]{1,253})")
_BLANKS = re.compile(rb"[ \t]{500}")
"""dkimpy's canonical form is quadratic in a run of blanks; no loop sends one."""

Txt = Callable[[str], Awaitable[list[str]]]
"""TXT records of a name; `UnavailableError` when nobody answers."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One feedback loop."""

    name: str
    domain: str
    sender: str = ""

    def claims(self, domain: str, sender: str) -> bool:
        """Whether a signature of this domain on mail from this address would be the loop's."""
        own = domain == self.domain or domain.endswith(f".{self.domain}")
        return own and self.sender in ("", sender)


def load_loops(*files: Path) -> tuple[Loop, ...]:
    """The shipped loops and those of the operator's files. Raises ConfigurationError that names file and entry."""
    return tuple(loop for file in (_SHIPPED, *files) for loop in _read(file))


def _read(file: Path) -> list[Loop]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")).get("loop", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"The feedback loops in {file} cannot be read: {error}") from None
    return [_loop(table, number, file) for number, table in enumerate(tables, 1)]


def _loop(table: object, number: int, file: Path) -> Loop:
    if not isinstance(table, dict) or not {"name", "domain"} <= table.keys() <= _FIELDS:
        raise ConfigurationError(f"Loop {number} in {file} needs name and domain, and may have sender and source.")
    name, domain, sender = (str(table.get(field, "")) for field in ("name", "domain", "sender"))
    return Loop(name, domain.lower().strip("."), sender.lower())


async def proven_loop(raw: bytes, whole: Part, loops: Sequence[Loop], txt: Txt) -> str:
    """The name of the loop that signed this mail, "" for none. Raises UnavailableError when its key cannot be asked
    for: then nobody knows yet."""
    sender = parseaddr(whole.first("from"))[1].lower()
    claimed = [_claim(value, sender, loops) for value in whole.headers.get("dkim-signature", ())[:_SIGNATURES]]
    names = {record for claim in claimed if claim is not None for record in [claim[1]]}
    if not names or _BLANKS.search(raw):
        return ""
    keys = {name: await txt(name) for name in sorted(names)}
    return await asyncio.to_thread(_first_valid, raw, claimed, keys)


def _claim(value: str, sender: str, loops: Sequence[Loop]) -> tuple[str, str] | None:
    """Name of the loop that a signature is said to be of, and where its key would be."""
    tags = dict(_TAG.findall(value))
    domain = tags.get("d", "").lower()
    loop = next((loop for loop in loops if loop.claims(domain, sender)), None)
    return (loop.name, f"{tags['s'].lower()}._domainkey.{domain}") if loop is not None and "s" in tags else None


def _first_valid(raw: bytes, claimed: Sequence[tuple[str, str] | None], keys: Mapping[str, list[str]]) -> str:
    def published(name: bytes, timeout: int = 0) -> bytes | None:
        texts = keys.get(name.decode("ascii", "replace").rstrip(".").lower(), [])
        return texts[0].encode() if len(texts) == 1 else None

    for index, claim in enumerate(claimed):
        if claim is not None and _verifies(raw, index, published):
            return claim[0]
    return ""


def _verifies(raw: bytes, index: int, published: Callable[..., bytes | None]) -> bool:
    try:
        return bool(dkim.DKIM(raw, minkey=_SMALLEST_KEY).verify(index, dnsfunc=published))
    except (dkim.DKIMException, ValueError, TypeError, AttributeError, IndexError):
        # dkimpy trips over signatures and keys in more ways than it has exceptions for.
        return False
