"""What can be proved of the pages' looks without eyes: contrast in both modes, names of fields, no script, no style."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from uuid import UUID

import pytest

from audience.choices import Preference
from audience.topics import Subscription, Topic, Visibility
from core.ids import uuid7
from core.queues import Lane
from messages.choosing import Standing
from pages.brand import Brand
from pages.language import CATALOGUES
from pages.rendering import STYLE, html
from pages.visits import said

TEXT = STYLE.decode()
MODES = [
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", part)) for part in TEXT.split("prefers-color-scheme: dark")[:2]
]
ON = {
    "ink": ("paper", "ground"), "soft": ("paper", "ground"), "accent": ("paper", "ground"), "on-accent": ("accent",),
    "good": ("good-ground",), "bad": ("bad-ground",),
}  # fmt: skip


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    channels = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_edges_can_be_seen(mode: int) -> None:
    colours = MODES[mode]
    for text, grounds in ON.items():
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["edge"], colours["paper"]) >= 3, "the edge of a field (WCAG 1.4.11)"


class _Page(HTMLParser):
    """Collects what a reader with a screen reader depends on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.described: set[str] = set()
        self.fields: list[str] = []
        self.headings: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.seen.add(tag)
        self.attributes |= found.keys()
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag == "label":
            self.labelled.add(found["for"] or "")
        if tag == "input" and found.get("type") != "hidden":
            self.fields.append(found["id"] or "")
        self.described |= {found[name] or "" for name in ("aria-describedby", "aria-labelledby") if name in found}
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(tag)


def _pages() -> list[str]:
    """The preference page in each language and every state."""
    now = datetime.now(UTC)
    topics = [
        Topic(uuid7(), UUID(int=7), name, "About", Subscription.OPT_IN, Visibility.PUBLIC, lane, False, now)
        for name, lane in (("News", Lane.MARKETING), ("Offers", Lane.MARKETING), ("Receipts", Lane.TRANSACTIONAL))
    ]
    states = [
        Standing(tuple(Preference(one, taken, True) for one in topics), paused, off, blocked)
        for taken, paused, off, blocked in (
            (True, None, False, False), (False, now + timedelta(days=30), False, False), (True, None, True, True),
        )
    ]  # fmt: skip
    return [
        html(
            "preferences.html", words, brand=Brand("Acme"), address="ann@example.com", stands=stands,
            own=stands.preferences[0], topics=list(stands.preferences), pauses=(30, 90), told=told, typed="",
            title=lambda topic: topic.name,
        )
        for words in CATALOGUES.values()
        for stands in states
        for told in (None, said("done.saved"), said("wrong.address"))
    ]  # fmt: skip


def test_every_field_has_a_name_and_every_reference_leads_somewhere() -> None:
    for text in _pages():
        page = _Page(text)
        assert set(page.fields) <= page.labelled
        assert page.labelled | page.described <= set(page.ids)
        assert len(page.ids) == len(set(page.ids))
        assert page.headings[0] == "h1"
        assert page.headings.count("h1") == 1
        assert set(page.headings[1:]) == {"h2"}
        assert {"main", "nav"} <= page.seen


def test_nothing_is_there_that_the_policy_forbids() -> None:
    for text in _pages():
        page = _Page(text)
        assert not page.seen & {"script", "style", "iframe", "img", "object"}
        assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
        assert not re.search(r'(?:src|href|action)="(?!\?lang=|/static/|data:,)', text)


def test_a_page_is_light() -> None:
    assert max(len(text.encode()) for text in _pages()) < 10_000
    assert len(STYLE) < 8_000
