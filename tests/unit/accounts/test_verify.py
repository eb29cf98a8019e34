"""Judging what DNS says about a domain's records, and the status that follows."""

from dataclasses import replace

import pytest

from accounts.domain import RecordCheck
from accounts.records import Alias, PublicKey, RecordKind, domain_records, operator_spf
from accounts.verify import CheckStatus, DnsAnswers, domain_status, judge

HOST = "mail.postlane.test"
PAGES = "news.postlane.test"
IPS = ["203.0.113.7", "203.0.113.8"]
RECORDS = {
    record.kind: record
    for record in domain_records(
        "shop.test",
        "bounce.shop.test",
        [PublicKey("s1", "rsa", "QUJD"), PublicKey("s2", "ed25519", "REVG")],
        HOST,
        Alias("links.shop.test", PAGES),
        [PublicKey("s3", "rsa", "SUpL"), PublicKey("s4", "ed25519", "TE1O")],
    )
}
DKIM, SPF, OPERATOR = "s1._domainkey.shop.test", "bounce.shop.test", f"_spf.{HOST}"
RIGHT = DnsAnswers(
    {
        DKIM: ["v=DKIM1; k=rsa; p=QUJD"],
        "s2._domainkey.shop.test": ["v=DKIM1; k=ed25519; p=REVG"],
        "s3._domainkey.shop.test": ["v=DKIM1; k=rsa; p=SUpL"],
        "s4._domainkey.shop.test": ["v=DKIM1; k=ed25519; p=TE1O"],
        SPF: [RECORDS[RecordKind.SPF].value],
        OPERATOR: [operator_spf(HOST, IPS).value],
        "_dmarc.shop.test": ["v=DMARC1; p=reject"],
        "_dmarc.test": [],
    },
    {"bounce.shop.test": [(10, HOST)]},
    {"links.shop.test": [PAGES]},
    {"links.shop.test": ["203.0.113.9"], PAGES: ["203.0.113.9"]},
)


def check(kind: RecordKind, answers: DnsAnswers) -> RecordCheck:
    return judge(RECORDS[kind], answers, HOST, IPS)


def with_txt(name: str, *texts: str) -> DnsAnswers:
    return replace(RIGHT, txt={**RIGHT.txt, name: list(texts)})


def without(name: str) -> DnsAnswers:
    return DnsAnswers(
        {known: texts for known, texts in RIGHT.txt.items() if known != name},
        {known: hosts for known, hosts in RIGHT.mx.items() if known != name},
        {known: names for known, names in RIGHT.cname.items() if known != name},
        {known: found for known, found in RIGHT.addresses.items() if known != name},
    )


@pytest.mark.parametrize("kind", list(RecordKind))
def test_published_as_shown_is_verified(kind: RecordKind) -> None:
    assert check(kind, RIGHT) == RecordCheck("verified", "")


@pytest.mark.parametrize("kind", list(RecordKind))
def test_silence_is_a_temporary_failure_that_names_the_question(kind: RecordKind) -> None:
    found = check(kind, without(RECORDS[kind].name))
    assert found.status == "temporary_failure"
    assert RECORDS[kind].name in found.reason


@pytest.mark.parametrize("kind", list(RecordKind))
def test_nothing_there_is_pending(kind: RecordKind) -> None:
    nothing = DnsAnswers({name: [] for name in RIGHT.txt}, {name: [] for name in RIGHT.mx}, {"links.shop.test": []})
    found = check(kind, nothing)
    assert found.status == "pending"
    assert RECORDS[kind].name in found.reason


