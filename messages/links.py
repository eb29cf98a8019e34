"""Links and pixel of an HTML body: found once per content, filled in for each recipient. Pure.

`template` reads the HTML and cuts it where a recipient's token goes; `fill` puts the tokens in. Not a byte outside the
links changes, and what is no link to the web stays as it is: other schemes, fragments, placeholders, links into our own
pages, links to unsubscribe, and those that say so themselves (`data-no-track`, or what other services call it). Text
bodies are never touched: whoever reads them sees the address itself.

HTML is read as browsers read it (WHATWG HTML, 13.2.5), as far as it matters here: comments, CDATA, raw text and the
attributes of other tags hold no links. What Outlook alone reads (`<!--[if mso]>`) does, buttons in VML among it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from html.entities import html5
from typing import Final
from urllib.parse import quote
from uuid import UUID

from core.addresses import AddressError, fold_domain
from messages.alike import Changes, Follow, Known, Parts, Slot, alike
from messages.link_tokens import HEAD, LONGEST, Kind, LinkTokens, coded, payload_of

CACHED: Final = 64
"""Templates kept: the mails of an application are mostly of a few kinds, which each worker meets again and again."""

CACHED_LINKS: Final = 1024
"""Links kept: where each person has a content of their own, its links are mostly those of all others."""

CACHED_BYTES: Final = 128 * 1024
"""Larger HTML is read anew each time."""

CACHED_IN_ALL: Final = 2 * 1024 * 1024
"""Characters of the HTML whose templates are kept."""

_VALUES: Final = r"""[^>=]*+(?:="[^"]*+"[^>=]*+|=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'>][^\s>]*+)?+[^>=]*+)*+"""
"""The rest of a tag up to what ends it. A quotation mark counts only behind an equals sign. How most values are written
is asked first."""
_INSIDE: Final = rf"{_VALUES}>?+"
"""With that, where there is an end."""


def _either_case(*names: str) -> str:
    """Any of these names. The first letter of an alternative is looked at before anything else is done about it, but
    not with IGNORECASE."""
    return "|".join(
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in name) for name in names
    )


_RAW: Final = _either_case("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
_LINK: Final = f"{_either_case('a', 'area')}|[vV]:[a-zA-Z]++"
_END: Final = _either_case("body")
_HREF: Final = r"""\s++[hH][rR][eE][fF]\s*+=\s*+(?=["'])"""
"""What most links begin with; what follows their address need not be taken apart."""
_USUAL: Final = (
    "[b-hj-mo-ruwyzB-HJ-MO-RUWYZ]|[tT][^iIeE>=]|[sS][^tTcC>=]|[aA][^\\s/>rR=]|[iI][^fF>=]|[xX][^mM>=]|[nN][^oO>=]"
)
"""How a tag begins that is none of these for sure: nearly all do, and are asked no more."""

# Every part takes what it begins to its end, or to the end of the text, so that no input is looked at twice but the
# text before what is for us. What most tags are stands first and has few groups, each of which costs as much as ten
# letters.
_TOKEN: Final = re.compile(
    rf"""
    (                                                       # nothing for us, and how most links begin
      (?:[^<]*+<(?:
        /[ac-zAC-Z][^>=]*+>
      | (?:{_USUAL}){_INSIDE}
      | (?:/(?!{_END}[\s/>])|(?![/!]|(?:{_LINK}|{_RAW})[\s/>]))(?:[a-zA-Z]{_INSIDE})?+
      ))*+[^<]*+
      (?:<(?:{_LINK}){_HREF})?
    )
    (?:
      ("[^"'<>\s]++"|'[^"'<>\s]++')({_VALUES}>)            # where it leads, and the rest of its tag
    | (                                                     # any other link, the end of the body, what hides links
        <(?:{_LINK}|/{_END})(?=[\s/>]){_INSIDE}
      | <(?P<raw>{_RAW})(?=[\s/>])[^<]*+(?:<(?!/(?i:(?P=raw))[\s/>])[^<]*+)*+
      | <!--\[if[^\]>]*+\]>                                 # Outlook reads on here, and so do we
      | <!--(?:-?>|[^-]*+(?:-(?!-!?>)[^-]*+)*+(?:--!?>|\Z))
      | <!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*+(?:\]\]>|\Z)
      | <
      )
    | \Z
    )
    """,
    re.VERBOSE,
)
_OTHER_LINK: Final = re.compile(rf"<(?:{_LINK})(?=[\s/>])")

_PLAIN_END: Final = re.compile(r"</body\s*+>\s*+(?:</html\s*+>\s*+)?\Z", re.IGNORECASE)

_ATTRIBUTE: Final = re.compile(r"""([^\s"'>/=][^\s>/=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>][^\s>]*+)))?+""")

_MOST_RAW: Final = 5 * LONGEST
"""Characters of a link in the source: what is longer, though all of it were `&amp;`, is too long to be tracked."""
_REFERENCE: Final = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|([a-zA-Z0-9]++;?))(?=(=?))")

