"""The map is whole: every name leads to a door, and the product can tell the providers by MX."""

import pytest

from simulator.loopback import NotLoopbackError, require_loopback
from simulator.replies import STYLES, fill
from simulator.world import DEAD_ADDRESS, build_world, mx_suffixes


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("single_address", [False, True])
def test_every_domain_is_served_at_every_address_it_publishes(single_address: bool, ipv6: bool) -> None:
    world = build_world(single_address=single_address, ipv6=ipv6)
    doors = {door.address: door for door in world.doors}
    for domain in world.domains.values():
        names = [host for _, host in domain.mx] or [domain.name]
        kinds = [world.records[name] for name in names]
        addresses = [address for kind in kinds for address in (*kind.get("A", ()), *kind.get("AAAA", ()))]
        served = [address for address in addresses if address != DEAD_ADDRESS]
        assert served
        assert all(domain.name in doors[address].domains for address in served)


def test_there_are_two_hundred_small_domains_and_some_share_a_host() -> None:
    world = build_world(single_address=False)
    small = [domain for domain in world.domains.values() if domain.provider == "small"]
    hosts = {domain.mx for domain in small}
    assert len(small) == 200
    assert len(hosts) == 164
    assert world.domains["small-161.sim"].mx == world.domains["small-170.sim"].mx
    assert world.domains["small-170.sim"].mx != world.domains["small-171.sim"].mx


def test_the_product_can_tell_each_large_provider_by_mx_suffix() -> None:
    suffixes = mx_suffixes()
    assert set(suffixes) == {"gmail", "microsoft", "yahoo", "apple", "gmx"}
    world = build_world(single_address=False)
    for host in world.hosts.values():
        told = [name for name, ends in suffixes.items() if any(host.name.endswith("." + end) for end in ends)]
        assert told == ([host.provider] if host.provider in suffixes else [])


def test_ipv6_adds_a_domain_that_has_nothing_else_and_one_that_has_both() -> None:
    records = build_world(single_address=False, ipv6=True).records
    assert records["mx.six.sim"] == {"AAAA": ["::1"]}
    assert records["mx.both.sim"] == {"A": ["127.0.0.28"], "AAAA": ["::1"]}
    assert not any("six" in name for name in build_world(single_address=False).records)


def test_every_address_of_the_world_is_loopback_and_the_rest_is_refused() -> None:
    for door in build_world(single_address=False, ipv6=True).doors:
        require_loopback(door.address)
    for address in ("0.0.0.0", "10.0.0.1", "192.0.2.1", "::", "localhost", ""):
        with pytest.raises(NotLoopbackError):
            require_loopback(address)


@pytest.mark.parametrize("style", STYLES)
def test_every_reply_text_is_a_well_formed_smtp_reply(style: str) -> None:
    texts = STYLES[style]
    codes = {
        "banner": "220",
        "accepted": "250",
        "unknown": "550",
        "full": "452",
        "full_permanent": "552",
        "greylist": "451",
        "throttle": "451" if style == "microsoft" else "421",
        "spam": "550",
        "block": "554",
    }
    for field, code in codes.items():
        text = fill(getattr(texts, field), id="1", host="h", ip="127.0.1.1", rcpt="r@d", domain="d", seconds=5)
        lines = text.split("\r\n")
        assert [line[:4] for line in lines] == [code + "-"] * (len(lines) - 1) + [code + " "]
        assert all(len(line) < 510 for line in lines)
        if field != "banner":
            has_enhanced = all(line[4:].split(" ")[0].startswith(code[0] + ".") for line in lines)
            assert has_enhanced == texts.enhanced


def test_an_address_cannot_start_a_line_of_a_reply() -> None:
    assert "\r\n" not in fill(STYLES["apple"].unknown, id="1", host="h", ip="i", rcpt="a|250 ok@d", domain="d")
