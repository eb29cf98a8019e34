"""Do the links of a content lead somewhere? Each distinct one is asked as a browser would, and nothing of it is read.

Links with a placeholder are each person's own and are not asked; neither is anything but http and https. Authors of
campaigns need not be trusted with this machine's networks: every connection, also behind a redirect, is made to an
address that `mta/guard` has judged right then. Number, time and what is read are bounded.

`asked_links` is pure; `LinkProbe` asks, over httpcore, whose network is ours.
"""

import asyncio
import re
import ssl
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import dns.exception
import dns.name
import httpcore

from core.errors import UnavailableError
from mta.guard import Guard, Network
from mta.guarded import GuardedNetwork, Lookup
from templates.checks import leads_somewhere, links_of
from webhooks.targets import is_address

MOST: Final = 100
"""Links that are asked."""
AT_ONCE: Final = 10
OF_ONE_HOST: Final = 3
"""At once: a shop is not to be knocked over by whoever looks whether it is there."""
SECONDS: Final = 8.0
"""For one link with all its redirects."""
ALL_SECONDS: Final = 25.0
MOST_REDIRECTS: Final = 8
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_FOR_US: Final = frozenset({401, 402, 403, 405, 406, 408, 409, 418, 425, 428, 429, 451, 999})
"""What a server says to a visitor whom it does not want or cannot serve now. The page may be there."""
_HEADERS: Final = ((b"User-Agent", b"Mozilla/5.0 (compatible; Postlane-Links/1)"), (b"Accept", b"*/*"),
                   (b"Accept-Encoding", b"identity"))  # fmt: skip
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"'|\\^`\[\]]+", re.IGNORECASE)
_PATH: Final = "%/:=&?~#+!$,;'@()*[]-._"


def asked_links(html: str, text: str) -> list[str]:
    """The links and images of a content that can be asked: each once, in their order. What is no link at all is a
    remark on the words already (`templates/checks`)."""
    hrefs, images = links_of(html)
    plain = [url.rstrip(".,;:!?)") for url in _IN_TEXT.findall(text)]
    every = (url.strip().partition("#")[0] for url in (*hrefs, *images, *plain) if leads_somewhere(url))
    return list(
        dict.fromkeys(url for url in every if url.lower().startswith(("http://", "https://")) and "{" not in url)
    )


class LinkProbe:
    """Asks links. One for each check."""

    def __init__(self, lookup: Lookup, own: Sequence[Network] = (), tls: ssl.SSLContext | None = None) -> None:
        """`own`: networks of the operator that may be asked too. `tls`: whom to trust."""
        self._network = GuardedNetwork(lookup, Guard(tuple(own), setting="POSTLANE_WEBHOOK_NETWORKS"), SECONDS)
        self._tls = tls or ssl.create_default_context()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._of_host: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(OF_ONE_HOST))

    async def troubles(self, urls: Iterable[str], within: float = ALL_SECONDS) -> Mapping[str, str]:
        """What is wrong with each link, "" for nothing. Those that were not asked in time are left out."""
        wanted = list(urls)[:MOST]
        async with httpcore.AsyncConnectionPool(self._tls, network_backend=self._network) as pool:
            tasks = {url: asyncio.create_task(self._trouble(pool, url)) for url in wanted}
            if tasks:
                await asyncio.wait(tasks.values(), timeout=within)
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {url: task.result() for url, task in tasks.items() if not task.cancelled()}

    async def _trouble(self, pool: httpcore.AsyncConnectionPool, url: str) -> str:
        async with self._of_host[urlsplit(url).netloc.lower()], self._room:
            try:
                async with asyncio.timeout(SECONDS):
                    return await self._followed(pool, url)
            except TimeoutError:
                return f"no answer within {SECONDS:.0f} s"
            except (OSError, ValueError, UnavailableError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                return _words(error)
            except httpcore.NetworkError as error:
                return _words(error.__cause__ or error)

    async def _followed(self, pool: httpcore.AsyncConnectionPool, url: str) -> str:
        for _ in range(MOST_REDIRECTS + 1):
            status, location = await self._asked(pool, url)
            if status not in _REDIRECTS or not location:
                return "" if status < 400 or status in _NOT_FOR_US else f"it answers {status}"
            url = urljoin(url, location)
        return f"it leads on more than {MOST_REDIRECTS} times"

    async def _asked(self, pool: httpcore.AsyncConnectionPool, url: str) -> tuple[int, str]:
        """Status and where it leads on. Many a server answers HEAD wrongly, so GET has the last word."""
        status, location = await _request(pool, "HEAD", url)
        return (status, location) if status < 400 else await _request(pool, "GET", url)


async def _request(pool: httpcore.AsyncConnectionPool, method: str, url: str) -> tuple[int, str]:
    """What stands in the head of the answer; its body is left where it is."""
    waits = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
    async with pool.stream(method, _plain(url), headers=_HEADERS, extensions={"timeout": waits}) as answer:
        location = next((value for name, value in answer.headers if name.lower() == b"location"), b"")
        return answer.status, location.decode("latin-1")


def _plain(url: str) -> str:
    """The URL as it is sent: a host in ASCII, no blanks, no name and password. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError(f"it leads to {url[:100]!r}, which is no web address")
    host = parts.hostname
    if not is_address(host):
        try:
            host = dns.name.from_unicode(host).to_text(omit_final_dot=True)
        except (dns.exception.DNSException, UnicodeError):
            raise ValueError(f"{host[:100]!r} is no host name") from None
    authority = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    query = f"?{quote(parts.query, safe=_PATH)}" if parts.query else ""
    return f"{parts.scheme.lower()}://{authority}{quote(parts.path, safe=_PATH) or '/'}{query}"


def _words(error: BaseException) -> str:
    """The reason in a line."""
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        verified = error if isinstance(error, ssl.SSLCertVerificationError) else error.__cause__
        return f"its certificate is not good: {getattr(verified, 'verify_message', '')}"
    if isinstance(error, httpcore.TimeoutException):
        return f"no answer within {SECONDS:.0f} s"
    if isinstance(error, httpcore.ConnectError) or "connection attempts failed" in str(error):
        return "nobody can be connected to there"
    text = str(error) or (str(error.__cause__) if error.__cause__ else "")
    return " ".join((text or type(error).__name__).split())[:200]
