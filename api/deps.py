"""What routes work with, built once per process by `api/app` and handed to every request."""

from dataclasses import dataclass, replace

from fastapi import Request

from accounts.directory import Directory
from api.auditing import audited
from audience.topics import TopicBook
from core.clock import Clock
from core.publish import HintPublisher
from core.secrets import InstanceSecret
from core.settings import Settings
from messages.accept import Acceptor
from mta.resolve import Resolver
from requestlog.gathering import Gatherer
from store.database import Database
from templates.book import TemplateBook


@dataclass(frozen=True, slots=True)
class Deps:
    """Collaborators of the API."""

    settings: Settings
    database: Database
    acceptor: Acceptor
    directory: Directory
    topics: TopicBook
    templates: TemplateBook
    hints: HintPublisher
    resolver: Resolver
    secret: InstanceSecret
    clock: Clock
    requests: Gatherer


def deps(request: Request) -> Deps:
    """The collaborators of this process; a FastAPI dependency. What a request of a key changes through them stands in
    the audit log."""
    found: Deps = request.app.state.deps
    database = audited(found.database, request.scope)
    return found if database is found.database else replace(found, database=database)
