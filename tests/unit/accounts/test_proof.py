"""Signatures verified against published keys, by a verifier that is not ours."""

from datetime import UTC, datetime

import pytest

from accounts.domain import RecordCheck
from accounts.proof import refused_signatures
from accounts.records import PublicKey, domain_records
from accounts.verify import CheckStatus, DnsAnswers, proved
from mta.sign import Algorithm, DkimKey, dns_record, generate_ed25519, generate_rsa, load_key

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
RSA, ED25519 = generate_rsa(), generate_ed25519()
NAMES = ("r1._domainkey.shop.test", "e1._domainkey.shop.test")
TXT = {
    NAMES[0]: [dns_record(RSA[1], Algorithm.RSA)],
    NAMES[1]: [dns_record(ED25519[1], Algorithm.ED25519)],
}


def keys(rsa: bytes = RSA[0], ed25519: bytes = ED25519[0]) -> list[DkimKey]:
    return [load_key("shop.test", "r1", rsa), load_key("shop.test", "e1", ed25519)]


def test_what_we_sign_verifies_by_both_algorithms() -> None:
    assert refused_signatures("shop.test", keys(), TXT, NOW) == {}


@pytest.mark.parametrize("name", NAMES)
def test_the_private_key_must_belong_to_the_published_one(name: str) -> None:
    others = keys(generate_rsa()[0], generate_ed25519()[0])
    assert refused_signatures("shop.test", others, {name: TXT[name]}, NOW).keys() == {name}


@pytest.mark.parametrize(
    "record",
    [
        "v=DKIM2; k=rsa; p=" + RSA[1],
        "v=DKIM1; k=rsa; p=" + RSA[1][:-9],
        "v=DKIM1; k=rsa; p=AAAA",
        "v=DKIM1; k=rsa; s=other; p=" + RSA[1],
        "v=DKIM1; k=none; p=" + RSA[1],
        "v=DKIM1; k=rsa; p=",
        "",
    ],
)
def test_a_record_that_receivers_cannot_use_is_told(record: str) -> None:
    refused = refused_signatures("shop.test", keys(), {NAMES[0]: [record]}, NOW)
    assert refused.keys() == {NAMES[0]}
    assert refused[NAMES[0]]


def test_names_nobody_answered_for_are_left_out() -> None:
    assert refused_signatures("shop.test", keys(), {}, NOW) == {}


def test_a_check_that_looked_right_fails_with_the_reason() -> None:
    public = [PublicKey("r1", "rsa", RSA[1]), PublicKey("e1", "ed25519", ED25519[1])]
    records = domain_records("shop.test", "bounce.shop.test", public, "mail.postlane.test")
    looks_right = {record.kind.value: RecordCheck(CheckStatus.VERIFIED, "") for record in records}
    evidence = DnsAnswers({**TXT, NAMES[0]: ["v=DKIM1; k=rsa; s=other; p=" + RSA[1]]}, {})
    found = proved(records, looks_right, evidence, "shop.test", keys())
    assert found.keys() == {"dkim_rsa"}
    assert found["dkim_rsa"].reason.startswith("A mail signed now does not verify against r1._domainkey.shop.test: ")
    unopened = proved(records, looks_right, evidence, "shop.test", "sealed with another secret")
    assert {check.reason for check in unopened.values()} == {
        "Nothing can be signed for shop.test: sealed with another secret"
    }
