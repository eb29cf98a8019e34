"""FastAPI observes nothing: what happens in an application is told by ourselves."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

import api.app
import console.app
import pages.app
from core.settings import Settings
from web.routers import UNOBSERVED

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra `traces`: make setup")


class Listener:
    """Of a tracer's spans."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def provider(self) -> Any:
        listener = self

        class Processor(sdk.SpanProcessor):  # type: ignore[misc, name-defined]  # the module comes by importorskip
            def on_end(self, span: Any) -> None:
                listener.heard.append(span.name)

        made = sdk.TracerProvider()
        made.add_span_processor(Processor())
        return made


def ask(telemetry: dict[str, Any]) -> list[str]:
    """What a listener hears of a request."""
    listener = Listener()
    options: Any = {**telemetry, "tracer_provider": listener.provider()}
    app = FastAPI(telemetry=options)

    async def asked() -> None:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://x.example") as client:
            await client.get("/")

    asyncio.run(asked())
    return listener.heard


def test_nobody_hears_of_a_request() -> None:
    assert ask({}), "this version of FastAPI tells"
    assert ask(UNOBSERVED) == []


@pytest.mark.parametrize("create_app", [api.app.create_app, console.app.create_app, pages.app.create_app])
def test_each_application_is_made_so(create_app: Callable[[Settings], FastAPI]) -> None:
    made = vars(create_app(Settings(secret="5" * 64, redis_url="redis://127.0.0.1:1/0")))

    assert UNOBSERVED.items() <= made["_telemetry"].items()
