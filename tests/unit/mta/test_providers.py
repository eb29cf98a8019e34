"""Provider data: what is recognised, which limits hold, and what a bad file is told."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.refusal import Refused
from mta.providers import OTHER, SHIPPED, Limits, Tls, load_providers, provider_named, site_named
from simulator.world import PROVIDERS_FILE as PRACTICE


@pytest.mark.parametrize(
    ("hosts", "provider"),
    [
        (["aspmx.l.google.com", "alt1.aspmx.l.google.com", "ALT2.ASPMX.L.GOOGLE.COM."], "gmail"),
        (["gmail-smtp-in.l.google.com"], "gmail"),
        (["firm-example.mail.protection.outlook.com"], "microsoft365"),
        (["firm-example.k-v1.mx.microsoft"], "microsoft365"),
        (["outlook-com.olc.protection.outlook.com"], "microsoft"),
        (["mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"], "yahoo"),
        (["mx-vip1.mail.yahoo.co.jp"], "yahoo_japan"),
        (["mx01.mail.icloud.com", "mx02.mail.icloud.com"], "apple"),
        (["mx00.emig.gmx.net"], "gmx"),
        (["mx-ha03.web.de"], "gmx"),
        (["mx1a1.comcast.net"], "comcast"),
        (["smtp-in.orange.fr"], "orange"),
        (["eu-smtp-inbound-1.mimecast.com", "eu-smtp-inbound-2.mimecast.com"], "mimecast"),
        (["mx0a-0012.pphosted.com"], "proofpoint"),
        (["d1.ess.barracudanetworks.com"], "barracuda"),
        (["mx1.qq.com"], "qq"),
        (["163mx01.mxmail.netease.com"], "netease"),
        (["mx.example.org"], OTHER),
        ([], OTHER),
    ],
)
def test_shipped_providers_are_recognised_by_their_mail_servers(hosts: list[str], provider: str) -> None:
    assert load_providers().provider_of(hosts) == provider


@pytest.mark.parametrize(
    "hosts",
    [
        ["aspmx.l.google.com", "backup.example.org"],
        ["aspmx.l.google.com", "mx1.qq.com"],
        ["notgoogle.com"],
        ["google.com.example.org"],
        ["com"],
        [""],
    ],
)
def test_one_foreign_server_is_enough_for_other(hosts: list[str]) -> None:
    assert load_providers().provider_of(hosts) == OTHER


def test_shipped_limits() -> None:
    providers = load_providers()
    others = Limits(10, 100, messages_per_second=100)
    assert providers.limits("gmail") == Limits(5, 50, True, 100, tls=Tls.REQUIRED)
    assert providers.limits("yahoo") == Limits(10, 20, messages_per_second=100)
    assert providers.limits("yahoo_japan") == Limits(2, 20, messages_per_second=10)
    assert providers.limits("proofpoint") == providers.limits(OTHER) == providers.limits("nobody") == others
    assert providers.limits_of_site("gmail") == providers.limits("gmail")
    assert providers.limits_of_site("mx:mx.example.org") == others
    assert {name for name in providers.names if providers.limits(name).tls is Tls.REQUIRED} == {
        *("gmail", "comcast", "orange", "gmx", "barracuda", "qq", "netease", "netvigator", "kpn")
    }


def test_names_are_for_checking_what_somebody_typed() -> None:
    names = load_providers().names
    assert {"gmail", "microsoft", "microsoft365", "yahoo", "kpn"} < names
    assert names.isdisjoint({OTHER, "*", "default", "Gmail"})


@pytest.mark.parametrize(
    ("host", "tls"),
    [
        ("ASPMX.L.GOOGLE.COM.", Tls.REQUIRED),
        ("mx01.mail.icloud.com", Tls.OPPORTUNISTIC),
        ("mx.example.org", Tls.OPPORTUNISTIC),
    ],
)
def test_tls_is_a_matter_of_the_server(host: str, tls: Tls) -> None:
    assert load_providers().tls_of(host) is tls


def test_every_shipped_figure_says_where_it_is_from() -> None:
    fields = ("connections", "messages", "tls")
    lines = [line for line in SHIPPED.read_text().splitlines() if line.startswith(fields)]
    assert len(lines) > 40
    assert [line for line in lines if not any(f"[{source}]" in line for source in ("base", "community", "own"))] == []


def written(folder: Path, text: str, name: str = "own.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_later_files_add_change_and_take_over(tmp_path: Path) -> None:
    first = written(
        tmp_path,
        """
        [default]
        connections = 3
        [provider.gmail]
        mx_suffixes = ["google.sim"]
        connections = 7
        [provider.house]
        mx_suffixes = [".house.test."]
        """,
        "a.toml",
    )
    second = written(tmp_path, '[provider.house2]\nmx_suffixes = ["x.house.test", "qq.com"]', "b.toml")
    providers = load_providers(first, second)
    assert providers.limits(OTHER) == Limits(3, 100, messages_per_second=100)
    assert providers.limits("gmail") == Limits(7, 50, True, 100, tls=Tls.REQUIRED)
    assert providers.provider_of(["mx.google.sim", "mx.google.com"]) == "gmail"
    assert providers.provider_of(["a.house.test"]) == "house"
    assert providers.limits("house") == Limits(3, 100, messages_per_second=100)
    assert providers.provider_of(["a.x.house.test"]) == "house2"
    assert providers.provider_of(["mx1.qq.com"]) == "house2"


def test_a_default_of_ones_own_holds_wherever_no_figure_stands(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [default]
        connections = 3
        messages_per_second = 0.5
        messages_per_hour = 600
        tls = "required"
        [provider.microsoft]
        messages_per_hour = 0
        """,
    )
    providers = load_providers(path)
    assert providers.limits("yahoo") == Limits(3, 20, False, 0.5, 600, Tls.REQUIRED)
    assert providers.limits("yahoo_japan") == Limits(2, 20, False, 10, 600, Tls.REQUIRED)
    assert providers.limits("microsoft") == Limits(5, 50, True, 0.5, 0, Tls.REQUIRED)
    assert providers.limits_of_site("mx:mx.example.org") == Limits(3, 100, False, 0.5, 600, Tls.REQUIRED)
    assert providers.tls_of("mx.example.org") is Tls.REQUIRED


