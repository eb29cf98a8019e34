"""What recipients and mail programs will mind about a content, before it is sent. Pure.

Each remark says what to do. `error` should not be sent as marketing; `warning` is for its writer to judge. What needs
the network or the database (domain, dead links, how many people lack a variable) is asked by who starts a campaign.
`shingles` and `likeness` tell whether the same was sent before.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from templates.build import Content
from templates.document import PROMPTS
from templates.markup import VOID, pieces
from templates.resend_notation import UNSUBSCRIBE

MAX_WEIGHT: Final = 102 * 1024
"""Bytes of HTML behind which Gmail hides the rest, with the unsubscribe link and the pixel."""
ALIKE: Final = 0.8
"""Likeness from which two contents are the same for who reads them."""
_WORDS: Final = 5
"""Words of a shingle."""
_MOST_SHINGLES: Final = 400
"""Kept of a content: the smallest hashes, which are a fair sample (Broder, 1997)."""
_SCHEMES: Final = ("http://", "https://", "mailto:", "tel:", "sms:")
_UNGIVEN: Final = frozenset({"", *_SCHEMES})
_WORD: Final = re.compile(r"\w+")
_PLACEHOLDER: Final = re.compile(r"\{\{[^{}\n]*+\}\}++|\{%[^%\n]*+%\}")
_GONE: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_FONT_SIZE: Final = re.compile(r"font-size\s*:\s*([^;]+)", re.IGNORECASE)
_TINY: Final = re.compile(r"\s*[01]?(\.\d+)?(px)?\s*(!important\s*)?", re.IGNORECASE)
_FOREIGN_ICONS: Final = "www.mailjet.com/images/"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to mend."""

    check: str
    severity: Literal["error", "warning"]
    message: str
    advice: str


def remarks_on(
    subject: str, html: str, text: str, content: Content | None = None, known: Iterable[str] | None = None
) -> list[Remark]:
    """All there is to say about a rendered mail. With its content and the variables that are `known` of people, also
    which placeholders nobody can fill."""
    seen = _Seen(html)
    found = [*_subject(subject), *_unwritten(seen), *_unsubscribe(seen, text), *_weight(html), *_text(text)]
    found += [*_images(seen), *_links(seen)]
    if content is not None and known is not None:
        found += _unknown(content, frozenset(known))
    return found


def _subject(subject: str) -> list[Remark]:
    if not subject.strip():
        return [Remark("subject", "error", "There is no subject.", "Write one.")]
    return []


def _unwritten(seen: "_Seen") -> list[Remark]:
    left = [text for text in seen.texts if text in PROMPTS]
    if not left:
        return []
    message = f"{_some(left, 'text of a new block was', 'texts of new blocks were')} never written over{_such(left)}."
    return [Remark("unwritten", "error", message, "Write your own, or take the block out.")]


def _unsubscribe(seen: "_Seen", text: str) -> list[Remark]:
    names = tuple(UNSUBSCRIBE.values())
    found = []
    if not any(name in href for href, visible in seen.links if visible for name in names):
        found.append(
            Remark(
                "unsubscribe", "error", "The HTML has no visible link to unsubscribe.",
                f'Write <a href="{names[1]}">Unsubscribe</a>, or use a footer block.',
            )
        )  # fmt: skip
    if text.strip() and not any(name in text for name in names):
        advice = f"Write {names[1]} where the link belongs."
        found.append(Remark("unsubscribe_text", "warning", "The text part has no link to unsubscribe.", advice))
    return found


def _weight(html: str) -> list[Remark]:
    weight = len(html.encode())
    if weight <= MAX_WEIGHT:
        return []
    message = f"The HTML has {weight // 1024} KB: Gmail hides what is behind 102 KB, with the link to unsubscribe."
    return [Remark("weight", "warning", message, "Shorten it, or move styles that repeat into classes.")]


def _text(text: str) -> list[Remark]:
    if text.strip():
        return []
    message = "There is no text part: filters distrust that, and some people read nothing else."
    return [Remark("text", "warning", message, "Leave `text` out, and it is made from the HTML.")]


def _images(seen: "_Seen") -> list[Remark]:
    found = []
    without = [src for src, alt in seen.images if alt is None]
    if without:
        message = f"{_some(without, 'image has', 'images have')} no `alt`{_such(without)}."
        advice = 'Describe each for who does not see it; alt="" for mere decoration.'
        found.append(Remark("alt", "warning", message, advice))
    broken = [src for src, _ in seen.images if not src.lower().startswith(("http://", "https://", "cid:", "data:"))]
    if broken:
        told = _some(broken, "image has", "images have")
        message = f"{told} an address that no mail program can fetch{_such(broken)}."
        found.append(Remark("images", "error", message, "Give the whole address, with https:// in front."))
    if any(_FOREIGN_ICONS in src for src, _ in seen.images):
        message = "Icons of <mj-social-element> come from mailjet.com, which learns who opens the mail."
        found.append(Remark("icons", "warning", message, "Give each a `src`; `postlane images add` stores yours."))
    return found