_PLAIN: Final = re.compile(r"https?://[A-Za-z0-9.-]++(?::[0-9]++)?(?:[/?#][A-Za-z0-9%/:?#\[\]@!$&'()*+,;=~._-]*+)?")
"""A URL that needs no mending before it can stand in a header."""
_WEB: Final = re.compile(r"(https?)://([^/?#]++)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"((?:[^@]*@)?)([^@:\[\]]+)((?::[0-9]*)?)")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+")
_SAFE: Final = "%/:?#[]@!$&'()*+,;=~-._"
_BLANKS: Final = "".join(map(chr, range(0x21)))
_NO_BREAKS: Final = str.maketrans("", "", "\t\r\n")
_SPARED: Final = (
    "{{", "{%", "${", "*|", "<%", "[[", "%%",
    "unsubscri", "optout", "opt-out", "opt_out", "abmeld", "abbestell", "desinscri", "désinscri", "desabonn",
    "désabonn", "darse-de-baja", "darse_de_baja",
)  # fmt: skip
"""What is in a URL that is left alone: placeholders of templates, which somebody fills in later who does not know of
us, and words for unsubscribing, in the languages of our own pages."""

_UNTRACKED: Final = {
    "data-no-track": "",
    "data-pm-no-track": "",
    "ses:no-track": "",
    "clicktracking": "off",
    "disable-tracking": "true",
}
"""Attributes that forbid tracking: ours and those of Postmark, SES, SendGrid and Mailgun, whose templates move here.
With "" the name is enough."""
_TELLTALE: Final = "track"
"""What all of them hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracking:
    """What is tracked in a mail, and where its links lead first. Known by itself and not by what it says: it is looked
    up by for every link."""

    base_url: str
    """`https://track.example.com`, without a slash at the end."""
    place: bytes
    """`link_tokens.place_of` of its host."""
    opens: bool
    clicks: bool
    own: str = ""
    """Beginning of the links to our own pages, which are never tracked."""
    spared: tuple[str, ...] = ()
    """Addresses that are left alone in this mail: those of its List-Unsubscribe."""
    mark: str = ""
    """`link_tokens.mark`, for templates."""


@dataclass(frozen=True, slots=True)
class Template:
    """HTML cut where tokens go: a token between each two texts. `slots` says what each token is for."""

    texts: tuple[str, ...]
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """HTML that others may be like."""

    known: Known
    made: Template


_known: Final[dict[tuple[Tracking, str], tuple[tuple[_Sample, ...], int]]] = {}
"""HTML that others may be like, by how it ends (what greets its reader stands before), and how many since were like
none of it."""
_SAMPLES: Final = 4
"""With one end; of them the last that was met comes first."""
_MISSES: Final = 4
"""In a row, before another takes a place: kinds of mail that end alike take turns."""
_ALIKE: Final = 64
"""Characters of such an end."""


def tracked(html: str, tracking: Tracking, tokens: LinkTokens, email_id: UUID, position: int) -> str:
    """The HTML as one recipient gets it."""
    made = template(html, tracking)
    return fill(made, tokens, payload_of(email_id, position, tracking.place)) if made.slots else html


def template(html: str, tracking: Tracking) -> Template:
    """The HTML with its links found; what is like other HTML costs next to nothing."""
    if len(html) > CACHED_BYTES or tracking.spared:  # what is spared is mostly one person's
        return _made(_parts(html, tracking), tracking)
    return _like_others(html, tracking)


def addresses(html: str) -> list[tuple[int, int, str]]:
    """Start, stop and raw text of each address of a link, but for those that forbid tracking."""
    return _scan(html)[0]


def is_left_alone(url: str) -> bool:
    """Whether it leads elsewhere than to the web, has a placeholder, or is there to unsubscribe."""
    lower = url.lower()
    return not lower.startswith(("http://", "https://")) or any(word in lower for word in _SPARED)


def fill(made: Template, tokens: LinkTokens, payload: bytes) -> str:
    """The HTML with the tokens of one recipient."""
    parts = [""] * (len(made.slots) + len(made.texts))
    parts[::2] = made.texts
    parts[1::2] = tokens.heads(made.slots, payload)
    return "".join(parts)


def _like_others(html: str, tracking: Tracking) -> Template:
    """Cut like what was seen before and ends with the same letters; what nothing is like any more is forgotten."""
    key = tracking, html[-_ALIKE:]
    samples, misses = _known.get(key, ((), 0))
    for sample in samples:
        if (changes := alike(html, sample.known, lambda raw: _follow(raw, tracking))) is not None:
            if misses or sample is not samples[0]:  # the last one comes first the next time
                _known[key] = (sample, *(other for other in samples if other is not sample)), 0
            return _changed(sample, changes, tracking)
    parts = _parts(html, tracking)
    made = _made(parts, tracking)
    if len(samples) < _SAMPLES or misses >= _MISSES:
        _remember(key, (_Sample(Known(html, parts), made), *samples[: _SAMPLES - 1]))
    else:
        _known[key] = samples, misses + 1
    return made


def _remember(key: tuple[Tracking, str], samples: tuple[_Sample, ...]) -> None:
    sizes = [len(one.known.html) for others, _ in [*_known.values()] for one in others]
    if len(sizes) >= CACHED or sum(sizes) >= CACHED_IN_ALL:
        _known.clear()
    _known[key] = samples, 0


def _changed(sample: _Sample, changes: Changes, tracking: Tracking) -> Template:
    """The template of HTML like this sample: what is the same is not made again."""
    made, parts = sample.made, sample.known.parts
    if not changes.texts and not changes.follows:
        return made
    follows, slots = parts.follows, made.slots
    if changes.follows:
        follows = [changes.follows.get(number, follow) for number, follow in enumerate(follows)]
        slots = (*[slot for slot, _ in follows], *made.slots[len(follows) :])
    texts = [*made.texts]
    for number in {*changes.texts, *[number + 1 for number in changes.follows]}:
        text = changes.texts.get(number, parts.texts[number])
        before = follows[number - 1] if number else None
        if number < len(follows):
            texts[number] = _before_click(text, before, tracking)
        else:
            texts[number:], _ = _closing(text, before, parts.ending, tracking)
    return Template(tuple(texts), slots)


def _parts(html: str, tracking: Tracking) -> Parts:
    """HTML cut where its links are that are tracked."""
    links, end = _scan(html) if tracking.clicks else ([], _end_of_body(html))
    texts: list[str] = []
    raws: list[str] = []
    follows: list[Follow] = []
    done = 0
    for start, stop, raw in links:
        if (found := _follow(raw, tracking)) is not None:
            texts.append(html[done:start])
            raws.append(raw)
            follows.append(found)
            done = stop
    texts.append(html[done:])
    return Parts(texts, raws, follows, len(html) - end if end >= done else 0)


def _made(parts: Parts, tracking: Tracking) -> Template:
    befores = [None, *parts.follows]
    *texts, last = parts.texts
    clicks = [_before_click(text, before, tracking) for text, before in zip(texts, befores, strict=False)]
    ends, slots = _closing(last, befores[-1], parts.ending, tracking)
    return Template((*clicks, *ends), (*[slot for slot, _ in parts.follows], *slots))


def _before_click(text: str, before: Follow | None, tracking: Tracking) -> str:
    """What stands before the token of a link: the end of the link before it, and the text between them."""
    return f"{before[1] if before else ''}{text}{_beginning(tracking.base_url, Kind.CLICK)}"


def _closing(last: str, before: Follow | None, ending: int, tracking: Tracking) -> tuple[list[str], list[Slot]]:
    """What follows the last link's token, with what is put before the end of the body: texts, and slots between."""
    end = len(last) - ending
    texts = [before[1] + last[:end] if before else last[:end]]
    slots = []
    for text, slot, behind in _additions(tracking.base_url, before is not None, tracking.opens):
        texts[-1] += text
        texts.append(behind)
        slots.append(slot)
    texts[-1] += last[end:]
    return texts, slots


