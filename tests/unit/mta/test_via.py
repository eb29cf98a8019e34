"""What `via` of an IP may say, and what of it is shown."""

import pytest

from mta.via import LOCAL, Via, is_relay, masked, parse_via, with_password


@pytest.mark.parametrize(
    ("text", "via", "shown"),
    [
        ("local", Via(), LOCAL),
        ("socks5://10.0.0.5:1080", Via("socks5", "10.0.0.5", 1080), "socks5://10.0.0.5:1080"),
        ("socks5://[2001:DB8::5]:1080", Via("socks5", "2001:db8::5", 1080), "socks5://[2001:db8::5]:1080"),
        (
            "SOCKS5://Proxy-1.Example.NET:65535",
            Via("socks5", "proxy-1.example.net", 65535),
            "socks5://proxy-1.example.net:65535",
        ),
        ("socks5://u:pw@h:1", Via("socks5", "h", 1, "u", "pw"), "socks5://u:***@h:1"),
        ("socks5://u%3A:p%2F%40%20@h:1", Via("socks5", "h", 1, "u:", "p/@ "), "socks5://u%3A:***@h:1"),
        ("socks5://u:a@b@h:1", Via("socks5", "h", 1, "u", "a@b"), "socks5://u:***@h:1"),
        ("smtp+tls://u:pw@h", Via("smtp+tls", "h", 587, "u", "pw"), "smtp+tls://u:***@h:587"),
        ("smtps://u%40x:pw@h", Via("smtps", "h", 465, "u@x", "pw"), "smtps://u%40x:***@h:465"),
        ("smtps://h:2465", Via("smtps", "h", 2465), "smtps://h:2465"),
        ("smtp://h", Via("smtp", "h", 25), "smtp://h:25"),
        ("smtp://u:pw@127.0.0.1:2525", Via("smtp", "127.0.0.1", 2525, "u", "pw"), "smtp://u:***@127.0.0.1:2525"),
    ],
)
def test_good_ones(text: str, via: Via, shown: str) -> None:
    parsed = parse_via(text)
    assert parsed == via
    assert masked(text) == via.masked == shown
    assert is_relay(text) == via.relay == (via.scheme not in ("local", "socks5"))
    if via.password:
        assert via.password not in repr(parsed)
        assert masked(via.without_password) == shown
        assert parse_via(with_password(via.without_password, via.password)) == via


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "via must be 'local', socks5://"),
        ("Local", "via must be 'local', socks5://"),
        ("10.0.0.5:1080", "via must be 'local', socks5://"),
        ("http://10.0.0.5:1080", "via must be 'local', socks5://"),
        ("socks5h://10.0.0.5:1080", "via must be 'local', socks5://"),
        ("socks4://10.0.0.5:1080", "via must be 'local', socks5://"),
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
        ("socks5://:secret@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://@10.0.0.5:1080", "via has a user name without a password"),
        ("socks5://user:secret%C3%A4@10.0.0.5:1080", "user and password are at most 255"),
        ("socks5://user:secret%0A@10.0.0.5:1080", "user and password are at most 255"),
        (f"socks5://user:{'secret' * 50}@10.0.0.5:1080", "user and password are at most 255"),
        ("smtp+tls://:secret@h:587", "via has a user name without a password"),
        ("smtp+tls://h:587/secret", "via has something behind the port"),
        ("smtp+ssl://user:secret@h", "via must be 'local', socks5://"),
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


@pytest.mark.parametrize("text", ["socks5://user@10.0.0.5:1080", "socks5://user:@10.0.0.5:1080", "smtps://user@h:465"])
def test_a_user_without_a_password_is_a_stored_text_and_no_whole_one(text: str) -> None:
    assert parse_via(text) == "via has a user name without a password, or the other way round"
    assert "user:***@" in masked(text)


def test_a_password_never_goes_out_in_the_clear() -> None:
    told = parse_via("smtp://user:secret@smtp.example.com:25")
    assert told == "smtp:// would send the password in the clear: use smtp+tls:// or smtps://"
