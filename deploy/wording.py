"""The rules of wording that a machine can hold: one word for one thing, how headings, numbers and units are written.

Pure. What each means and why stands in docs/console.md, "Words". A text that has to break one says so in `EXCUSED`.
"""

import re
from collections.abc import Iterator
from typing import Final

ONE_WORD: Final = {
    r"e-mails?": "mail, or email for what an application sends",
    r"log[- ]?(?:in|out|on)|logged (?:in|out)|sign[- ]?on|signin|signout": "sign in, sign out",
    r"2FA|two[- ]factor|MFA": "second factor",
    r"blacklists?|block list": "suppression list, or blocklist for that of a third party",
    r"whitelists?": "allowed",
    r"subscribers?": "person, people",
    r"mailing lists?": "list",
    r"warmups?": "warm-up, and to warm up",
    r"web[- ]hooks?": "webhook",
    r"mailbox providers?|ISPs?": "provider",
    r"IP address(?:es)?": "IP",
    r"(?:spam|abuse) complaints?": "complaint",
    r"opt(?:ed)?[- ](?:in|out)s?": "take or leave a topic",
    r"timezones?|time-zones?": "time zone",
    r"filenames?": "file name",
    r"query|queries|NULL|boolean|integer|regex|payload": "what it is for people",
    r"utili[sz]e[sd]?|leverag\w+|functionality|seamless\w*": "a plain word",
    r"simply|easily|successfully|please|sorry|oops|kindly": "nothing: what happened, and what to do",
    r"click here": "what the link leads to",
    r"whilst|hereby|thus|thereof|shall": "a plain word",
}
"""What is not said, and the word that is."""

_NAMES: Final = (
    "A A/B API ARF BCC BIMI CC CNAME CSS CSV Connect DKIM DMARC DNS DSN Ed25519 EHLO From Gmail Google HTML"
    " HTTP HTTPS I ID IMAP IP IPs IPv4 IPv6 JSON KB List-Unsubscribe MB MIME MJML MTA MTA-STS MX Message-ID"
    " Microsoft Node OpenID PTR PostgreSQL Postlane Postmaster Python Reply-To Resend SMTP SNDS SPF SVG Score"
    " Sender Subject TLS TLS-RPT TOTP TXT To URL URLs UTC UTM Valkey Yahoo English Deutsch Español Français"
)
PROPER: Final = frozenset(_NAMES.split())
"""Words that keep their capital within a heading."""

_RULES: Final = {
    "no exclamation mark": r"!(?![=\[])",
    "… and not three dots": r"\.\.\.",
    "a number and its unit stand apart: 4 %, 10 MB": r"\b\d+(?:%|ms\b|KB\b|MB\b|GB\b|min\b|hours?\b)",
    "thousands are told by commas": r"(?<![\w.:#/-])\d{5,}(?![\w:/-])",
    "“ ” around what is quoted": r'(?<!=)"[A-Za-z]',
    "one blank between sentences": r"[.?]  +[A-Z]",
}

EXCUSED: Final = frozenset(
    {
        'country == "AT"',  # as a condition of a mail is written
        '[Such as plan = "pro" and opened in last 90 days. Empty: a list.|Such as plan = "pro" and opened in last 90'
        " days.]",  # a filter, as it is typed
    }
)
"""Texts that break a rule, each with its reason beside it."""
_COMMAND: Final = re.compile(r"postlane [a-z][^.;]*")
"""What is typed is spelled as the command line has it."""
_SAYS_NOTHING: Final = ("Submit", "OK", "Ok", "Yes", "No", "Go")
"""Buttons say what they do."""


def broken(kind: str, text: str) -> Iterator[str]:
    """What is wrong with one text."""
    if text in EXCUSED:
        return
    plain = re.sub(r"\{[^}]*\}", "{}", _COMMAND.sub("", text))
    for words, right in ONE_WORD.items():
        if found := re.search(rf"(?<![\w`_.-])(?:{words})(?![\w`_-])", plain, re.I):
            yield f"“{found[0]}”: say {right}"
    for rule, pattern in _RULES.items():
        if re.search(pattern, plain):
            yield rule
    if kind == "button" and plain in _SAYS_NOTHING:
        yield "a button says what it does"
    if kind in ("heading", "button", "label", "column") and (capital := _capital(plain)):
        yield f"sentence case: “{capital}”"
    if kind in ("button", "column", "label") and plain.endswith(".") and plain.count(".") == 1:
        yield f"a {kind} ends without a full stop"


def _capital(text: str) -> str:
    """A word within a heading that has a capital it should not have; "" for none."""
    for sentence in re.split(r"(?<=[.?:])\s|[\[|\]]|→", text):
        words: list[str] = re.findall(r"[^\s,;()“”/]+", sentence)
        for word in words[1:]:
            bare = word.strip(".?:,'\N{RIGHT SINGLE QUOTATION MARK}").removesuffix("\N{RIGHT SINGLE QUOTATION MARK}s")
            if bare[:1].isupper() and bare not in PROPER and not bare.isupper():
                return word
    return ""
