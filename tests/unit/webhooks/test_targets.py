"""Where webhooks may go, and where they never do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from core.refusal import Refused
from core.settings import Settings
from mta.from_settings import own_servers
from mta.guard import Guard, networks
from webhooks.targets import check, guard_of, parse

LOOPBACK = networks(["127.0.0.0/8", "::1/128"])

FORBIDDEN = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # private
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192",  # metadata
    "100.64.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "fe80::1", "fec0::1",
    "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:0:0:0:0:f5ff:fffe", "2001:db8::1", "100::1",
]  # fmt: skip

OPEN = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_way_into_the_network_behind_us(address: str) -> None:
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", OPEN)
def test_public_addresses_may_be_spoken_to_by_https_only(address: str) -> None:
    shown = f"[{address}]" if ":" in address else address

    assert guard_of(parse(f"https://{shown}/"), ()).allows(address)
    assert not guard_of(parse(f"http://{shown}/"), LOOPBACK).allows(address)


def test_the_operators_networks_are_open_and_nothing_else() -> None:
    guard = Guard(LOOPBACK)

    assert guard.allows("127.0.0.1")
    assert guard.allows("::1")
    assert [address for address in FORBIDDEN if guard.allows(address)] == ["127.0.0.1", "127.9.9.9", "::1"]


def test_servers_of_operators_may_be_in_private_networks_and_nowhere_else_behind_us() -> None:
    guard = own_servers(Settings(secret=SecretStr("5e" * 32)))
    private = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1"]

    assert [address for address in FORBIDDEN if guard.allows(address)] == private
    assert all(guard.allows(address) for address in OPEN)


def test_where_credentials_are_handed_out_a_wide_network_opens_nothing() -> None:
    for address, wide, itself in (
        ("100.100.100.200", "100.64.0.0/10", "100.100.100.200/32"),
        ("169.254.169.254", "169.0.0.0/8", "169.254.0.0/16"), ("fd00:ec2::254", "fc00::/7", "fd00:ec2::254/128"),
    ):  # fmt: skip
        assert not Guard(networks([wide, "0.0.0.0/0", "::/0"])).allows(address)
        assert Guard(networks([itself])).allows(address)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write it as"),
        ("ftp://a.example/", "write it as"),
        ("//a.example/", "write it as"),
        ("https://", "write it as"),
        ("https://user:word@a.example/", "name or password"),
        ("https://169.254.169.254@a.example/", "name or password"),
        ("https://a.example/#x", "fragment"),
        ("https://a.example\\@b.example/", "name or password"),
        ("https://a.example/ b", "write it as"),
        ("https://a.example/\r\nHost: b", "write it as"),
        ("https://a.example/\x00", "write it as"),
        ("https://a.example:25/", "port 25"),
        ("https://a.example:22/", "port 22"),
        ("https://a.example:0/", "port 0"),
        ("https://a.example:99999/", "port 99999"),
        ("https://2130706433/", "no IP address"),
        ("https://0x7f000001/", "no IP address"),
        ("https://0177.0.0.1/", "no IP address"),
        ("https://127.1/", "no IP address"),
        ("https://1.2.3.0x4/", "no IP address"),
        ("https://[fe80::1%25eth0]/", "write it as"),
        ("https://[::1/", "write it as"),
        ("https://a..example/", "no host name"),
        ("https://-a.example/", "no host name"),
        ("https://a.example/" + "x" * 2000, "2000 characters"),
        ("http://a.example/", "https"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://localhost/", "not a public address"),
    ],
)
def test_urls_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        check(text, ())
    assert caught.value.field == "endpoint"
    assert why in caught.value.reason


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a.example", "https://a.example/"),
        ("HTTPS://A.Example:443/Path?q=1%20", "https://a.example/Path?q=1%20"),
        ("https://a.example?", "https://a.example/"),
        ("https://a.example:8443?x", "https://a.example:8443/?x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://8.8.8.8/h", "https://8.8.8.8/h"),
    ],
)
def test_urls_that_are_taken(text: str, url: str) -> None:
    assert check(text, ()).url == url


def test_own_networks_are_reached_by_http_too() -> None:
    assert check("http://localhost:3000/hook", LOOPBACK).url == "http://localhost:3000/hook"
    with pytest.raises(Refused, match="POSTLANE_WEBHOOK_NETWORKS"):
        check("http://10.0.0.1:3000/hook", LOOPBACK)


@given(st.from_regex(r"https?://[a-z0-9.\[\]:@/\\?#%_-]{1,40}", fullmatch=True))
def test_the_client_reads_what_we_read(text: str) -> None:
    """Two readers of one URL that disagree about its host are how guards are passed by."""
    try:
        target = parse(text)
    except Refused:
        return
    read = URL(target.url, encoded=True)
    assert (read.scheme, read.host, read.port, read.raw_path_qs) == (
        target.scheme, target.host, target.port, target.path,
    )  # fmt: skip
