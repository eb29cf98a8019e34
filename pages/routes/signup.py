"""`/s/<form>`: the hosted sign-up page, and the target of forms that stand on other sites.

GET shows the page. POST takes a form, from our page or any other, or JSON; `/challenge` gives the puzzle whose answer
lets a client sign up more often. Whatever address is given, the answer is the same: whether it is known, suppressed or
was asked already is for its reader to know alone, and the mail is written later (`messages/signing_up`), so that the
time it takes tells nothing either. Pages of the form's own origins may use all of it by script (CORS); nobody else's.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from audience import confirmations, forms, properties, topics
from audience.confirmations import Asked
from audience.forms import Form
from audience.properties import Definitions
from audience.topics import Topic
from core.objectives import PAGE
from pages import filled
from pages.answers import PageError, texts_of
from pages.deps import deps
from pages.filled import HONEYPOT, Problem
from pages.language import CATALOGUES, Catalogue, catalogue
from pages.limits import count, count_signup, limits, strange
from pages.reachable import spoken_against
from pages.rendering import SCRIPT_URL, page
from web.answers import json_answer
from web.bodies import read_body
from web.forms import LARGEST, one, read_form
from web.forms import Form as Fields
from web.objectives import serves

router = APIRouter()

PATH: Final = "/s/{form}"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of the one page with a script: it solves the puzzle."""
_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "content-type",
    "access-control-max-age": "86400",
}


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request about one form."""

    request: Request
    form: Form
    words: Catalogue
    known: Definitions
    offered: tuple[Topic, ...]
    fields: Fields

    @property
    def consent(self) -> str:
        """What whoever signs up agrees to."""
        said = self.form.texts(self.words.code).consent
        return said or self.words("signup.consent", sender=self.form.sender_name)


@router.get(PATH)
@serves(PAGE)
async def show(request: Request, form: str) -> Response:
    """The page."""
    return _page(await _visit(request, form, {}))


async def previewed(request: Request, form: UUID) -> Response:
    """The page as it would look; nothing is sent from there."""
    return _page(await _visit(request, str(form), {}), script="")


@router.post(PATH)
@serves(PAGE)
async def sign_up(request: Request, form: str) -> Response:
    """Somebody signs up, by form or by JSON."""
    if not _is_json(request):
        visit = await _visit(request, form, await read_form(request))
        wrong = await _take(visit)
        return _page(visit, wrong) if wrong else _done(visit)
    fields = filled.from_json(await read_body(request, LARGEST))
    visit = await _visit(request, form, fields or {})
    try:
        wrong = Problem("", "error.form.text", {}) if fields is None else await _take(visit)
    except PageError as error:
        return _json_error(visit, error)
    return _told(visit, wrong)


@router.get(PATH + "/challenge")
@serves(PAGE)
async def challenge(request: Request, form: str) -> Response:
    """A puzzle, and how many bits its answer has to give."""
    count(request, limits(request).acts)
    found, given = await _form(request, form), deps(request)
    puzzle = {"challenge": given.work.challenge(found.id, given.clock.now()), "bits": given.work.bits}
    return json_answer(puzzle, headers=_cors(request, found))


@router.options(PATH)
@router.options(PATH + "/challenge")
@serves(PAGE)
async def preflight(request: Request, form: str) -> Response:
    """May a page of another origin do this?"""
    allowed = _cors(request, await _form(request, form))
    return Response(status_code=204, headers=allowed | _PREFLIGHT if len(allowed) > 1 else allowed)


async def _take(visit: _Visit) -> Problem | None:
    """Note who wants what; what is wrong with it, if anything. Raises PageError."""
    given, fields, form_id = deps(visit.request), visit.fields, visit.form.id
    count(visit.request, limits(visit.request).acts)
    found = filled.read(visit.form, fields, visit.known, visit.offered, visit.consent)
    if isinstance(found, Problem):
        return found
    box, wanted = found
    if wrong := await spoken_against(given.resolver, box, one(fields, "sure")):
        return wrong
    worked = given.work.done(form_id, one(fields, "challenge"), one(fields, "answer"), given.clock.now())
    await count_signup(visit.request, form_id, worked=worked)  # not before: who mistypes uses nothing up
    if one(fields, HONEYPOT) or not await limits(visit.request).same.count(box.key):
        return None  # the same answer, and nothing is done
    ip = given.clients.address(visit.request)
    asked = Asked(visit.form.application_id, box.key, box.wire, form_id, visit.words.code, wanted, ip)
    async with given.database.transaction() as connection:
        await confirmations.ask(connection, asked, timedelta(days=given.settings.confirmation_days))
    return None


# What is shown


async def _form(request: Request, text: str) -> Form:
    try:
        identifier = UUID(text)
    except ValueError:
        raise strange(request) from None
    async with deps(request).database.connection() as connection:
        found = await forms.shown(connection, identifier)
    if found is None:
        raise strange(request)
    return found


async def _visit(request: Request, text: str, fields: Fields) -> _Visit:
    form = await _form(request, text)
    async with deps(request).database.connection() as connection:
        known = await properties.known(connection, form.application_id)
        every = {topic.id: topic for topic in await topics.every(connection, form.application_id)}
    offered = tuple(every[topic_id] for topic_id in form.facts.topics if topic_id in every)
    return _Visit(request, form, _words(request, form, fields), known, offered, fields)


def _words(request: Request, form: Form, fields: Fields) -> Catalogue:
    """The reader's language, among those that the form has texts in."""
    words = catalogue(request, one(fields, "lang"))
    spoken = form.facts.texts
    if not spoken or words.code in spoken:
        return words
    return CATALOGUES.get(form.facts.language, words)


def _languages(form: Form) -> list[Catalogue]:
    spoken = form.facts.texts
    return [words for words in CATALOGUES.values() if not spoken or words.code in spoken]


def _page(visit: _Visit, wrong: Problem | None = None, script: str = SCRIPT_URL) -> Response:
    form, words = visit.form, visit.words
    answer = page(
        "signup.html",
        words,
        422 if wrong else 200,
        form=form,
        texts=form.texts(words.code),
        languages=_languages(form),
        questions=filled.questions(form, visit.known, words.code),
        topics=visit.offered,
        consent=visit.consent,
        wrong=wrong,
        typed=lambda name: one(visit.fields, name),
        ticked=set(visit.fields.get("topic", ())),
        honeypot=HONEYPOT,
        script=script,
    )
    answer.headers["content-security-policy"] = _POLICY
    return answer


def _done(visit: _Visit) -> Response:
    return page(
        "signed_up.html",
        visit.words,
        form=visit.form,
        languages=_languages(visit.form),
        email=one(visit.fields, "email"),
    )


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _told(visit: _Visit, wrong: Problem | None) -> Response:
    headers = _cors(visit.request, visit.form)
    if wrong:
        said = visit.words(wrong.key, **wrong.names)
        return json_answer({"error": {"field": wrong.field, "message": said}}, 422, headers)
    said = visit.words("signup.done.text", email=one(visit.fields, "email"))
    return json_answer({"status": "confirmation_sent", "message": said}, 202, headers)


def _json_error(visit: _Visit, error: PageError) -> Response:
    headers = _cors(visit.request, visit.form) | error.headers
    message = texts_of(error.reason, visit.words)
    return json_answer({"error": {"field": "", "message": message}}, error.status, headers)


def _cors(request: Request, form: Form) -> dict[str, str]:
    """Headers that let a page of one of the form's origins read the answer."""
    origin = request.headers.get("origin", "")
    always = {"vary": "origin"}
    return always | {"access-control-allow-origin": origin} if origin in form.facts.origins else always