@lru_cache(CACHED)
def _beginning(base_url: str, kind: Kind) -> str:
    """Of our links."""
    return f"{base_url}/{kind}/"


@dataclass(frozen=True, slots=True)
class Marked:
    """The source of a template with its links found before it is rendered: each has a mark that rendering passes over.
    The mark is a secret of the instance, so that no variable can hold one."""

    source: str
    slots: tuple[Slot, ...]
    tracking: Tracking

    def filled(self, html: str, tokens: LinkTokens, payload: bytes) -> str:
        """What was rendered of it, with the tokens of one recipient."""
        pieces = _places(self.tracking.mark).split(html)
        texts, slots = [pieces[0]], []
        for number, link, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
            if number is not None:
                slots.append(self.slots[int(number)])
                texts.append(text)
            elif (found := _follow(link, self.tracking)) is None:
                texts[-1] += link + text
            else:
                texts[-1] += f"{self.tracking.base_url}/{Kind.CLICK}/"
                slots.append(found[0])
                texts.append(found[1] + text)
        return fill(Template(tuple(texts), tuple(slots)), tokens, payload)


@lru_cache(CACHED)
def _places(mark: str) -> re.Pattern[str]:
    return re.compile(rf"{mark}(?:([0-9]++);|\((.*?){mark}\))", re.DOTALL)


