"""What the console works with, built once per process by `console/app` and handed to every request."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from campaigns.forecasting import Tools
from console.live import Live
from console.rehearsing import Rehearsals
from console.throttling import Attempts
from core.clock import Clock
from core.secrets import InstanceSecret
from core.settings import Settings
from store.database import Database
from web.clients import Clients

if TYPE_CHECKING:
    from accounts.openid_provider import OpenIdProvider


@dataclass(frozen=True, slots=True)
class Deps:
    """Collaborators of the console."""

    settings: Settings
    database: Database
    secret: InstanceSecret
    clock: Clock
    clients: Clients
    attempts: Attempts
    live: Live
    tools: Tools
    """What checks and forecasts of campaigns ask with."""
    rehearsals: Rehearsals
    """Plans of warm-ups that are being rehearsed."""
    openid: "OpenIdProvider | None" = None
    """Who vouches for users, if somebody does."""


def deps(request: Request) -> Deps:
    """The collaborators of this process; a FastAPI dependency."""
    found: Deps = request.app.state.deps
    return found
