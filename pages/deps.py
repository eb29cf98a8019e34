"""What the pages work with, built once per process by `pages/app` and handed to every request."""

from dataclasses import dataclass

from fastapi import Request

from audience.links import LinkSeal
from core.clock import Clock
from core.settings import Settings
from messages.accept import Acceptor
from pages.clients import Clients
from store.database import Database


@dataclass(frozen=True, slots=True)
class Deps:
    """Collaborators of the public pages."""

    settings: Settings
    database: Database
    links: LinkSeal
    acceptor: Acceptor
    clock: Clock
    clients: Clients


def deps(request: Request) -> Deps:
    """The collaborators of this process; a FastAPI dependency."""
    found: Deps = request.app.state.deps
    return found