def marked(source: str, tracking: Tracking) -> Marked:
    """A template's source with its links marked. A link with a placeholder is looked at when it is rendered: it leads
    elsewhere for each person."""
    links, end = _scan(source) if tracking.clicks else ([], _end_of_body(source))
    texts: list[str] = []
    slots: list[Slot] = []
    mark, done = tracking.mark, 0
    for start, stop, raw in links:
        if _is_written_later(raw):
            texts.append(f"{source[done:start]}{mark}({raw}{mark})")
        elif (target := _target(raw, tracking)) is not None:
            texts.append(f"{source[done:start]}{tracking.base_url}/{Kind.CLICK}/{mark}{len(slots)};{coded(target)}")
            slots.append((Kind.CLICK, target))
        else:
            continue
        done = stop
    additions = _additions(tracking.base_url, bool(texts), tracking.opens)
    end = end if end >= done else len(source)
    texts.append(source[done:end])
    for before, slot, behind in additions:
        texts.append(f"{before}{mark}{len(slots)};{behind}")
        slots.append(slot)
    return Marked("".join([*texts, source[end:]]), tuple(slots), tracking)


_ANY: Final = Tracking(" ", b"", opens=False, clicks=True)
"""None of ours."""


def _is_written_later(raw: str) -> bool:
    """Whether a template's language writes it, and not we: links to unsubscribe are put in after all others."""
    return "{{" in raw and "UNSUBSCRIBE_URL" not in raw and len(raw) <= _MOST_RAW


