"""One request about one person's mail, and what it is answered with. Values only."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import Request

from audience.choices import Act, Person, Source
from audience.links import MailLink
from audience.topics import DEFAULT_NAME, Topic
from pages.deps import Deps
from pages.language import Catalogue
from web.forms import Form


@dataclass(frozen=True, slots=True)
class Visit:
    """One request."""

    request: Request
    given: Deps
    link: MailLink
    form: Form
    words: Catalogue

    @property
    def person(self) -> Person:
        """Whom the link is for."""
        return Person(self.link.application_id, self.link.address)

    def act(self, source: Source = Source.LINK) -> Act:
        """How what they do came to us."""
        ip = self.given.clients.address(self.request)
        return Act(source, ip, self.link.email_id, self.link.position)


@dataclass(frozen=True, slots=True)
class Said:
    """What a POST is answered with: a text of the catalogues, and its names."""

    key: str
    names: Mapping[str, object]
    then: Callable[[], Awaitable[None]] | None = None
    """To be done once the transaction is committed."""

    @property
    def wrong(self) -> bool:
        """Nothing was done, and the person has to do something."""
        return self.key.startswith("wrong.")


def title(topic: Topic, words: Catalogue) -> str:
    """A topic's name as its reader sees it: that of the default topic, until the application gives it one, in their
    language."""
    return words("topics.default") if topic.is_default and topic.name == DEFAULT_NAME else topic.name


def said(key: str, **names: object) -> Said:
    """The text with its names."""
    return Said(key, names)