def test_the_practice_internet_has_the_limits_of_the_real_one() -> None:
    providers = load_providers(PRACTICE)
    assert providers.provider_of(["mx1.google.sim"]) == "gmail"
    assert providers.tls_of("mx1.google.sim") is Tls.REQUIRED
    assert providers.tls_of("mx1.yahoodns.sim") is Tls.OPPORTUNISTIC


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[provider", "is not TOML"),
        ("colour = 1", "unknown field 'colour'"),
        ("default = 1", "default: must be a table"),
        ("provider = 1", "provider: must be a table"),
        ("[default]\nconections = 1", "default: unknown field 'conections'"),
        ("[default]\nconnections = 0", "default.connections: must be a whole number"),
        ("[default]\nmx_suffixes = ['x']", "unknown field 'mx_suffixes'"),
        ("[provider]\nx = 1", "provider.x: must be a table"),
        ("[provider.other]\nmx_suffixes = ['x.test']", "provider.other"),
        ("[provider.x]\nmx_suffixes = 'x.test'", "provider.x.mx_suffixes: must be a list"),
        ("[provider.x]\nmx_suffixes = ['.']", "provider.x.mx_suffixes: must be a list"),
        ("[provider.x]\nmx_suffixes = [1]", "provider.x.mx_suffixes: must be a list"),
        ("[provider.x]\nconnections = 1", "provider.x.mx_suffixes: at least one"),
        ("[provider.x]\nmx_suffixes = ['x.test']\nconnections = true", "provider.x.connections: must be a whole"),
        ("[provider.x]\nmx_suffixes = ['x.test']\nconnections = 1.5", "provider.x.connections: must be a whole"),
        ("[provider.x]\nmx_suffixes = ['x.test']\nmessages_per_connection = -1", "provider.x.messages_per_connection"),
        ("[provider.x]\nmx_suffixes = ['x.test']\nprovider_wide = 1", "provider.x.provider_wide: must be true"),
        ("[default]\nmessages_per_second = -0.1", "default.messages_per_second: must be a number of at least 0"),
        ("[default]\nmessages_per_second = inf", "default.messages_per_second: must be a number of at least 0"),
        ("[default]\nmessages_per_second = nan", "default.messages_per_second: must be a number of at least 0"),
        ("[default]\nmessages_per_second = '5'", "default.messages_per_second: must be a number of at least 0"),
        ("[default]\nmessages_per_second = true", "default.messages_per_second: must be a number of at least 0"),
        ("[default]\nmessages_per_hour = -1", "default.messages_per_hour: must be a whole number of at least 0"),
        ("[default]\nmessages_per_hour = 1.5", "default.messages_per_hour: must be a whole number of at least 0"),
        ("[default]\nmessages_per_hour = false", "default.messages_per_hour: must be a whole number of at least 0"),
        ("[default]\ntls = 'Required'", "default.tls: must be 'opportunistic' or 'required', not 'Required'"),
        ("[default]\ntls = true", "default.tls: must be 'opportunistic' or 'required', not True"),
        ("[provider.gmail]\nmessages_per_hour = -5", "provider.gmail.messages_per_hour: must be a whole"),
        ("[provider.'mx:a']\nmx_suffixes = ['x.test']", "provider.mx:a: a name has only"),
        ("[provider.'*']\nmx_suffixes = ['x.test']", "provider.*: a name has only"),
        ("[provider.Gmail]\nmx_suffixes = ['x.test']", "provider.Gmail: a name has only"),
        (
            "[provider.x]\nmx_suffixes = ['x.test']\n[provider.y]\nmx_suffixes = ['X.test.']",
            "provider.y.mx_suffixes: 'x.test' already belongs to 'x'",
        ),
    ],
)
def test_bad_files_are_refused_with_file_and_field(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as error:
        load_providers(path)
    assert str(error.value).startswith(str(path))
    assert told in str(error.value)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "absent.toml", tmp_path, binary):
        with pytest.raises(ConfigurationError, match=str(path)):
            load_providers(path)


def test_a_provider_that_is_looked_for_is_found_or_said_with_those_there_are() -> None:
    providers = load_providers()

    assert [provider_named(providers, name) for name in ("gmail", "other")] == ["gmail", "other"]
    for text in ("", "gmial", "mx:mx.shop.example", "*"):
        with pytest.raises(Refused, match="there is no provider") as error:
            provider_named(providers, text)
        assert (error.value.kind, error.value.code, "gmail" in error.value.reason) == (
            "not_found", "unknown_provider", True,
        )  # fmt: skip


def test_a_site_is_named_the_same_at_every_door() -> None:
    providers = load_providers()

    assert site_named(providers, " gmail ") == "gmail"
    assert site_named(providers, "other") == "other"
    assert site_named(providers, "mx:MX.Shop.Example") == "mx:mx.shop.example"
    assert site_named(providers, "*", also=("*",)) == "*"
    for text in ("", "*", "gmial", "mx:", "mx:a b", "mx:ä.example", f"mx:{'a' * 300}", "mx:a\x07"):
        with pytest.raises(Refused, match="there is no provider") as error:
            site_named(providers, text, "site")
        assert (error.value.field, error.value.code) == ("site", "unknown_provider")
        assert "gmail" in error.value.reason
