"""Files of providers as they come."""

from datetime import date

import orjson
import pytest

from core.refusal import Refused
from pools.standing_files import read

TODAY = date(2026, 11, 28)

SNDS = """192.0.2.1,11/26/2026 2:00 AM,11/27/2026 1:00 AM,2001,1998,1990,GREEN,< 0.1%,,,0,,,
192.0.2.2,11/26/2026 2:00 AM,11/27/2026 1:00 AM,10,10,10,RED,2.5%,11/26/2026 3:00 AM,11/26/2026 4:00 AM,3,m1,<a@b>,
"""
YAHOO = "\ufeffDKIM Domain;Date;Delivered;Spam Rate (%)\nAcme.example;2026-11-27;12,000;0.12%\n"
GOOGLE = {
    "name": "domains/acme.example/complianceStatus",
    "complianceData": {
        "domainId": "acme.example",
        "rowData": [
            {"requirement": "SPF", "status": {"status": "COMPLIANT"}},
            {"requirement": "DMARC_POLICY", "status": {"status": "NEEDS_WORK"}},
        ],
        "oneClickUnsubscribeVerdict": {"status": {"status": "NEEDS_WORK"}, "reason": "NO_UNSUB_GENERAL"},
    },
}


def told(source: str, data: bytes) -> dict[tuple[str, str], tuple[float | None, str, date]]:
    return {(f.subject, f.name): (f.value, f.text, f.day) for f in read(source, data, TODAY)}


@pytest.mark.parametrize("heading", ["", "IP Address,Activity start,Activity end,RCPT,DATA,R,F,C,T,T,T,H,J,C\n"])
def test_snds(heading: str) -> None:
    found, day = told("snds", (heading + SNDS).encode()), date(2026, 11, 26)

    assert found["192.0.2.1", "filter_result"] == (None, "green", day)
    assert found["192.0.2.1", "complaint_rate"] == (0.001, "< 0.1%", day)
    assert found["192.0.2.2", "trap_hits"] == (3, "", day)
    assert found["192.0.2.2", "complaint_rate"][0] == 0.025


def test_yahoo() -> None:
    for data in (YAHOO.encode(), YAHOO.lstrip("\ufeff").encode("utf-16")):
        assert told("yahoo", data) == {
            ("acme.example", "complaint_rate"): (pytest.approx(0.0012), "0.12%", date(2026, 11, 27)),
            ("acme.example", "delivered"): (12000, "12,000", date(2026, 11, 27)),
        }


def test_google() -> None:
    found = told("google", orjson.dumps(GOOGLE))

    assert found["acme.example", "spf"] == (1.0, "compliant", TODAY)
    assert found["acme.example", "dmarc_policy"] == (0.0, "needs_work", TODAY)
    assert found["acme.example", "one_click_unsubscribe"] == (0.0, "needs_work: no_unsub_general", TODAY)


@pytest.mark.parametrize(
    ("source", "data", "says"),
    [
        ("snds", b"hello,world\n", "line 1"), ("snds", b"", "no figures"),
        ("snds", SNDS.replace("GREEN", "BLUE").encode(), "line 1"),
        ("snds", SNDS.replace("2.5%", "many").encode(), "line 2: 'many' is no rate"),
        ("yahoo", b"a,b,c\n1,2,3\n", "first line must name"),
        ("yahoo", b"domain,date,complaints\nx,soon,1\n", "line 2"),
        ("google", b"{}", "no figures"), ("google", b"<html>", "no answer"),
        ("google", b'{"complianceData": {"x": 1}}', "no answer"),
        ("sender_score", b"", "one of snds"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where(source: str, data: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says):
        read(source, data, TODAY)
