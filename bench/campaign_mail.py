"""The campaign that is measured, and plain mail of the same size to set it against. Pure.

The campaign is an MJML template with six variables and five links, compiled once as any template is. Plain mail has the
same HTML and text, written out for each recipient by its application: what somebody would post who has no campaigns.
"""

import json
from collections.abc import Iterable
from typing import Final

from bench.mail import SENDER_DOMAIN
from campaigns.model import Words
from templates.build import Kind, Source, build

LINKS: Final = 5
VARIABLES: Final = ("first_name", "last_name", "city", "plan", "points", "email")
SUBJECT: Final = "{{ first_name }}, your news of the week"
SENDER: Final = f"Bench <news@{SENDER_DOMAIN}>"

_ARTICLE: Final = (
    "Two people from {{{{ city | default('your town') }}}} wrote to us about number {n}: what was planned for spring"
    " came earlier, and those on {{{{ plan }}}} saw it first. "
)
_MORE: Final = "Nothing in it is news to those who have read us for years, and all of it is to those who have not. " * 6


def words() -> Words:
    """What the campaign says."""
    built = build(Source(Kind.MJML, _mjml(), SUBJECT))
    return Words(SENDER, SUBJECT, "What is new this week", html=built.html, text=built.text)


class PlainMail:
    """Bodies of `POST /emails/batch`: the same mail, each with its recipient's number where their name would be."""

    def __init__(self, said: Words) -> None:
        html, text = (_written_out(part or "") for part in (said.html, said.text))
        self._size = len(html) + len(text)
        head = {"from": said.sender, "stream": "marketing", "subject": "Reader, your news of the week"}
        self._parts = json.dumps({**head, "html": html, "text": text})[:-1]

    @property
    def size(self) -> int:
        """Bytes of HTML and text."""
        return self._size

    def batch(self, numbered: Iterable[tuple[int, str]]) -> bytes:
        """The body of one request."""
        return f"[{','.join(self._one(number, to) for number, to in numbered)}]".encode()

    def _one(self, number: int, to: str) -> str:
        return f'{self._parts.replace("@@", str(number))},"to":"{to}"}}'


def _written_out(template: str) -> str:
    """The template with a value in the place of each variable."""
    values = {"first_name": "Reader@@", "last_name": "Bench", "city": "Berlin", "plan": "basic", "points": "512"}
    text = template.replace("{{ city | default('your town') }}", values["city"])
    for name, value in {**values, "email": "reader@@@bench.sim"}.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def _mjml() -> str:
    articles = "".join(
        f'<mj-text font-size="16px">{_ARTICLE.format(n=n)}{_MORE}</mj-text>'
        f'<mj-button href="https://shop.bench.sim/article/{n}?week=12">Read on</mj-button>'
        for n in range(LINKS)
    )
    return (
        "<mjml><mj-body><mj-section><mj-column>"
        '<mj-text font-size="20px">Hello {{ first_name }} {{ last_name }},</mj-text>'
        f"{articles}"
        "<mj-text>You have {{ points }} points. This mail goes to {{ email }}.</mj-text>"
        '<mj-text><a href="{{{UNSUBSCRIBE_URL}}}" data-no-track>Unsubscribe</a></mj-text>'
        "</mj-column></mj-section></mj-body></mjml>"
    )
