"""`postlane send`: one mail through the HTTP API, the way an application sends it."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from cli import context
from cli.output import CliError, Column, JsonOption, emit, print_table, say, shown, tell, wants_json
from core.queues import Lane
from messages.states import TERMINAL, State

_COLUMNS = (
    Column("recipient", drop=0),
    Column("state", style="bold", drop=0),
    Column("reply", wrap=True),
    Column("next_attempt_at", "next try", show=lambda at: shown(datetime.fromisoformat(at)) if at else "", drop=0),
)

ENDED = {"delivered", "bounced", "suppressed", "failed", "canceled"}
_ANSWERED: Final = frozenset({State.DEFERRED, *TERMINAL})
_SLOWEST: Final = 1.0
"""Seconds between two looks at a mail that takes long; the first comes after a tenth of that, and each doubles."""


def send(
    sender: Annotated[str, typer.Option("--from", help="`Name <user@verified-domain>`.")] = "",
    to: Annotated[list[str] | None, typer.Option(help="Recipient; give it several times for several.")] = None,
    subject: Annotated[str, typer.Option(help="Subject line.")] = "Test from Postlane",
    text: Annotated[str, typer.Option(help="Plain text; `-` reads it from standard input.")] = "",
    html: Annotated[Path | None, typer.Option(help="File with the HTML part.", exists=True, dir_okay=False)] = None,
    stream: Annotated[Lane | None, typer.Option(help="The lane; the topic's, or transactional.")] = None,
    topic: Annotated[str, typer.Option(help="Its type of mail, which recipients may switch off: name or id.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="NAME:VALUE; give it several times for several.")] = None,
    at: Annotated[str, typer.Option(help="Later: ISO 8601, or `in 10 min`.")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait for the outcome.")] = 10.0,
    api_key: Annotated[str, typer.Option(envvar="POSTLANE_API_KEY", help="API key; the demo's if there is one.")] = "",
    api_url: Annotated[str, typer.Option(envvar="POSTLANE_API_URL", help="Where the API is.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Send one mail and say what became of it."""
    settings, demo = context.read(), _demo_facts()
    facts = demo if api_key in ("", demo.get("api_key")) else {}
    key = api_key or facts.get("api_key", "")
    url = api_url.rstrip("/") or context.running_api_url(settings) or demo.get("api_url", "")
    url = url or f"http://127.0.0.1:{settings.api_port}"
    if not key:
        raise CliError("no_key", "no API key", "`postlane keys create NAME` makes one; give it as POSTLANE_API_KEY")
    if not to:
        raise CliError("no_recipient", "nobody to send to", "add `--to you@example.com`")
    sender = sender or facts.get("from", "")
    if not sender:
        raise CliError("no_sender", "nobody it is from", "add `--from 'Name <you@your-domain>'`: a domain of the key's")
    body: dict[str, Any] = {"from": sender, "to": to, "subject": subject}
    body |= {"stream": stream.value} if stream else {}
    body |= {"topic_id": _topic_id(url, key, topic)} if topic else {}
    body |= {"tags": [_tag(text) for text in tag]} if tag else {}
    body |= {"html": html.read_text()} if html else {}
    body |= {"text": sys.stdin.read() if text == "-" else text or ("" if html else "Sent by postlane send.")}
    body |= {"scheduled_at": at} if at else {}
    email = str(_call(url, key, "POST", "/emails", body)["id"])
    outcome = _outcome(url, key, email, 0 if at else wait)
    if wants_json(as_json) or "recipients" not in outcome:
        emit(outcome, as_json=as_json)
        return
    print_table(_rows(outcome, _call(url, key, "GET", f"/emails/{email}/events")["data"]), _COLUMNS)
    tell(f"Its whole story: postlane messages why {email}", style="dim")


def _topic_id(url: str, key: str, topic: str) -> str:
    """The id of a topic that is named by its name."""
    found = [one["id"] for one in _call(url, key, "GET", "/topics")["data"] if topic in (one["name"], one["id"])]
    if not found:
        raise CliError("not_found", f"there is no topic {topic}", "`postlane topics list` shows them")
    return str(found[0])


def _tag(text: str) -> dict[str, str]:
    name, _, value = text.partition(":")
    return {"name": name, "value": value}


def _outcome(url: str, key: str, email: str, seconds: float) -> dict[str, Any]:
    """The email as the API shows it, once it has ended, has to be tried again, or time is over; the id alone to a key
    that may only send."""
    deadline, pause = time.monotonic() + seconds, _SLOWEST / 10
    while True:
        try:
            found: dict[str, Any] = _call(url, key, "GET", f"/emails/{email}")
        except CliError as error:
            if error.code != "restricted_api_key":
                raise
            # Accepted all the same: such a key may send, and look at nothing.
            say(f"Accepted. This key may only send; `postlane messages why {email}` tells the rest.", style="dim")
            return {"id": email}
        left = deadline - time.monotonic()
        if left <= 0 or _is_told(found):
            return found
        time.sleep(min(pause, left))
        pause = min(2 * pause, _SLOWEST)


def _is_told(found: Mapping[str, Any]) -> bool:
    """Nothing more is to be heard soon: it has ended, or each recipient's server has answered, "later" among it."""
    return found["last_event"] in ENDED or all(one["state"] in _ANSWERED for one in found["recipients"])


def _rows(found: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, object]]:
    """What became of it for each recipient, with the last reply that it got."""
    replies = {one["recipient"]: f"{one['code'] or ''} {one['reply']}".strip() for one in events if one["reply"]}
    return [
        one | {"reply": replies.get(one["recipient"], one["waits_for"]), "state": _state(one)}
        for one in found["recipients"]
    ]


def _state(one: dict[str, Any]) -> str:
    return f"captured (as {one['state']})" if one["captured"] else str(one["state"])


def _call(url: str, key: str, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        url + path,
        json.dumps(body).encode() if body is not None else None,
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "User-Agent": "postlane-cli"},
        method=method,
    )
    try:
        with _opener(url).open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refused(error) from error
    except OSError as error:
        raise CliError("no_api", f"the API at {url} does not answer: {error}", "start it: `postlane up`") from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Never through a proxy to this very machine: proxies are set on many desks, and cannot reach it."""
    here = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))


def _refused(error: urllib.error.HTTPError) -> CliError:
    try:
        told = json.load(error)
        return CliError(str(told["name"]), str(told["message"]))
    except (ValueError, KeyError):
        return CliError("http_error", f"the API answered {error.code} {error.reason}")


def _demo_facts() -> dict[str, str]:
    """What a demo of this data folder wrote down. An own key goes before its key."""
    try:
        found: dict[str, str] = json.loads((context.read().data_dir / "demo.json").read_text())
    except (OSError, ValueError):
        return {}
    return found