def _links(seen: "_Seen") -> list[Remark]:
    wrong = [href for href, _ in seen.links if not leads_somewhere(href)]
    if not wrong:
        return []
    message = f"{_some(wrong, 'link leads', 'links lead')} nowhere{_such(wrong)}."
    return [Remark("links", "error", message, "A link begins with https://, http:// or mailto:.")]


def leads_somewhere(href: str) -> bool:
    """Whether a link is one at all: an address, a place in the mail, or what is put in later."""
    href = href.strip()
    if href in UNSUBSCRIBE.values() or href.startswith("{{"):
        return True
    if href.startswith("#"):
        return len(href) > 1
    scheme = next((one for one in _SCHEMES if href.lower().startswith(one)), None)
    return scheme is not None and len(href) > len(scheme)


def without_address(html: str) -> list[str]:
    """The links that were never given one, as a new button is."""
    return [href for href, _ in _Seen(html).links if href.strip().lower() in _UNGIVEN]


def _unknown(content: Content, known: frozenset[str]) -> list[Remark]:
    """Placeholders that no contact has: a whole path, or its first part where that is an object."""
    strange = sorted(path for path in content.required if path not in known and path.partition(".")[0] not in known)
    if not strange:
        return []
    message = f"Nobody has {', '.join(strange[:10])}."
    return [Remark("variables", "error", message, 'Mend the name, or give a fallback: {{ name | default("there") }}.')]


def _some(found: Sequence[str], one: str, many: str) -> str:
    return f"{len(found)} {one if len(found) == 1 else many}"


def _such(found: Sequence[str]) -> str:
    return f"{':' if len(found) == 1 else ', such as'} {_shown(found[0])}"


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return f"`{text[:80]}`" if text else "an empty one"


def links_of(html: str) -> tuple[list[str], list[str]]:
    """Where the links of an HTML lead, and its images are: each address once, in their order."""
    seen = _Seen(html)
    return list(dict.fromkeys(href for href, _ in seen.links)), list(dict.fromkeys(src for src, _ in seen.images))


def shingles(text: str) -> frozenset[int]:
    """A content as a sample of its word sequences, for `likeness`: at most 400 numbers of 63 bits, to be stored.
    Placeholders and numbers do not count, so that another name or price makes no new content."""
    words = [word for word in _WORD.findall(_PLACEHOLDER.sub(" ", text.lower())) if not word.isdigit()]
    sequences = {" ".join(words[at : at + _WORDS]) for at in range(max(1, len(words) - _WORDS + 1))} if words else set()
    hashes = {int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest()) >> 1 for one in sequences}
    return frozenset(sorted(hashes)[:_MOST_SHINGLES])


def likeness(one: frozenset[int], other: frozenset[int]) -> float:
    """How alike two contents are, 0 to 1: the share of word sequences they have in common."""
    if not one or not other:
        return 0.0
    sample = sorted(one | other)[:_MOST_SHINGLES]
    both = one & other
    return sum(number in both for number in sample) / len(sample)


class _Seen:
    """Links and images of a mail, and whether a link can be seen.

    Tiny type hides what is in it but for what has a size of its own: MJML puts `font-size:0` around everything.
    """

    def __init__(self, html: str) -> None:
        self.links: list[tuple[str, bool]] = []
        self.texts: list[str] = []
        self.images: list[tuple[str, str | None]] = []
        self._open: list[tuple[str, bool, bool]] = []
        """Elements with whether they are gone, and whether their type is tiny."""
        self._names: Counter[str] = Counter()
        for piece in pieces(html):
            if piece.kind == "start":
                self._start(piece.name, piece.attributes)
            elif piece.kind == "text":
                self.texts.append(" ".join(piece.text.split()))
            elif piece.kind == "end" and self._names[piece.name]:
                self._end(piece.name)

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        _, gone, tiny = self._open[-1] if self._open else ("", False, False)
        style = given.get("style", "")
        gone = gone or bool(_GONE.search(style))
        if sizes := _FONT_SIZE.findall(style):
            tiny = bool(_TINY.fullmatch(sizes[-1]))
        if tag in ("a", "area") and "href" in given:
            self.links.append((given["href"], not (gone or tiny)))
        elif tag == "img":
            self.images.append((given.get("src", ""), given.get("alt")))
        if tag not in VOID:
            self._open.append((tag, gone, tiny))
            self._names[tag] += 1

    def _end(self, tag: str) -> None:
        """What is within it ends with it, closed or not."""
        name = ""
        while name != tag:
            name = self._open.pop()[0]
            self._names[name] -= 1
