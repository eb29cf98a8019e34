"""How figures, times and states look: the filters of templates. Pure.

Every time is shown relative with the exact one beside it, in the zone of whoever looks; every state by colour and
shape.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from console import assets
from console.tones import TONES
from core.visible import visible

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_BREAKS: Final = re.compile(r"(?<=[@./:_-])(?=\w)")


def number(value: float | None) -> str:
    """1,234,567; a dash for nothing known."""
    if value is None:
        return "—"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def short(value: float | None) -> str:
    """1.2 M: where the exact number stands elsewhere."""
    if value is None:
        return "—"
    for size, unit in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            part = value / (1e3 if unit == "k" else size)
            return f"{part:,.1f}".removesuffix(".0") + f" {unit}"
    return number(value)


def percent(part: float | None) -> str:
    """0.4 %; small ones with the digits that tell them from nothing."""
    if part is None:
        return "—"
    value = part * 100
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    digits = 1 if value >= 1 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f} %"


def lasting(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 min, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return "—"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 else f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    for place, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            first = f"{whole // size} {unit}"
            below = _UNITS[place + 1] if unit != "s" and (unit != "min" or whole < 600) else None
            rest = (whole % size) // below[0] if below else 0
            return f"{first} {rest} {below[1]}" if below and rest else first
    return "0 s"


def relative(moment: datetime, now: datetime) -> str:
    """3 min ago, in 2 h."""
    away = (moment - now).total_seconds()
    if abs(away) < 5:
        return "just now"
    seconds = int(abs(away))
    told = f"{seconds} s" if seconds < 60 else lasting(seconds if seconds >= 3600 else seconds // 60 * 60)
    return f"in {told}" if away > 0 else f"{told} ago"


def exact(moment: datetime, zone: ZoneInfo) -> str:
    """2026-11-28 17:40:12 CET"""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


@pass_context
def ago(context: Context, moment: datetime | None, none: str = "never") -> Markup | str:
    """A time, relative; the exact one stands in its title. The script of the pages keeps it true."""
    if moment is None:
        return none
    return _time(moment, relative(moment, context["now"]), exact(moment, context["zone"]), "ago")


@pass_context
def at(context: Context, moment: datetime | None, none: str = "—") -> Markup | str:
    """A time, exact; the relative one stands in its title."""
    if moment is None:
        return none
    return _time(moment, exact(moment, context["zone"]), relative(moment, context["now"]), "at")


@pass_context
def clock(context: Context, moment: datetime) -> Markup:
    """The time of day with seconds, for lists of one day; all of it in the title."""
    here = moment.astimezone(context["zone"])
    return _time(moment, f"{here:%H:%M:%S}", exact(moment, context["zone"]), "at")


@pass_context
def day(context: Context, moment: datetime | date) -> str:
    """28 Nov 2026"""
    here = moment.astimezone(context["zone"]) if isinstance(moment, datetime) else moment
    return f"{here.day} {here:%b %Y}"


def _time(moment: datetime, text: str, title: str, kind: str) -> Markup:
    known = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}" title="{}" class="{}">{}</time>').format(known, title, kind, text)


def coded(text: str) -> Markup:
    """A sentence with what is typed in it, `so`, set as code."""
    parts = visible(text).split("`")
    if len(parts) % 2 == 0:
        return escape(visible(text))
    marked = (Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts))
    return Markup("").join(marked)


def since(moment: datetime, start: datetime) -> str:
    """+1.2 s: how long after the start of a story."""
    away = max(timedelta(), moment - start).total_seconds()
    return f"+{lasting(away)}"


def state(name: str, text: str = "") -> Markup:
    """A state by colour, shape and word. The shape is the style sheet's: it would be most of a long list."""
    found = tone(name)
    label = text or name.replace("_", " ")
    return Markup('<span class="state {}">{}</span>').format(found, label)


def sign(name: str) -> Markup:
    """The shape of a state alone, in front of a sentence that says it in words."""
    found = tone(name)
    return Markup('<svg class="lone {}" role="img" aria-label="{}"><use href="{}#state-{}"/></svg>').format(
        found, name.replace("_", " "), _icons(), found
    )


def tone(name: str) -> str:
    """The tone of a state or event, for a class."""
    return TONES.get(name, "plain")


def icon(name: str) -> Markup:
    """A picture from the sprite; what it means stands beside it."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>').format(_icons(), name)


def breakable(text: str) -> Markup:
    """An address or host that may be broken at its signs, and shows what would hide in it."""
    parts = _BREAKS.split(visible(text))
    return Markup("<wbr>").join(escape(part) for part in parts)


def plural(n: int, one: str, many: str = "") -> str:
    """1 IP, 2 IPs."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


_CELL: Final = re.compile(r"<(tr|td|th)\b([^>]*)")
_SAYS_ITSELF: Final = frozenset({"", "State", "Outcome", "Mode", "Role", "Answer", "Consent", "What became of it"})
"""Headings whose cells say what they are."""


def labelled(rows: str, heads: Sequence[str | tuple[str, str]]) -> Markup:
    """Rows of a table whose headings go on a phone: each cell behind the first says what it is, but for those that are
    left out there, and those that say it themselves."""
    titles = [head if isinstance(head, str) else head[0] for head in heads]
    place = 0

    def label(found: re.Match[str]) -> str:
        nonlocal place
        place = 0 if found[1] == "tr" else place + 1
        title = titles[place - 1] if 1 < place <= len(titles) else ""
        if title in _SAYS_ITSELF or "narrow-off" in found[2]:
            return found[0]
        return f'{found[0]} data-h="{escape(title)}"'

    return Markup(_CELL.sub(label, rows))  # noqa: S704 - rows are markup as it came, and titles are escaped


_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def browser(agent: str) -> str:
    """Firefox on Linux: enough to know one's own by."""
    name = next((name for word, name in _BROWSERS if word in agent), "")
    system = next((name for word, name in _SYSTEMS if word in agent), "")
    return f"{name} on {system}" if name and system else visible(agent[:60]) or "A browser"


def _icons() -> str:
    return assets.url("icons.svg")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "number": number,
    "short": short,
    "percent": percent,
    "lasting": lasting,
    "ago": ago,
    "at": at,
    "clock": clock,
    "day": day,
    "since": since,
    "state": state,
    "sign": sign,
    "tone": tone,
    "icon": icon,
    "breakable": breakable,
    "browser": browser,
    "plural": plural,
    "visible": visible,
    "coded": coded,
    "labelled": labelled,
}