@pytest.mark.parametrize(
    "text",
    ["v=DKIM1;k=rsa;p=QUJD", "v=DKIM1; p=QU JD ;", "p=QUJD", "k=rsa; p=QUJD; t=s; n=hello"],
)
def test_dkim_in_other_words_is_verified(text: str) -> None:
    assert check(RecordKind.DKIM_RSA, with_txt(DKIM, text)).status == "verified"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["v=DKIM1; k=rsa; p=WFla"], "another key"),
        (["v=DKIM1; k=rsa; p=QU"], "another key"),
        (["v=DKIM1; k=ed25519; p=QUJD"], "another key"),
        (["v=DKIM1; k=rsa; p="], "revoked"),
        (["v=DKIM1; k=rsa; p=QUJD", "v=DKIM1; k=rsa; p=WFla"], "2 TXT records"),
        (["anything"], "another key"),
    ],
)
def test_another_dkim_record_fails_with_the_reason(texts: list[str], said: str) -> None:
    found = check(RecordKind.DKIM_RSA, with_txt(DKIM, *texts))
    assert found.status == "failed"
    assert said in found.reason


def test_an_ed25519_record_needs_its_kind() -> None:
    found = check(RecordKind.DKIM_ED25519, with_txt("s2._domainkey.shop.test", "v=DKIM1; p=REVG"))
    assert found.status == "failed"


@pytest.mark.parametrize(
    ("aliases", "addresses", "status"),
    [
        ([PAGES], [], "verified"),
        ([], ["203.0.113.9"], "verified"),  # a DNS service that follows aliases itself
        (None, ["203.0.113.9"], "verified"),
        ([], ["203.0.113.9", "192.0.2.1"], "failed"),
        ([], ["192.0.2.1"], "failed"),
        (["other.test"], ["203.0.113.9"], "verified"),
        (["other.test"], [], "failed"),
        ([], [], "pending"),
    ],
)
def test_a_tracking_host_leads_to_our_pages(aliases: list[str] | None, addresses: list[str], status: str) -> None:
    cname = {} if aliases is None else {"links.shop.test": aliases}
    found = check(
        RecordKind.TRACKING,
        replace(RIGHT, cname=cname, addresses={"links.shop.test": addresses, PAGES: ["203.0.113.9"]}),
    )
    assert found.status == status
    assert status == "verified" or "links.shop.test" in found.reason


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([(10, HOST)], "verified"),
        ([(0, HOST), (20, "backup.other.test")], "verified"),
        ([(5, "mx.other.test"), (10, HOST)], "failed"),
        ([(10, "mx.other.test"), (10, HOST)], "failed"),
        ([(10, "mx.other.test")], "failed"),
    ],
)
def test_bounces_must_come_to_us_first(hosts: list[tuple[int, str]], status: str) -> None:
    found = check(RecordKind.RETURN_PATH_MX, replace(RIGHT, mx={"bounce.shop.test": hosts}))
    assert found.status == status
    assert status == "verified" or "other.test" in found.reason


@pytest.mark.parametrize(
    "policy",
    [
        f"v=spf1 include:_spf.{HOST} -all",
        f"V=SPF1 a mx +include:_SPF.{HOST} ~all",
        "v=spf1 ip4:203.0.113.0/24 -all",
        "v=spf1 ip4:203.0.113.7 ip4:203.0.113.8",
        "v=spf1 +all",
    ],
)
def test_spf_that_lets_our_addresses_send_is_verified(policy: str) -> None:
    assert check(RecordKind.SPF, with_txt(SPF, "some other text", policy)).status == "verified"


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (["v=spf1 -all"], IPS[0]),
        ([f"v=spf1 -all include:_spf.{HOST}"], IPS[0]),
        ([f"v=spf1 -include:_spf.{HOST} -all"], IPS[0]),
        (["v=spf1 ip4:203.0.113.7 -all"], IPS[1]),
        (["v=spf1 ip4:not-an-address -all"], IPS[0]),
        ([f"v=spf1 include:_spf.{HOST} -all", "v=spf1 a -all"], "SPF allows one"),
    ],
)
def test_spf_that_does_not_fails_and_names_the_address(policies: list[str], said: str) -> None:
    found = check(RecordKind.SPF, with_txt(SPF, *policies))
    assert found.status == "failed"
    assert said in found.reason


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        ([], "pending"),
        (["v=spf1 ip4:203.0.113.7 -all"], "failed"),
        (["v=spf1 ip4:203.0.113.7 -all", "v=spf1 ip4:203.0.113.8 -all"], "pending"),
    ],
)
def test_the_operators_own_record_is_checked_and_told(texts: list[str], status: str) -> None:
    found = check(RecordKind.SPF, with_txt(OPERATOR, *texts))
    assert found.status == status
    assert "operator" in found.reason.lower()
    assert operator_spf(HOST, IPS).value in found.reason


