"""What is said of a sender's domain, from what DNS answered."""

from datetime import UTC, datetime
from uuid import UUID

from accounts.domain import Domain, RecordCheck
from accounts.verify import DnsAnswers, Looked
from campaigns.checking.domain import findings
from campaigns.checking.model import Code, Finding

ACME = Domain(
    UUID(int=1), UUID(int=2), "acme.example", "bounce.acme.example", "verified", {},
    datetime(2026, 1, 1, tzinfo=UTC), None, (),
)  # fmt: skip
KINDS = ("dkim_rsa", "dkim_ed25519", "return_path_mx", "spf", "dmarc")


def found(policy: str = "v=DMARC1; p=none", closed: str = "", below: str = "", **statuses: str) -> list[Finding]:
    txt = {"_dmarc.acme.example": [policy] if policy else [], "_dmarc.example": []}
    txt |= {"_dmarc.bounce.acme.example": [below] if below else []}
    checks = {kind: RecordCheck(statuses.get(kind, "verified"), f"{kind}.") for kind in KINDS}
    return findings(Looked(ACME, checks, DnsAnswers(txt, {}), closed))


def codes(**given: str) -> list[Code]:
    return [one.code for one in found(**given)]


def test_a_good_domain_needs_nothing() -> None:
    assert codes() == []


def test_each_record_that_is_wrong_is_said_with_its_reason() -> None:
    assert codes(dkim_rsa="failed", spf="pending", dmarc="pending", return_path_mx="failed") == [
        Code.DKIM, Code.RETURN_PATH, Code.SPF, Code.DMARC,
    ]  # fmt: skip
    (one,) = found(spf="failed")
    assert one.found == "spf." and "domains show acme.example" in one.advice


def test_silence_is_said_once() -> None:
    (one,) = found(spf="temporary_failure", dkim_rsa="temporary_failure")
    assert one.code is Code.DNS_SILENT and "dkim rsa, spf" in one.found


def test_spf_that_speaks_for_another_organisation_does_not_count() -> None:
    strict, apart = found(policy="v=DMARC1; p=none; aspf=s"), found(below="v=DMARC1; p=none; psd=n")

    assert [one.code for one in (*strict, *apart)] == [Code.SPF_ALIGNMENT, Code.SPF_ALIGNMENT]
    assert "aspf=s" in strict[0].found and "different owners" in apart[0].found
    assert codes(policy="") == []
