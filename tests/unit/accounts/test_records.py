"""The records an owner is asked to publish: right by themselves, and readable by a DNS library."""

import dns.rdata
import dns.zone
import pytest
from dns.rdtypes.ANY.TXT import TXT

from accounts.records import Alias, PublicKey, RecordKind, domain_records, operator_spf
from mta.sign import generate_ed25519, generate_rsa

HOST = "mail.postlane.test"
KEYS = (
    PublicKey("pl1e", "ed25519", generate_ed25519()[1]),
    PublicKey("pl1r", "rsa", generate_rsa()[1]),
)
ALIAS = Alias("links.shop.test", "news.postlane.test")
COMING = (
    PublicKey("pl2e", "ed25519", generate_ed25519()[1]),
    PublicKey("pl2r", "rsa", generate_rsa()[1]),
)
RECORDS = {record.kind: record for record in domain_records("shop.test", "bounce.shop.test", KEYS, HOST, ALIAS, COMING)}


def test_every_kind_is_there_once_and_rsa_comes_first() -> None:
    assert list(RECORDS) == list(RecordKind)


def test_names_and_values() -> None:
    shown = {kind.value: (record.name, record.type, record.value, record.priority) for kind, record in RECORDS.items()}
    rsa, ed25519 = KEYS[1].public_key, KEYS[0].public_key
    next_rsa, next_ed25519 = COMING[1].public_key, COMING[0].public_key
    assert shown == {
        "dkim_rsa": ("pl1r._domainkey.shop.test", "TXT", f"v=DKIM1; k=rsa; p={rsa}", None),
        "dkim_ed25519": ("pl1e._domainkey.shop.test", "TXT", f"v=DKIM1; k=ed25519; p={ed25519}", None),
        "return_path_mx": ("bounce.shop.test", "MX", HOST, 10),
        "spf": ("bounce.shop.test", "TXT", f"v=spf1 include:_spf.{HOST} -all", None),
        "dmarc": ("_dmarc.shop.test", "TXT", "v=DMARC1; p=none", None),
        "tracking": ("links.shop.test", "CNAME", "news.postlane.test", None),
        "dkim_rsa_coming": ("pl2r._domainkey.shop.test", "TXT", f"v=DKIM1; k=rsa; p={next_rsa}", None),
        "dkim_ed25519_coming": ("pl2e._domainkey.shop.test", "TXT", f"v=DKIM1; k=ed25519; p={next_ed25519}", None),
    }


def test_what_is_required() -> None:
    required = {kind for kind, record in RECORDS.items() if record.required}
    assert required == {RecordKind.DKIM_RSA, RecordKind.RETURN_PATH_MX, RecordKind.SPF}


def test_zone_lines_are_read_back_by_a_dns_library() -> None:
    lines = [record.zone_line for record in RECORDS.values()]
    text = "\n".join(["@ 3600 IN SOA ns hostmaster 1 2 3 4 5", "@ IN NS ns", *lines])
    zone = dns.zone.from_text(text, origin="shop.test.", relativize=False)
    for record in RECORDS.values():
        found = zone.find_rdataset(record.name + ".", record.type)
        if record.type == "MX":
            assert (found[0].preference, found[0].exchange.to_text()) == (10, HOST + ".")
        elif record.type == "CNAME":
            assert found[0].target.to_text() == "news.postlane.test."
        else:
            texts = [b"".join(one.strings).decode() for one in found]
            assert record.value in texts
            assert all(len(string) <= 255 for one in found for string in one.strings)


def test_an_rsa_key_needs_more_than_one_string() -> None:
    assert len(RECORDS[RecordKind.DKIM_RSA].value) > 255
    assert RECORDS[RecordKind.DKIM_RSA].zone_line.count('"') == 4


def test_the_operator_lists_every_address_once() -> None:
    record = operator_spf(HOST, ["203.0.113.7", "2001:db8::1", "203.0.113.7"])
    assert (record.name, record.type) == (f"_spf.{HOST}", "TXT")
    assert record.value == "v=spf1 ip6:2001:db8::1 ip4:203.0.113.7 -all"


@pytest.mark.parametrize("count", [0, 40])
def test_few_and_many_addresses_make_a_readable_record(count: int) -> None:
    record = operator_spf(HOST, [f"203.0.113.{n}" for n in range(count)])
    parsed = dns.rdata.from_text("IN", "TXT", record.zone_line.split(" TXT ", 1)[1])
    assert isinstance(parsed, TXT)
    assert b"".join(parsed.strings).decode() == record.value
    assert record.value.count("ip4:") == count
