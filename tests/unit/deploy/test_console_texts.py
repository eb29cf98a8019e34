"""What the console says is found as it is shown, and keeps to the rules of wording."""

import pytest
from jinja2 import Environment

from deploy import console_texts, texts_of_code, wording
from deploy.texts_of_templates import Text, signatures, texts

MACROS = """
{% macro section(title, aside="", id="") %}<h2>{{ title }}</h2>{{ caller() }}{% endmacro %}
{% macro figure(name, value, note="") %}{% endmacro %}
{% macro table(heads, caption, class="") %}{% endmacro %}
{% macro select(name, label, options, value="") %}{% endmacro %}
{% macro confirm(name, action, button, text, do="") %}{% endmacro %}
"""
TEMPLATE = """
{% extends "layout/base.html" %}
{% block title %}Messages{% endblock %}
{# a note of ours #}
<p>Refused by <b>{{ who }}</b> {{ row.at|ago }}{% if again %}, and tried {{ n|plural("time") }}{% endif %}.</p>
<p>{% if found %}<b>Found it</b>{% else %}Nothing here{% endif %}</p>
<a class="button" href="/x">{{ "left"|icon }}{{ "Newer" if newer else "Older" }}</a>
<input name="q" placeholder="An address" aria-label="Search {{ what }}" class="Not This">
{% call section("Open " ~ kind, "of the last day") %}<td title="{{ subject }}">{{ subject }}</td>{% endcall %}
{{ figure("Delivered", n|short, rate|percent ~ " of what was decided") }}
{% call table(["Recipient", ("Accepted", "right")], "Newest") %}{% endcall %}
{{ select("state", "State", [("", "Any")] + states, form.state) }}
{% call confirm("end", "/end", "End it", "End this rest?") %}It sends {{ "again" }}.{% endcall %}
"""
CODE = '''
"""A module that says things."""
from typing import Final

NAMES: Final = {"bounced": "Refused", "x-header": "text/plain"}
"""What each is called."""


def said(visit, n: int) -> str:
    """One sentence."""
    visit.log.warning("not for people")
    connection.execute("SELECT a FROM b")
    return f"{n:,} {'mail' if n == 1 else 'mails'} of {visit.me.email} wait since {visit.now:%H:%M}."
'''


@pytest.fixture(scope="module")
def environment() -> Environment:
    """As the console's."""
    return Environment(trim_blocks=True, lstrip_blocks=True, autoescape=True)


def test_a_template_says_sentences_with_their_values(environment: Environment) -> None:
    found = texts(environment, TEMPLATE, signatures(environment, MACROS))

    assert found == [
        Text("text", "Messages"),
        Text("text", "Refused by {who} {at}[, and tried {n} time]."),
        Text("text", "[Found it|Nothing here]"),
        Text("button", "[Newer|Older]"),
        Text("text", "An address"),
        Text("text", "Search {what}"),
        Text("text", "It sends again."),
        Text("heading", "Open {kind}"),
        Text("text", "of the last day"),
        Text("label", "Delivered"),
        Text("text", "{rate} of what was decided"),
        Text("column", "Recipient"),
        Text("column", "Accepted"),
        Text("text", "Newest"),
        Text("label", "State"),
        Text("choice", "Any"),
        Text("button", "End it"),
        Text("text", "End this rest?"),
    ]


def test_a_module_says_its_sentences_and_names() -> None:
    assert texts_of_code.sentences(CODE) == ["Refused", "{n} [mail|mails] of {email} wait since {now}."]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text", "Saved!"),
        ("text", "Wait..."),
        ("text", "4% of delivered"),
        ("text", "the newest 10000 rows"),
        ("text", "Please log in."),
        ("text", "It is on the blacklist."),
        ("text", 'called "News"'),
        ("heading", "Request Log"),
        ("button", "Send."),
        ("button", "Submit"),
    ],
)
def test_a_rule_that_is_broken_is_told(kind: str, text: str) -> None:
    assert [*wording.broken(kind, text)] != []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("heading", "IPs at Gmail: what DKIM says"),
        ("text", "4 % of 41,203, as `POST /emails` on 2026-11-28 says."),
        ("text", "Sign in and look at the suppression list."),
        ("button", "Rest this IP"),
    ],
)
def test_what_keeps_to_the_rules_is_not(kind: str, text: str) -> None:
    assert [*wording.broken(kind, text)] == []


def test_everything_the_console_says_keeps_to_the_rules() -> None:
    said = console_texts.collect()
    broken = [f"{one.file}: {one.text!r}: {why}" for one in said for why in wording.broken(one.kind, one.text)]

    assert len(said) > 1500
    assert broken == []


def test_what_people_read_on_a_page_is_among_it() -> None:
    said = {(one.noun, one.text) for one in console_texts.collect()}

    assert {
        ("suppressions", "Who gets no mail, and why?"),
        ("messages", "No mail in this time"),
        ("layout", "Skip to the content"),
        ("audit", "Ended a rest"),
        ("campaigns", "Their server took it."),
    } <= said
