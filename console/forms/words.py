"""What the pages of sign-up forms say in words. Pure."""

import json
from collections.abc import Sequence

from audience.confirmations import Figures
from audience.forms import NAMES, Form
from console.shown import plural

_EXAMPLES = {"first_name": "Ann", "last_name": "Smith"}


def who_signs_up(figures: Sequence[Figures]) -> str:
    """How many came by all of them, as far as that is kept."""
    if not figures:
        return "Nowhere yet: there is no form."
    confirmed, waiting = sum(one.confirmed for one in figures), sum(one.waiting for one in figures)
    told = f"{plural(len(figures), 'form')}: {plural(confirmed, 'person', 'people')} confirmed in the last weeks"
    return f"{told}, {waiting:,} {'has' if waiting == 1 else 'have'} not pressed the button in their mail yet."


def how_it_goes(one: Figures) -> str:
    """How many came by this one."""
    if not (one.confirmed or one.waiting or one.unsent):
        return "Nobody has signed up by it lately."
    told = f"{plural(one.confirmed, 'person', 'people')} confirmed, {one.waiting:,} asked and not confirmed yet"
    return f"{told}, {one.unsent:,} got no mail." if one.unsent else f"{told}."


def as_json(form: Form, public_url: str) -> str:
    """A sign-up from a program, as a command line."""
    asked = [one.key for one in form.facts.fields]
    body: dict[str, object] = {"email": "ann@example.com"}
    body |= {key: _EXAMPLES[key] for key in asked if key in NAMES}
    if own := [key for key in asked if key not in NAMES]:
        body["properties"] = dict.fromkeys(own, "…")
    if form.facts.topics:
        body["topics"] = [str(form.facts.topics[0])]
    text = json.dumps(body, ensure_ascii=False).replace("'", "\\u0027")
    return f"curl {public_url}/s/{form.id} -H 'Content-Type: application/json' -d '{text}'"
