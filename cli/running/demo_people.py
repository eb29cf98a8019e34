"""The demo's people and its campaign: 5,000 who asked for the newsletter, and a draft that waits to be started.

They come in as any list with proof of consent does, and the campaign is made as an application would make it. It leaves
slowly, so that there is time to watch it and to pause it. What the local parts mean is in `simulator/behaviour.py`.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from audience import properties, segments
from audience.importing import asking, imports, slices
from audience.importing.columns import ColumnMap
from audience.importing.merging import Consent, Terms, stored
from audience.importing.slices import Domains, Work
from audience.properties import PropertyType
from cli.running.demo_mail import DOMAIN, SENDER, domain_of
from core.paging import Window
from core.settings import Settings
from mta.from_settings import known_providers, make_resolver
from store.database import Database
from templates.build import Kind, Source, build

PEOPLE: Final = 5000
LIST: Final = "Newsletter"
CAMPAIGN: Final = "Spring news"
SUBJECT: Final = "{{ first_name }}, spring has come to {{ city }}"
PER_HOUR: Final = 90_000

_FIRST: Final = ("Ada", "Blaise", "Chiara", "David", "Emmy", "Farid", "Grace", "Hedy", "Ibn", "Jocelyn", "Kurt", "Lise")
_CITIES: Final = ("Berlin", "Paris", "Madrid", "Wien", "Lisboa", "Oslo", "Praha", "Roma")
_ODD_ONES: Final = {17: "unknown", 41: "greylist", 66: "click", 67: "click", 68: "click"}
"""Per hundred: these do not exist, are greylisted, or have a look."""
_PEOPLE: Final = {1234: "complain", 2345: "unsubscribe", 3456: "unsubscribe", 4567: "late"}

_MJML: Final = f"""
<mjml><mj-body background-color="#f4f1ea">
  <mj-section background-color="#ffffff"><mj-column>
    <mj-text font-size="24px">Hello {{{{ first_name }}}},</mj-text>
    <mj-text font-size="16px" line-height="24px">the first tulips are out in {{{{ city }}}}, and so is our spring list:
      everything for the balcony, three for the price of two.</mj-text>
    <mj-button background-color="#2f6f4f" href="https://{DOMAIN}/spring">Have a look</mj-button>
    <mj-text font-size="13px" color="#666666">You get this because you asked for our newsletter.
      <a href="{{{{{{UNSUBSCRIBE_URL}}}}}}">Unsubscribe</a></mj-text>
  </mj-column></mj-section>
</mj-body></mjml>
"""


async def bring_in(database: Database, settings: Settings, application_id: UUID) -> UUID | None:
    """The people on their list; its id. None when the application has lists already."""
    async with database.transaction() as connection:
        if (await segments.page(connection, application_id, Window(1))).entries:
            return None
        await properties.create(connection, application_id, "city", PropertyType.STRING, "your town")
        segment = await segments.create(connection, application_id, LIST)
        given = datetime.now(UTC) - timedelta(days=30)
        consent = Consent("the shop's sign-up form", given, "Send me the newsletter once a month.")
        terms = Terms(application_id, "the demo", segments=(segment.id,), consent=consent, asks=False)
        known = await asking.check(connection, terms)
        made = await imports.begin(connection, application_id, "people.csv", terms.actor, stored(terms))
    reader = asking.reader(io.StringIO("".join(_lines())), known, ColumnMap())
    domains = Domains(make_resolver(settings, known_providers(settings)))
    await slices.run(database, Work(made.id, terms, reader, domains), lambda _: None)
    return segment.id


def campaign(list_id: UUID) -> dict[str, object]:
    """The body of `POST /broadcasts`."""
    built = build(Source(Kind.MJML, _MJML))
    return {
        "name": CAMPAIGN,
        "from": SENDER,
        "subject": SUBJECT,
        "preview_text": "Three for the price of two",
        "html": built.html,
        "text": built.text,
        "segment_id": str(list_id),
        "open_tracking": True,
        "click_tracking": True,
        "plan": {"per_hour": PER_HOUR},
    }


def _lines() -> Iterator[str]:
    yield "email,first_name,city\n"
    for number in range(PEOPLE):
        kind = _PEOPLE.get(number) or _ODD_ONES.get(number % 100, "reader")
        chance = Random(number)
        yield f"{kind}{number}@{domain_of(chance)},{chance.choice(_FIRST)},{chance.choice(_CITIES)}\n"
