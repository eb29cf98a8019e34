"""Mail addresses: one parser, one wire form, one suppression key.

Owns the answer to "is this an address, and which one is it?". `parse_mailbox` takes what an application wrote
(`user@domain` or `Name <user@domain>`) and gives a `Mailbox`; `fold_address` and `fold_domain` give the keys by which
addresses and domains are compared.
Never looks anything up in DNS, and never guesses: what is not clearly one address raises `AddressError`.

Accepted: dot-atom local parts (RFC 5322 section 3.2.3), UTF-8 local parts (RFC 6531), domain names with at least two
labels, international ones by IDNA 2008 in either form, and the names reserved for trials (`.test`, `.example`).
Refused: quoted local parts, IP literals, comments and groups, several addresses, dotless domains, the special-use names
that no mail can reach (`.local`, `.localhost`, `.invalid`, `.onion`, `.arpa`), and control characters anywhere.

Plain ASCII addresses take a regular expression instead of email-validator; a property test holds both to one answer.
"""

import re
import unicodedata
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from core.records import record
from core.refusal import Refused

MAX_LOCAL_OCTETS = 64
"""RFC 5321 section 4.5.3.1.1."""
MAX_ADDRESS_OCTETS = 254
"""A path has 256 octets with its angle brackets (RFC 5321 section 4.5.3.1.3)."""
MAX_TEXT = 2_000
"""Characters of name and address together. RFC 5322 has no limit; a longer name is a mistake or an attack."""

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP = r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,61})?[A-Za-z]"
_PLAIN_LOCAL = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_PLAIN_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+({_TOP})")
_UNREACHABLE = frozenset({"arpa", "invalid", "local", "localhost", "onion"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NAME_WITHOUT_QUOTES = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?: +[\w!#$%&'*+/=?^`{|}~-]+)*")


class AddressError(Refused, ValueError):
    """The text is not one usable mail address. `reason` is a sentence for the person who wrote it."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid", reason, code="invalid_address")


@record(frozen=True, slots=True)
class Mailbox:
    """One address, with the name shown beside it."""

    name: str
    """Display name without quotes or escapes, "" for none."""
    local: str
    """NFC, case as given: only the receiving server may say that case does not matter (RFC 5321 section 2.4)."""
    domain: str
    """ASCII (punycode where international), lower case."""

    @property
    def wire(self) -> str:
        """`local@domain` as SMTP carries it; the domain is always ASCII."""
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """What suppression and look-ups compare: `wire` with its case folded. Dots and plus tags stay."""
        return f"{folded_local(self.local)}@{self.domain}"

    @property
    def header(self) -> str:
        """`Name <local@domain>` with the name quoted where needed, before RFC 2047. Parses back to the same value."""
        if not self.name:
            return self.wire
        if _NAME_WITHOUT_QUOTES.fullmatch(self.name):
            return f"{self.name} <{self.wire}>"
        return f"{quoted(self.name)} <{self.wire}>"


def folded_local(text: str) -> str:
    """A local part (or its beginning) as it is compared: without case, in NFC. Never done in SQL.

    Unicode's *simple* case folding: one character for one. So a Greek final sigma is a sigma, whether somebody wrote
    the name in capitals or not; but "ß" is not "ss", and the Turkish dotless i is no "i": those are different
    mailboxes, and who stands in one email with the other must not lose it.
    """
    if text.isascii():
        return text.lower()
    folded = "".join([_simple(character) for character in unicodedata.normalize("NFC", text)])
    return unicodedata.normalize("NFC", folded)


def _simple(character: str) -> str:
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()


def quoted(text: str) -> str:
    """`text` as an RFC 5322 quoted-string. Holds for text without control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parse_mailbox(text: str) -> Mailbox:
    """The one mailbox that `text` names. Blanks around it are ignored. Raises `AddressError`."""
    text = text.strip(" \t")
    if not text:
        raise AddressError("The address is empty.")
    if len(text) > MAX_TEXT:
        raise AddressError(f"The address is longer than {MAX_TEXT} characters.")
    if not (text.isascii() and text.isprintable()) and _CONTROL.search(text):
        raise AddressError("The address holds a control character, such as a line break.")
    if text[-1] != ">":
        return _address("", text)
    before, opened, spec = text[:-1].rpartition("<")
    if not opened:
        raise AddressError("The address ends with '>' but has no '<'.")
    return _address(_name(before.strip(" ")), spec)


def plain_address(text: str) -> tuple[str, str] | None:
    """`wire` and `key` of what is plainly an address and nothing beside; None for all else, which `parse_mailbox`
    reads. Lists of millions come through here."""
    plain = _plainly(text)
    if plain is None:
        return None
    local, domain = plain
    return f"{local}@{domain}", f"{local.lower()}@{domain}"


def fold_address(text: str) -> str:
    """The suppression key of an address (see `Mailbox.key`). Raises `AddressError`."""
    # Lists of millions come through here, and nearly all of them are plain.
    return text.lower() if _plainly(text) else parse_mailbox(text).key


def fold_domain(text: str) -> str:
    """A domain name in lower-case ASCII, by the rules that hold behind an `@`. Raises `AddressError`."""
    text = text.strip(" \t")
    if not text:
        raise AddressError("The domain is empty.")
    if len(text) > MAX_ADDRESS_OCTETS:
        raise AddressError("The domain is too long.")
    if "@" in text:
        raise AddressError("A domain has no '@'.")
    return _address("", f"x@{text}").domain


def _name(raw: str) -> str:
    """The display name before the `<`: nothing, one quoted-string, or plain words."""
    if not raw:
        return ""
    if raw[0] == '"':
        match = _QUOTED.fullmatch(raw)
        if match is None:
            raise AddressError("The quotation marks around the name do not fit.")
        return re.sub(r"\\(.)", r"\1", match[1])
    if "," in raw or ";" in raw:
        raise AddressError("Only one address may stand here; a name with ',' or ';' needs quotation marks.")
    if '"' in raw or "<" in raw or ">" in raw:
        raise AddressError("A name with quotation marks or angle brackets in it needs quotation marks around it.")
    return raw


def _address(name: str, spec: str) -> Mailbox:
    """`name` with the address `spec`: plain ASCII is decided here, the rest by email-validator."""
    plain = _plainly(spec)
    return Mailbox(name, *plain) if plain is not None else _checked(name, spec)


def _plainly(spec: str) -> tuple[str, str] | None:
    """Local part, and domain in lower case, of what is a plain address beyond doubt."""
    local, _, given = spec.rpartition("@")
    if len(local) > MAX_LOCAL_OCTETS or len(spec) > MAX_ADDRESS_OCTETS or "=?" in local:
        return None
    domain = _plain_domain(given) if _PLAIN_LOCAL.fullmatch(local) else None
    return None if domain is None else (local, domain)


@lru_cache(4096)
def _plain_domain(given: str) -> str | None:
    """Few domains have most of the addresses."""
    match = _PLAIN_DOMAIN.fullmatch(given)
    # "--" may be punycode or a reserved label (RFC 5890 section 2.3.1): not for a regular expression to judge.
    plain = match is not None and "--" not in given and match[1].lower() not in _UNREACHABLE
    return given.lower() if plain else None


def _checked(name: str, spec: str) -> Mailbox:
    """The slow and complete way, with a reason for every refusal."""
    if "<" in spec or ">" in spec:
        raise AddressError("Something stands after the closing angle bracket, or the brackets do not fit.")
    if "=?" in spec:  # readers that decode encoded-words where none may stand would see another address
        raise AddressError("An address must not hold '=?'.")
    if spec.count("@") > 1 and ("," in spec or ";" in spec):
        raise AddressError("Only one address may stand here.")
    try:
        # test_environment admits `.test`; "strict" adds the length of the local part in characters.
        result = validate_email(spec, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as problem:
        raise AddressError(str(problem)) from None
    local = unicodedata.normalize("NFC", spec.rpartition("@")[0])
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        raise AddressError(f"The part before the @-sign is longer than {MAX_LOCAL_OCTETS} octets.")
    if "." not in result.ascii_domain:
        raise AddressError("The part after the @-sign needs a period.")
    return Mailbox(name, local, result.ascii_domain)
