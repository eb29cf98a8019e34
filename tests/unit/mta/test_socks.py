"""What `via` of an IP may say, and what of it is shown."""

import pytest

from mta.socks import LOCAL, Via, masked, parse_via


@pytest.mark.parametrize(
    ("text", "via", "shown"),
    [
        ("local", Via(), LOCAL),
        ("socks5://10.0.0.5:1080", Via("10.0.0.5", 1080), "socks5://10.0.0.5:1080"),
        ("socks5://[2001:DB8::5]:1080", Via("2001:db8::5", 1080), "socks5://[2001:db8::5]:1080"),
        ("SOCKS5://Proxy-1.Example.NET:65535", Via("proxy-1.example.net", 65535), "socks5://proxy-1.example.net:65535"),
        ("socks5://u:pw@h:1", Via("h", 1, "u", "pw"), "socks5://u:***@h:1"),
        ("socks5://u%3A:p%2F%40%20@h:1", Via("h", 1, "u:", "p/@ "), "socks5://u%3A:***@h:1"),
        ("socks5://u:a@b@h:1", Via("h", 1, "u", "a@b"), "socks5://u:***@h:1"),
    ],
)
def test_good_ones(text: str, via: Via, shown: str) -> None:
    parsed = parse_via(text)
    assert parsed == via
    assert masked(text) == via.masked == shown
    if via.password:
        assert via.password not in repr(parsed)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "via must be 'local' or socks5://"),
        ("Local", "via must be 'local' or socks5://"),
        ("10.0.0.5:1080", "via must be 'local' or socks5://"),
        ("http://10.0.0.5:1080", "via must be 'local' or socks5://"),
        ("socks5h://10.0.0.5:1080", "via must be 'local' or socks5://"),
        ("socks4://10.0.0.5:1080", "via must be 'local' or socks5://"),
        ("socks5:10.0.0.5:1080", "via has something behind the port"),
        ("socks5://", "via has no host"),
        ("socks5://:1080", "via has no host"),
        ("socks5://-a:1080", "via has no host"),
        ("socks5://a..b:1080", "via has no host"),
        ("socks5://10.0.0.256:1080", "via has no host"),
        ("socks5://" + "a" * 64 + ":1080", "via has no host"),
        ("socks5://10.0.0.5", "via has no port"),
        ("socks5://10.0.0.5:0", "via has no port"),
        ("socks5://10.0.0.5:65536", "via has a bad host or port"),
        ("socks5://10.0.0.5:x", "via has a bad host or port"),
        ("socks5://[::1:1080", "via has a bad host or port"),
        ("socks5://10.0.0.5:1080/x", "via has something behind the port"),
        ("socks5://10.0.0.5:1080?x", "via has something behind the port"),
        ("socks5://10.0.0.5:1080#x", "via has something behind the port"),
        ("socks5://user:secret/x@10.0.0.5:1080", "via has a bad host or port"),
        ("socks5://secret@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://:secret@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://user:@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://user:secret%C3%A4@10.0.0.5:1080", "user and password of a proxy are at most 255"),
        ("socks5://user:secret%0A@10.0.0.5:1080", "user and password of a proxy are at most 255"),
        (f"socks5://user:{'secret' * 50}@10.0.0.5:1080", "user and password of a proxy are at most 255"),
        ("socks5://10.0.0.5:1080\n", "via has a blank, a control character"),
        ("socks5://10.0.0.5: 1080", "via has a blank, a control character"),
        ("socks5://bücher.example:1080", "via has a blank, a control character"),
    ],
)
def test_bad_ones_say_why_and_give_no_password_away(text: str, why: str) -> None:
    told = parse_via(text)
    assert isinstance(told, str)
    assert told.startswith(why)
    assert "secret" not in told
    assert masked(text) == "(unusable)"
