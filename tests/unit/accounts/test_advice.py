"""What receivers look up besides: what there is, and what follows from it."""

from collections.abc import Sequence

import pytest

from accounts.advice import Advice, Around, EgressName, Standing, judge

IP = EgressName("192.0.2.7", "M7.example.com")
NAMES = ("_dmarc.shop.test", "_dmarc.test", "default._bimi.shop.test", "_mta-sts.shop.test", "_smtp._tls.shop.test")


def found(**texts: str) -> dict[str, Advice]:
    """By topic; each keyword is a topic's record, "" for none."""
    at = dict(zip(("dmarc", "above", "bimi", "mta_sts", "tls_reports"), NAMES, strict=True))
    txt = {name: [texts[topic]] if texts.get(topic) else [] for topic, name in at.items()}
    around = Around(txt, {IP.address: ["m7.example.com"]}, {IP.ehlo: [IP.address]})
    return {one.topic: one for one in judge("shop.test", [IP], around)}


def test_nothing_there_is_said_with_what_follows() -> None:
    empty = found()
    assert {topic: one.standing for topic, one in empty.items()} == {
        "dmarc": Standing.MISSING, "bimi": Standing.MISSING, "mta_sts": Standing.MISSING,
        "tls_reports": Standing.MISSING, "ptr": Standing.GOOD,
    }  # fmt: skip
    assert "5,000 mails a day" in empty["dmarc"].says


@pytest.mark.parametrize(
    ("record", "standing", "says"),
    [
        ("v=DMARC1; p=none; rua=mailto:a@shop.test", Standing.GOOD, "not stopped"),
        ("v=DMARC1; p=quarantine", Standing.GOOD, "goes to spam"),
        ("v=DMARC1; p=reject", Standing.GOOD, "is refused"),
        ("v=DMARC1; p=perhaps", Standing.WRONG, "no valid p="),
    ],
)
def test_a_policy_says_what_becomes_of_forged_mail(record: str, standing: Standing, says: str) -> None:
    dmarc = found(dmarc=record)["dmarc"]
    assert (dmarc.standing, dmarc.found) == (standing, record)
    assert says in dmarc.says


def test_a_policy_of_the_parent_is_named() -> None:
    assert "It stands at test" in found(above="v=DMARC1; p=reject")["dmarc"].says


def test_a_logo_has_an_effect_only_behind_a_policy() -> None:
    logo = "v=BIMI1; l=https://shop.test/logo.svg"
    assert "no effect yet" in found(bimi=logo, dmarc="v=DMARC1; p=none")["bimi"].says
    assert "may be shown" in found(bimi=logo, dmarc="v=DMARC1; p=reject")["bimi"].says


def test_a_text_of_another_kind_is_none() -> None:
    assert found(mta_sts="hello")["mta_sts"].standing is Standing.MISSING
    assert found(mta_sts="v=STSv1; id=1")["mta_sts"].standing is Standing.GOOD
    assert found(tls_reports="v=TLSRPTv1; rua=mailto:a@b.test")["tls_reports"].standing is Standing.GOOD


@pytest.mark.parametrize(
    ("ptr", "back", "standing"),
    [
        (["m7.example.com"], ["192.0.2.7"], Standing.GOOD),
        (["m7.example.com"], ["192.0.2.8"], Standing.WRONG),
        (["host-7.example.net"], ["192.0.2.7"], Standing.WRONG),
        ([], ["192.0.2.7"], Standing.MISSING),
        (None, ["192.0.2.7"], Standing.SILENT),
        (["m7.example.com"], None, Standing.SILENT),
    ],
)
def test_an_ip_and_its_name_lead_to_each_other(
    ptr: Sequence[str] | None, back: Sequence[str] | None, standing: Standing
) -> None:
    around = Around(
        dict.fromkeys(NAMES, ()),
        {} if ptr is None else {IP.address: ptr},
        {} if back is None else {IP.ehlo: back},
    )
    assert judge("shop.test", [IP], around)[-1].standing is standing


def test_silence_is_no_answer() -> None:
    standings = {one.standing for one in judge("shop.test", [IP], Around({}, {}, {}))}
    assert standings == {Standing.SILENT}
