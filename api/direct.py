"""A route without FastAPI's machinery, for the few that are called thousands of times a second.

FastAPI documents it like any other route, but does not take part in a request: no dependency graph, no exit stacks, no
serialisation. The endpoint takes the `Request` and returns a `Response`; it calls `api/auth` by itself.
"""

from starlette.types import Receive, Scope, Send

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import Match


class DirectRoute(APIRoute):
    """Calls its endpoint with the request and nothing else."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A fixed path needs no regular expression."""
        if scope["type"] != "http" or scope["path"] != self.path:
            return Match.NONE, {}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), {"route": self, "path_params": {}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
