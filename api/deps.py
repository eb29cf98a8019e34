"""What routes work with, built once per process by `api/app` and handed to every request."""

from dataclasses import dataclass

from fastapi import Request

from accounts.directory import Directory
from audience.topics import TopicBook
from core.clock import Clock
from core.publish import HintPublisher
from core.secrets import InstanceSecret
from core.settings import Settings
from messages.accept import Acceptor
from mta.resolve import Resolver
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


def deps(request: Request) -> Deps:
    """The collaborators of this process; a FastAPI dependency."""
    found: Deps = request.app.state.deps
    return found
