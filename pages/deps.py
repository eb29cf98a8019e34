"""What the pages work with, built once per process by `pages/app` and handed to every request."""

from dataclasses import dataclass

from fastapi import Request

from accounts.tracking_host import TrackingHosts
from audience.links import LinkSeal
from core.clock import Clock
from core.remembered import Remembered
from core.settings import Settings
from messages.accept import Acceptor
from messages.link_tokens import LinkTokens
from mta.resolve import Resolver
from outcomes.engagement_writer import EngagementWriter
from pages.work import Work
from store.database import Database
from templates.pictures import PictureType
from web.clients import Clients
from web.previews import PreviewSeal


@dataclass(frozen=True, slots=True)
class Deps:
    """Collaborators of the public pages."""

    settings: Settings
    database: Database
    links: LinkSeal
    acceptor: Acceptor
    clock: Clock
    clients: Clients
    tokens: LinkTokens
    tracking_hosts: TrackingHosts
    engagement: EngagementWriter
    work: Work
    previews: PreviewSeal
    resolver: Resolver
    images: Remembered[str, tuple[PictureType, bytes] | None]


def deps(request: Request) -> Deps:
    """The collaborators of this process; a FastAPI dependency."""
    found: Deps = request.app.state.deps
    return found