def linked(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Where the links of a template lead that are the same for everybody, and those that a placeholder writes, as they
    are written."""
    raws = [raw for _, _, raw in _scan(source)[0]]
    targets = [_target(raw, _ANY) for raw in raws if not _is_written_later(raw)]
    return frozenset(one.decode() for one in targets if one), frozenset(filter(_is_written_later, raws))


@lru_cache(CACHED)
def _additions(base_url: str, clicks: bool, opens: bool) -> Sequence[tuple[str, Slot, str]]:
    """What is put before the end of the body: text, slot, text. The link has no content and is not displayed: only what
    follows every link in the source finds it."""
    made: list[tuple[str, Slot, str]] = []
    if clicks:
        hidden = '" style="display:none" aria-hidden="true" tabindex="-1"></a>'
        made.append((f'<a href="{base_url}/{Kind.TRAP}/', (Kind.TRAP, b""), hidden))
    if opens:
        pixel = '.gif" width="1" height="1" alt="" style="display:block;width:1px;height:1px" />'
        made.append((f'<img src="{base_url}/{Kind.OPEN}/', (Kind.OPEN, b""), pixel))
    return made


def _scan(html: str) -> tuple[list[tuple[int, int, str]], int]:
    """Start, stop and raw text of each address of a link, and where the body ends."""
    links: list[tuple[int, int, str]] = []
    end, at = len(html), 0
    # All in one call; an object for each token would be asked for every place.
    for before, address, behind, other, _ in _TOKEN.findall(html):
        start = at + len(before)
        if address:
            stop = start + len(address)
            tag, at = at, stop + len(behind)
            if _TELLTALE not in behind.lower():
                links.append((start + 1, stop - 1, address[1:-1]))
            elif (found := _address(html, tag + before.rindex("<"), at)) is not None:
                links.append(found)
            continue
        at = start + len(other)
        if other.startswith("</"):
            end = start
        elif (found := _address(html, start, at)) is not None:
            links.append(found)
    return links, end


def _end_of_body(html: str) -> int:
    """As `_scan` finds it; without a look at all tags where nothing follows it but the end of the document."""
    at = max(html.rfind("</body"), html.rfind("</BODY"))
    return at if at >= 0 and _PLAIN_END.match(html, at) else _scan(html)[1]


def _address(html: str, start: int, stop: int) -> tuple[int, int, str] | None:
    """The first `href` of what stands here; None without one, where the tag forbids tracking, and in what is no link or
    has no end."""
    tag = _OTHER_LINK.match(html, start, stop)
    if tag is None or html[stop - 1] != ">":
        return None
    found: tuple[int, int, str] | None = None
    for attribute in _ATTRIBUTE.finditer(html, tag.end(), stop - 1):
        name, which = attribute[1].lower(), attribute.lastindex or 1
        value = attribute[which] if which > 1 else ""
        if name == "href" and found is None:
            found = (*attribute.span(which), value) if which > 1 else (0, 0, "")
        elif name in _UNTRACKED and _UNTRACKED[name] in ("", value.lower()):
            return None
    return found if found is not None and found[2] else None


def _target(raw: str, tracking: Tracking) -> bytes | None:
    """Where a link leads, fit for a header; None when it is not to be tracked."""
    if len(raw) > _MOST_RAW:
        return None
    url = raw.replace("&amp;", "&") if raw.count("&") == raw.count("&amp;") else _REFERENCE.sub(_resolved, raw)
    url = url.strip(_BLANKS)
    if not url.isprintable():
        url = url.translate(_NO_BREAKS)
    if _is_spared(url, tracking):
        return None
    ready = url if _PLAIN.fullmatch(url) else _mended(url)
    if ready is None or len(tracking.base_url) + HEAD + 3 + len(ready) * 4 // 3 + 1 > LONGEST:
        return None
    return ready.encode("ascii")


def _link(raw: str, tracking: Tracking) -> Follow | None:
    target = _target(raw, tracking)
    return ((Kind.CLICK, target), coded(target)) if target is not None else None


_followed = lru_cache(CACHED_LINKS)(_link)


def _follow(raw: str, tracking: Tracking) -> Follow | None:
    """The slot of a link, and what follows its token; None when it is not to be tracked."""
    asked_again = len(raw) <= LONGEST and not tracking.spared
    return _followed(raw, tracking) if asked_again else _link(raw, tracking)


def _is_spared(url: str, tracking: Tracking) -> bool:
    ours = url.startswith((tracking.base_url, tracking.own or " "))
    return ours or url in tracking.spared or is_left_alone(url)


def _mended(url: str) -> str | None:
    """A URL with what browsers accept beyond the standard: other alphabets, blanks. None when it stays unclear."""
    match = _WEB.fullmatch(url)
    authority = _AUTHORITY.fullmatch(match[2]) if match else None
    if match is None or authority is None or "\\" in url or any(c < " " or c == "\x7f" for c in url):
        return None
    user, host, port = authority.groups()
    try:
        name = host if host.isascii() else fold_domain(host)
        if not _HOST.fullmatch(name):
            return None
        return f"{match[1].lower()}://{quote(user, _SAFE)}{name}{port}{quote(match[3], _SAFE)}"
    except (AddressError, UnicodeEncodeError):
        return None


_LONGEST_REFERENCE: Final = 40
"""Characters; no name is as long, and no number of a character. Python turns none of 4,300 digits into a number."""

_character = lru_cache(CACHED_LINKS)(unescape)


def _resolved(reference: re.Match[str]) -> str:
    """A character reference as in an attribute: `&copy=1` is a parameter of that name, and no © (WHATWG HTML,
    13.2.5.73)."""
    name = reference[1]
    if len(reference[0]) > _LONGEST_REFERENCE:
        return "\ufffd"
    if name is None or (name in html5 and (name.endswith(";") or not reference[2])):
        return _character(reference[0])
    return reference[0]
