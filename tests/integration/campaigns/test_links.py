"""Links of a content: which are asked, what is said of each, and where nobody can be led to."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from campaigns.checking.links import MOST, OF_ONE_HOST, LinkProbe, asked_links
from core.errors import UnavailableError
from mta.guard import networks

LOOPBACK = networks(["127.0.0.0/8"])


class Names:
    """DNS as a table; what is not in it has no address, and None is silence."""

    def __init__(self, names: Mapping[str, list[str] | None]) -> None:
        self._names = names
        self.asked: Counter[str] = Counter()

    async def addresses(self, name: str) -> list[str]:
        self.asked[name] += 1
        found = self._names.get(name, [])
        if found is None:
            raise UnavailableError(f"{name}: no DNS server answered")
        return found


class Shop:
    """A web server with good pages and bad ones."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0
        self.under_way = self.most_under_way = 0
        self.going = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/").partition("-")[0]
        if name == "hangs":
            await self.going.wait()
        if name == "moved":
            return web.Response(status=302, headers={"location": request.query.get("to", "/good")})
        if name == "round":
            return web.Response(status=301, headers={"location": "/round"})
        if name == "endless":
            answer = web.StreamResponse()
            await answer.prepare(request)
            await self.going.wait()
            return answer
        if name == "nohead":
            return web.Response(status=404 if request.method == "HEAD" else 200, text="x" * 100_000)
        return web.Response(status=int(name) if name.isdecimal() else 200)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    made.going.set()
    await runner.cleanup()


@asynccontextmanager
async def probe(**names: list[str] | None) -> AsyncIterator[LinkProbe]:
    yield LinkProbe(Names({name.replace("_", "."): found for name, found in names.items()}), LOOPBACK)


def test_each_link_is_asked_once_and_none_that_is_somebodys_own() -> None:
    html = (
        '<a href="https://shop.example/a?x=1&amp;y=2#top">a</a><a href="https://shop.example/a?x=1&amp;y=2">again</a>'
        '<a href="https://shop.example/?who={{ email }}">yours</a><a href="{{ link }}">yours</a><a href="#x">x</a>'
        '<a href="mailto:a@shop.example">mail</a><img src="https://shop.example/a.png"><img src="cid:logo">'
        '<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">leave</a>'
    )
    text = "See https://shop.example/b. Yours: https://shop.example/?who={{ email }}, leave: {{{UNSUBSCRIBE_URL}}}"

    assert asked_links(html, text) == [
        "https://shop.example/a?x=1&y=2", "https://shop.example/a.png", "https://shop.example/b",
    ]  # fmt: skip


def test_a_hostile_text_costs_no_more_than_its_length() -> None:
    """A pattern that goes back would take hours for this."""
    assert asked_links("<a " * 100_000, "https://" * 100_000 + "x" * 1_000_000 + "{{" * 100_000) == []


async def test_what_is_wrong_with_a_link_is_said(shop: Shop) -> None:
    good = [shop.url(path) for path in ("good", "403", "429", "nohead", "moved", "endless")]
    wrong = {
        shop.url("404"): "it answers 404",
        shop.url("503"): "it answers 503",
        shop.url("moved?to=/410"): "it answers 410",
        shop.url("round"): "it leads on more than 8 times",
        shop.url("x", "nowhere.example"): "nowhere.example has no address",
        shop.url("x", "silent.example"): "silent.example: no DNS server answered",
        "http://127.0.0.1:25/": "port 25 is not for HTTP",
        f"https://127.0.0.1:{shop.port}/": "",
    }
    async with probe(silent_example=None) as made:
        found = await made.troubles([*good, *wrong])

    assert {url: found[url] for url in good} == dict.fromkeys(good, "")
    for url, trouble in wrong.items():
        assert trouble in found[url]
    assert found[f"https://127.0.0.1:{shop.port}/"] != ""
    assert f"HEAD {'/good'}" in shop.asked and "GET /good" not in shop.asked


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "100.100.100.200"]
)
async def test_nobody_is_led_inside_neither_by_name_nor_by_a_redirect(shop: Shop, address: str) -> None:
    made = LinkProbe(Names({"evil.example": [address]}))
    url = shop.url("good", "evil.example")
    found = await made.troubles([url])

    assert "is at" in found[url] and not shop.asked

    inside = networks(["127.0.0.1/32"])
    literal = f"[{address}]" if ":" in address else address
    leading = shop.url(f"moved?to=http://{literal}:8080/")
    if address != "127.0.0.1":
        found = await LinkProbe(Names({}), inside).troubles([leading])
        assert "is not a public address" in found[leading]


async def test_links_are_asked_side_by_side_and_of_one_host_a_few(shop: Shop) -> None:
    urls = [shop.url(f"hangs-{n}") for n in range(8)]
    async with probe() as made:
        asking = asyncio.create_task(made.troubles(urls))
        async with asyncio.timeout(20):
            while shop.under_way < OF_ONE_HOST:
                await asyncio.sleep(0.01)
        shop.going.set()
        assert await asking == dict.fromkeys(urls, "")
    assert shop.most_under_way == OF_ONE_HOST


async def test_what_was_not_asked_in_time_is_left_out_and_there_is_a_most(shop: Shop) -> None:
    async with probe() as made:
        assert await made.troubles([shop.url("hangs")], within=0.0) == {}
        assert len(await made.troubles([shop.url(f"good-{n}") for n in range(MOST + 20)])) == MOST


async def test_urls_as_people_write_them_are_asked_as_browsers_do(shop: Shop) -> None:
    url = f"HTTP://user:secret@Bücher.example:{shop.port}/größe 1?q=a b"
    async with probe(**{"xn--bcher-kva_example": ["127.0.0.1"]}) as made:
        found = await made.troubles([url, "http://a..b/", "http://x.example:99999/"])

    assert found[url] == "" and shop.asked == ["HEAD /gr%C3%B6%C3%9Fe%201?q=a%20b"]
    assert "no host name" in found["http://a..b/"] and found["http://x.example:99999/"]
