"""Files of providers about our IPs and domains, made into figures. Pure.

    snds     Microsoft's CSV of one line an IP and activity period, with or without a heading: IP, begin, end, RCPT,
             DATA, recipients, filter result (GREEN YELLOW RED), complaint rate ("< 0.1%"), trap period, trap hits, …
    yahoo    figures of Yahoo's complaint feedback loop as CSV with a heading: domain, date, delivered, complaints and
             complaint rate, under the names that Yahoo or people give them
    google   the answer of Postmaster Tools' `domains.getComplianceStatus` as JSON; Google shows no reputation any more

What cannot be read names its line, and nothing of the file is taken.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

import orjson

from core.refusal import Refused, invalid

MOST_LINES: Final = 200_000

Kind = Literal["ip", "domain"]


@dataclass(frozen=True, slots=True)
class ProviderFigure:
    """One thing a provider says about one of ours on one day."""

    kind: Kind
    subject: str
    provider: str
    source: str
    name: str
    day: date
    value: float | None
    text: str = ""


_COLOURS: Final = ("GREEN", "YELLOW", "RED")
_RATE: Final = re.compile(r"[<>]?\s*([0-9.]+)\s*(%?)")


def read(source: str, data: bytes, today: date) -> list[ProviderFigure]:
    """The figures of a file. Raises Refused naming what is wrong with it."""
    reader = READERS.get(source)
    if reader is None:
        raise invalid("source", f"it must be one of {', '.join(READERS)}")
    found = list(reader(_text(data), today))
    if not found:
        raise Refused("invalid", f"there are no figures of {source} in it")
    return found


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    dialect = "\t" if "\t" in text.partition("\n")[0] else ";" if ";" in text.partition("\n")[0] else ","
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=dialect), 1):
        if number > MOST_LINES:
            raise Refused("invalid", f"it has more than {MOST_LINES:,} lines")
        if any(cell.strip() for cell in row):
            yield number, [cell.strip() for cell in row]


def _snds(text: str, today: date) -> Iterator[ProviderFigure]:
    for number, row in _lines(text):
        if number == 1 and "ip" in row[0].lower():
            continue
        if len(row) < 8 or row[6].upper() not in _COLOURS:
            raise _wrong(number, "it is no line of SNDS: IP, begin, end, RCPT, DATA, recipients, filter result, …")
        about = ("ip", row[0], "microsoft", "snds")
        day = _day(number, row[1])
        yield ProviderFigure(*about, "filter_result", day, None, row[6].lower())  # type: ignore[arg-type]
        yield ProviderFigure(*about, "complaint_rate", day, _rate(number, row[7]), row[7])  # type: ignore[arg-type]
        yield ProviderFigure(*about, "recipients", day, _number(number, row[5]))  # type: ignore[arg-type]
        if len(row) > 10 and row[10]:
            yield ProviderFigure(*about, "trap_hits", day, _number(number, row[10]))  # type: ignore[arg-type]


_YAHOO: Final[Mapping[str, tuple[str, ...]]] = {
    "domain": ("domain", "dkim domain", "d= domain", "dkim_domain"),
    "day": ("date", "day"),
    "complaint_rate": ("complaint rate", "spam rate", "complaint_rate", "spam_rate"),
    "complaints": ("complaints", "spam complaints", "reports"),
    "delivered": ("delivered", "inbox delivered", "inboxed", "delivered to inbox", "volume"),
}


def _yahoo(text: str, today: date) -> Iterator[ProviderFigure]:
    lines = _lines(text)
    _, heading = next(lines, (0, []))
    places = _places([name.lower().replace("(%)", "").strip() for name in heading])
    for number, row in lines:
        cells = {name: row[place] for name, place in places.items() if place < len(row) and row[place]}
        if "domain" not in cells or "day" not in cells:
            raise _wrong(number, "domain or date is missing")
        subject, day = cells["domain"].lower().rstrip("."), _day(number, cells["day"])
        for name in ("complaint_rate", "complaints", "delivered"):
            if name in cells:
                value = _rate(number, cells[name]) if name == "complaint_rate" else _number(number, cells[name])
                yield ProviderFigure("domain", subject, "yahoo", "yahoo_cfl", name, day, value, cells[name])


def _places(heading: Sequence[str]) -> dict[str, int]:
    found = {
        name: next(n for n, title in enumerate(heading) if title in names)
        for name, names in _YAHOO.items()
        if any(title in names for title in heading)
    }
    if not {"domain", "day"} <= found.keys() or len(found) < 3:
        raise Refused(
            "invalid", "its first line must name domain, date, and complaint rate, complaints or delivered",
            hint=f"It names: {', '.join(heading)[:200]}",
        )  # fmt: skip
    return found


def _google(text: str, today: date) -> Iterator[ProviderFigure]:
    try:
        answer = orjson.loads(text)
        for part in ("complianceData", "subdomainComplianceData"):
            if isinstance(answer.get(part), dict) and answer[part]:
                yield from _compliance(answer[part], today)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise Refused("invalid", "it is no answer of domains.getComplianceStatus") from None


def _compliance(data: Mapping[str, Any], today: date) -> Iterator[ProviderFigure]:
    subject = str(data["domainId"]).lower()
    rows = [(str(row["requirement"]), row.get("status") or {}, "") for row in data.get("rowData") or ()]
    for name in ("oneClickUnsubscribeVerdict", "honorUnsubscribeVerdict", "deliverabilityVerdict"):
        if verdict := data.get(name):
            what = _snake(name.removesuffix("Verdict"))
            rows.append((what, verdict.get("status") or {}, verdict.get("reason") or ""))
    for name, status, reason in rows:
        state = str(status.get("status") or "unknown").lower()
        value = {"compliant": 1.0, "needs_work": 0.0}.get(state)
        said = f"{state}: {reason.lower()}" if reason else state
        yield ProviderFigure("domain", subject, "gmail", "google_compliance", name.lower(), today, value, said)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


READERS: Final[Mapping[str, Callable[[str, date], Iterator[ProviderFigure]]]] = {
    "snds": _snds, "yahoo": _yahoo, "google": _google,
}  # fmt: skip


_DAYS: Final = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y")


def _day(number: int, text: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        pass
    for form in _DAYS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise _wrong(number, f"{text[:40]!r} is no date")


def _rate(number: int, text: str) -> float:
    """A rate as a part of 1; of "< 0.1%" the bound."""
    match = _RATE.fullmatch(text)
    try:
        assert match is not None
        value = float(match[1])
    except (AssertionError, ValueError):
        raise _wrong(number, f"{text[:40]!r} is no rate") from None
    return value / 100 if match[2] else value


def _number(number: int, text: str) -> float:
    try:
        return float(text.replace(",", "").replace(" ", ""))
    except ValueError:
        raise _wrong(number, f"{text[:40]!r} is no number") from None


def _wrong(number: int, why: str) -> Refused:
    return Refused("invalid", f"line {number}: {why}")
