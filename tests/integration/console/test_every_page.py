"""Every page of the console, found by its links, about an installation whose every text means harm: no page holds one
as markup, leads anywhere by one, or may be framed by others; and what is typed comes back as text.
"""

import re
from html.parser import HTMLParser
from typing import Final

import httpx

from tests.integration.console.conftest import Person
from tests.integration.console.everything import PUBLIC, dns, furnished, postlane, seen_by, settings
from tests.integration.console.spoiling import HOSTILE, RAW
from tests.tour import NOT_LED_TO, PAGES, is_frame, route_of

__all__ = ["dns", "furnished", "postlane", "settings"]


NOT_PRESSED: Final = {
    "/sign-out": "ends the session",
}
"""Buttons of other tests."""


class _Page(HTMLParser):
    """What of a page would lead elsewhere, or run; and its forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.headlines = 0
        self._inert = 0
        """Inside how many `<template>`s: what stands in one is no part of the page yet."""
        self._open: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.headlines += tag == "h1"
        self._inert += tag == "template"
        self.ids += [given["id"]] if "id" in given and (tag == "template" or not self._inert) else []
        for name, value in given.items():
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post") and not _is_here(value):
                self.wrong.append(f"{tag} {name}={value}")
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.wrong.append(f"{tag} {name}")
        if tag == "form":
            self._open = {"action": given.get("action", "")} if given.get("method") == "post" else None
            if self._open is not None:
                self.forms.append(self._open)
        elif self._open is not None and given.get("name") and tag in ("input", "textarea", "select", "button"):
            typed = tag == "textarea" or given.get("type", "text") in ("text", "search", "email", "url", "password")
            self._open[f"typed {given['name']}" if typed and tag != "button" else given["name"]] = given.get(
                "value", ""
            )

    def handle_endtag(self, tag: str) -> None:
        self._inert -= tag == "template"
        if tag == "form":
            self._open = None


def _is_here(address: str) -> bool:
    return (address[:1] in ("", "/", "#", "?") and address[1:2] not in ("/", "\\")) or address.startswith(f"{PUBLIC}/")


async def test_no_page_holds_a_stored_text_as_markup(admin: Person, furnished: None) -> None:
    seen = await seen_by(admin)
    pages = seen.pages()

    assert {route.path for route in PAGES} - {route_of(at).path for at in seen.answers} == set(NOT_LED_TO)
    wrong = [f"{one.status_code} {at}" for at, one in seen.answers.items() if one.status_code != _due(at)]
    for at, text in pages.items():
        page = _Page(text)
        wrong += [f"{one} on {at}" for one in (*(raw for raw in RAW if raw in text), *page.wrong)]
        wrong += [f"{page.headlines} headlines on {at}"] * (page.headlines != 1)
        wrong += [f"twice {one} on {at}" for one in {one for one in page.ids if page.ids.count(one) > 1}]
    for at, answer in seen.answers.items():
        wrong += [f"{one} of {at}" for one in _may_be_framed(at, answer)]
    assert wrong == []
    assert sum("&lt;script&gt;ran" in text for text in pages.values()) > 60


def _due(at: str) -> int:
    """The status of an address. An email leads to its first message; a replay wants to know from when."""
    path = route_of(at).path
    return 303 if path == "/messages/{email_id}" else 422 if at.endswith("/replay") else 200


def _may_be_framed(at: str, answer: httpx.Response) -> list[str]:
    """By somebody else; or, a mail in its frame may run scripts."""
    policy, option = answer.headers["content-security-policy"], answer.headers["x-frame-options"]
    if is_frame(at):
        return [] if "sandbox" in policy and "allow-scripts" not in policy and option == "SAMEORIGIN" else [policy]
    return [] if "frame-ancestors 'none'" in policy and option == "DENY" else [policy]


async def test_what_is_typed_comes_back_as_text(admin: Person, furnished: None) -> None:
    """Every form of every page, with markup in each of its fields."""
    forms: dict[str, dict[str, str]] = {}
    for text in (await seen_by(admin)).pages().values():
        for form in _Page(text).forms:
            forms.setdefault(re.sub(r"[0-9a-f-]{36}", "ID", form["action"]), form)
    last = ("delete", "remove", "erase", "disable", "end", "complete", "stop")
    refused, wrong = 0, list[str]()
    for action in sorted(forms, key=lambda one: one.rpartition("/")[2] in last):
        if action in NOT_PRESSED:
            continue
        fields = {name: value for name, value in forms[action].items() if name != "action" and name[:6] != "typed "}
        typed = {name[6:]: value + HOSTILE for name, value in forms[action].items() if name[:6] == "typed "}
        answer = await admin.raw_post(forms[action]["action"], **{**fields, **typed})
        refused += answer.status_code == 422
        wrong += [f"{answer.status_code} {action}"] * (answer.status_code not in (200, 303, 404, 409, 422))
        if answer.status_code == 303:
            to = answer.headers["location"]
            wrong += [f"{action} leads to {to}"] * (not _is_here(to))
            answer = await admin.get(to)
        wrong += [
            f"{one} of {action}" for one in (*(raw for raw in RAW if raw in answer.text), *_Page(answer.text).wrong)
        ]
    assert wrong == []
    assert refused > 20
    assert len(forms) > 60
