"""`/a/<campaign>`: what a campaign says, for whoever has the address. Off unless its sender switched it on. And
`/archive/<application>`: a list of those that are for everybody.

The page is the mail itself, in the reader's language where it has one, without anything of a person. Whoever wrote it
is not trusted: the browser keeps it in a sandbox of its own origin (CSP `sandbox`), where no script runs, no form is
sent and nothing is loaded but pictures, fonts and its own styles; links open, and that is all.
"""

import asyncio
from dataclasses import replace
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from audience import properties
from audience.properties import Definitions
from campaigns import repository, showing, speaking
from campaigns.archive import LIST_PATH, PATH, Access
from campaigns.model import Campaign
from campaigns.showing import Shown
from core.objectives import PAGE
from pages.answers import PageError
from pages.brand import brand_by
from pages.deps import deps
from pages.language import Catalogue, catalogue, wanted_languages
from pages.limits import count, limits, strange
from pages.rendering import page
from templates.model import language_for
from web.objectives import serves

router = APIRouter()

LISTED: Final = 50
"""Mails of one page."""

_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src https: http: data:;"
    " style-src 'unsafe-inline' https:; font-src https: data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)


@router.get(f"{PATH}{{campaign}}")
@serves(PAGE)
async def show(request: Request, campaign: str, lang: str = "") -> Response:
    """The page. 410 once it was taken off, 404 for what never was there."""
    found = await _found(request, campaign)
    wanted = _wanted(found, lang, request)
    language, words = await asyncio.to_thread(speaking.sent_to, found, found.experiment.chosen or 0, wanted)
    async with deps(request).database.connection() as connection:
        known = await properties.known(connection, found.application_id)
    made = await showing.show(words, known)
    if made is None:
        raise PageError(410, "taken_off")
    return _answer(made, found, language)


@router.get(f"{LIST_PATH}{{application}}")
@serves(PAGE)
async def show_list(request: Request, application: str, before: str = "") -> Response:
    """What an application has sent, by its campaigns' own switches. 404 where it shows none."""
    count(request, limits(request).views)
    owner, older = _id(request, application), _id(request, before) if before else None
    async with deps(request).database.connection() as connection:
        found = await repository.on_the_web(connection, owner, older, LISTED + 1)
        known = await properties.known(connection, owner)
    if not found:
        raise strange(request)
    words = catalogue(request)
    answer = page(
        "archive.html", words, brand=brand_by(found[0].words.sender),
        mails=[_line(one, known, request, words) for one in found[:LISTED]],
        older=str(found[LISTED - 1].id) if len(found) > LISTED else "", path=PATH,
    )  # fmt: skip
    answer.headers["x-robots-tag"] = "all"
    return answer


def _line(found: Campaign, known: Definitions, request: Request, words: Catalogue) -> tuple[UUID, str, str]:
    """Of one mail: its id, its subject in the reader's language, its day."""
    said = found.experiment.words(found.words)[found.experiment.chosen or 0]
    subject = found.languages.get(_wanted(found, "", request), {}).get("subject")
    shown = showing.subject(replace(said, subject=subject or said.subject), known)
    assert found.started_at is not None, "it was sent"
    return found.id, shown, words.day(found.started_at)


def _id(request: Request, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise strange(request) from None


async def _found(request: Request, text: str) -> Campaign:
    count(request, limits(request).views)
    identifier = _id(request, text)
    async with deps(request).database.connection() as connection:
        found = await repository.find(connection, None, identifier)
    if found is None or found.unreadable or (not found.archive.is_on and found.started_at is None):
        raise strange(request)
    if not found.archive.is_on:
        raise PageError(410, "taken_off")
    return found


def _wanted(found: Campaign, asked: str, request: Request) -> str:
    """The one that was asked for, else the first that the reader's browser wants and the campaign has."""
    for tag in (asked, *wanted_languages(request.headers.get("accept-language", ""))):
        if language := language_for(found.languages, tag):
            return language
    return ""


def _answer(made: Shown, found: Campaign, language: str) -> Response:
    headers = {"content-security-policy": _POLICY, "vary": "accept-language"}
    if language:
        headers["content-language"] = language
    if found.archive.access is Access.INDEXED:
        headers["x-robots-tag"] = "all"
    if made.html is not None:
        return Response(made.html, headers=headers, media_type="text/html")
    return Response(made.text or "", headers=headers, media_type="text/plain")
