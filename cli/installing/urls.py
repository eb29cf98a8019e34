"""Whether the URL of a server can stand in the files that `postlane install` lays out, as those who use it read it."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import psycopg

from core import broker

DATABASE: Final = "POSTLANE_DATABASE_URL"
QUEUE: Final = "POSTLANE_REDIS_URL"
EXAMPLES: Final = {
    DATABASE: "postgresql://postlane:PASSWORD@127.0.0.1:5432/postlane",
    QUEUE: "redis://:PASSWORD@127.0.0.1:6379/0",
}

_UNQUOTED: Final = re.compile(r"""[\s\x00-\x1f\x7f"'\\]|\$\{""")
"""What a line of settings would read otherwise than it was meant."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def trouble(name: str, url: str) -> str:
    """What is wrong with it, without quoting a password; "" when nothing is."""
    if _UNQUOTED.search(url):
        return "has a blank, a quotation mark, a backslash or ${ in it: write those as %20 and the like"
    try:
        said = _read(name, url)
        decoded = "".join(unquote(part or "", errors="strict") for part in urlsplit(url)[1:4])
    except ValueError:
        return f"cannot be read: it should look like {EXAMPLES[name]}"
    if said:
        return said
    if _CONTROL.search(decoded):
        return "has a control character in it, such as %0a: choose another password"
    return ""


def _read(name: str, url: str) -> str:
    if name == DATABASE:
        return _postgresql(url)
    try:
        broker.read(url)
    except ValueError as error:
        return f"{error}; it should look like {EXAMPLES[name]}"
    return ""


def _postgresql(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        return f"must be a URL that begins with postgresql://; it should look like {EXAMPLES[DATABASE]}"
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:  # its message may hold the password
        raise ValueError from None
    return ""
