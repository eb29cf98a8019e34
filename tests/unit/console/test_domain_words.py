"""What pages of domains, keys and applications say: pure words about what is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts import rotation
from accounts.counting import DomainTally, KeyTally
from accounts.domain import Domain, RecordCheck
from accounts.quotas import Quota
from accounts.records import PublicKey
from accounts.repository import ApiKey, Application, Tenant
from accounts.verify import records_of
from campaigns.withdrawal import MANY, Leaving
from console.applications import words as applications
from console.domains import words
from console.domains.guides import guides
from console.keys import words as keys
from core.ids import uuid7

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEYS = (PublicKey("s1", "rsa", "QUJD"), PublicKey("s2", "ed25519", "REVG"))
KINDS = ("dkim_rsa", "dkim_ed25519", "return_path_mx", "spf", "dmarc")
RSA_ALONE = "until the RSA one is found. It does not wait for Ed25519, whose record"
SHOP = Domain(uuid7(), uuid7(), "shop.test", "bounce.shop.test", "verified", {}, AT, AT, KEYS)


def said(status: str, **states: str) -> str:
    """The answer of the page, where these records stand otherwise than found."""
    checks = {kind: RecordCheck(states.get(kind, "verified"), "") for kind in KINDS}
    domain = replace(SHOP, status=status, checks=checks)
    return words.what_to_publish(domain, records_of(domain, "mail.test", ""))


@pytest.mark.parametrize(
    ("status", "states", "begins"),
    [
        ("verified", {}, "Nothing: all 5 records are there. Mail from shop.test is signed and leaves."),
        (
            "verified",
            {"dmarc": "pending"},
            "1 of 5 records is missing, and not required: DMARC. Mail from shop.test",
        ),
        ("verified", {"spf": "failed"}, "1 of 5 records differs. Mail from shop.test still leaves; it stops when"),
        (
            "pending",
            {"dkim_rsa": "pending", "spf": "pending"},
            "2 of 5 records are missing; mail from shop.test is",
        ),
        (
            "failed",
            {"spf": "failed", "dmarc": "pending"},
            "1 of 5 records is missing, 1 differs; mail from shop.test",
        ),
        ("temporary_failure", {"dkim_rsa": "pending"}, "1 of 5 records is missing now. Mail from shop.test is refused"),
        ("verified", dict.fromkeys(KINDS, "temporary_failure"), "No name server answered for 5 of 5 records, and none"),
    ],
)
def test_a_domain_says_what_it_lacks_and_what_becomes_of_its_mail(
    status: str, states: dict[str, str], begins: str
) -> None:
    assert said(status, **states).startswith(begins), said(status, **states)


def test_a_domain_without_keys_says_what_to_make() -> None:
    bare = replace(SHOP, status="failed", keys=(), checks={"dkim_rsa": RecordCheck("failed", "no key")})
    records = records_of(bare, "mail.test", "")

    assert words.what_to_publish(bare, records) == (
        "shop.test has no RSA key: its mail cannot be signed, and is refused. Make new ones under Keys, publish their"
        " records, then have it checked."
    )
    assert words.what_to_publish(replace(bare, coming=KEYS), records).endswith(
        "Publish the records of the new ones, then have it checked."
    )
    assert words.lacks(bare, records) == "keys to sign with"


def test_silence_stops_nobody_who_was_verified() -> None:
    silent = dict.fromkeys(KINDS, "temporary_failure")
    assert said("verified", **silent).endswith("Mail from shop.test leaves as before.")
    assert said("pending", **silent).endswith("is refused until the required ones are found.")


@pytest.mark.parametrize(
    ("ed25519", "told"),
    [
        ("verified", "until both are found."),
        ("temporary_failure", "until both are found."),
        (
            "pending",
            "until the RSA one is found. It does not wait for Ed25519, whose record is not there today either.",
        ),
        ("failed", "until the RSA one is found. It does not wait for Ed25519, whose record is not there today either."),
        ("", "until the RSA one is found. It does not wait for Ed25519, whose record nobody has looked for yet."),
    ],
)
def test_new_keys_say_for_what_they_wait(ed25519: str, told: str) -> None:
    checks = {"dkim_rsa": RecordCheck("verified", "")}
    if ed25519:
        checks["dkim_ed25519"] = RecordCheck(ed25519, "")
    domain = replace(SHOP, checks=checks)
    found = {"dkim_rsa_coming": RecordCheck("verified", ""), **checks}

    assert words.until_found(domain) == f"Mail is signed as before {told}"
    assert rotation.ready(replace(domain, coming=KEYS), found) is told.startswith("until the RSA"), "as it is done"


def test_what_is_to_be_done_stands_first() -> None:
    domain = replace(SHOP, checks={kind: RecordCheck("verified", "") for kind in KINDS if kind != "spf"})
    assert words.wrong_first(records_of(domain, "mail.test", ""), domain)[0].kind == "spf"


def test_keys_say_who_uses_them() -> None:
    used = ApiKey(uuid7(), uuid7(), "web", "pl_abc", "full_access", None, AT, AT, test=False)
    fresh = replace(used, last_used_at=None, test=True)
    assert keys.who_may_send(KeyTally(2, 1, 1)) == "2 keys: 1 live, 1 for tests. 1 was never used."
    assert keys.who_may_send(KeyTally(1, 0, 0)) == "1 key: 1 live, 0 for tests. Each was used."
    assert keys.who_may_send(KeyTally(0, 0, 0)).startswith("None yet")
    assert "last used 3 min ago" in keys.revoked(used, AT + timedelta(minutes=3))
    assert keys.revoked(fresh, AT).startswith("It was never used.")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (DomainTally(0, 0), "From none yet: add the domain behind the @ of your senders."),
        (DomainTally(1, 1), "From the one there is."),
        (DomainTally(1200, 1200), "From all 1,200 of them."),
        (DomainTally(3, 2, ["a.test"]), "From 2 of 3. a.test lacks records."),
        (DomainTally(60, 55, ["a.test", "b.test", "c.test"]),
         "From 55 of 60. a.test, b.test, c.test and 2 more lack records."),
    ],
)  # fmt: skip
def test_the_list_of_domains_says_how_many_may_send(found: DomainTally, told: str) -> None:
    assert words.may_send(found) == told


def test_quotas_in_few_words() -> None:
    assert [applications.limit(Quota(*given)) for given in ((None, None), (1000, None), (None, 5), (1000, 5))] == [
        "none", "1,000 a day", "5 a second", "1,000 a day, 5 a second",
    ]  # fmt: skip
    shop = Application(uuid7(), "shop", AT, Quota(1000))
    assert applications.used(Tenant(shop, (), 0, 999)).endswith("brought in today (UTC); 1 are left.")


def test_what_goes_with_an_application_is_counted_up_to_a_bound() -> None:
    assert Leaving(0, 0, 0, 0, 0, 0).sentence == "nothing in it"
    assert Leaving(1, 2, 0, 0, 0, 0).sentence == "1 key and 2 domains"
    assert Leaving(1, 0, MANY + 1, 0, 1, 3).sentence == (
        "1 key, more than 10,000 contacts, 1 campaign under way and 3 messages that wait"
    )


def test_guides_name_the_domain_and_the_desk() -> None:
    text = " ".join(" ".join([one.gives, *one.steps, one.after]) for one in guides("shop.test", "mail.test"))
    assert "shop.test" in text
    assert "fbl@mail.test" in text
    assert "{" not in text