def test_a_dmarc_policy_of_a_parent_counts() -> None:
    record = replace(RECORDS[RecordKind.DMARC], name="_dmarc.news.shop.test")
    below = replace(RIGHT, txt={**RIGHT.txt, "_dmarc.news.shop.test": []})
    assert judge(record, below, HOST, IPS).status == "verified"


@pytest.mark.parametrize("texts", [["v=DMARC1; p=maybe"], ["v=DMARC1"], ["v=DMARC1; p=none", "v=DMARC1; p=none"]])
def test_a_broken_dmarc_record_fails(texts: list[str]) -> None:
    assert check(RecordKind.DMARC, with_txt("_dmarc.shop.test", *texts)).status == "failed"


def statuses(**changed: str) -> dict[str, RecordCheck]:
    return {kind.value: RecordCheck(changed.get(kind.value, "verified"), "") for kind in RecordKind}


@pytest.mark.parametrize(
    ("before", "changed", "after"),
    [
        ("not_started", {}, "verified"),
        ("not_started", {"dkim_ed25519": "failed", "dmarc": "pending"}, "verified"),
        ("not_started", {"spf": "pending"}, "pending"),
        ("pending", {"spf": "pending", "dkim_rsa": "failed"}, "failed"),
        ("not_started", {"dkim_rsa": "temporary_failure"}, "pending"),
        ("verified", {"dkim_rsa": "temporary_failure", "spf": "temporary_failure"}, "verified"),
        ("verified", {"dkim_rsa": "pending"}, "temporary_failure"),
        ("verified", {"return_path_mx": "failed"}, "temporary_failure"),
        ("temporary_failure", {"dkim_rsa": "temporary_failure"}, "temporary_failure"),
        ("temporary_failure", {}, "verified"),
        ("failed", {}, "verified"),
    ],
)
def test_status_of_the_domain(before: str, changed: dict[str, str], after: str) -> None:
    assert set(changed.values()) <= set(CheckStatus)
    assert domain_status(before, statuses(**changed)) == after


@pytest.mark.parametrize(
    ("before", "looked", "changed", "after"),
    [
        ("verified", {"spf": "failed"}, {"spf": "failed"}, "verified"),
        ("verified", {}, {"dkim_rsa": "pending"}, "verified"),
        ("verified", {"dkim_rsa": "pending"}, {"dkim_rsa": "pending"}, "temporary_failure"),
        ("verified", {"dkim_rsa": "failed"}, {"return_path_mx": "failed"}, "verified"),
        ("verified", {"dkim_rsa": "temporary_failure"}, {"dkim_rsa": "pending"}, "verified"),
        ("verified", {"return_path_mx": "failed"}, {"return_path_mx": "pending"}, "temporary_failure"),
        ("temporary_failure", {"dkim_rsa": "pending"}, {"spf": "failed"}, "temporary_failure"),
        ("temporary_failure", {"dkim_rsa": "pending"}, {}, "verified"),
        ("pending", {"spf": "pending"}, {"spf": "failed"}, "failed"),
    ],
)
def test_a_look_by_the_clock_stops_a_domain_for_what_is_gone_twice(
    before: str, looked: dict[str, str], changed: dict[str, str], after: str
) -> None:
    assert domain_status(before, statuses(**changed), statuses(**looked)) == after
