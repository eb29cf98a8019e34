"""Tags go into links to the web and nowhere else, and a link keeps what it says itself."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.utm import Utm, from_json, tagged
from campaigns.words import Words
from core.refusal import Refused

TAGS = Utm("news", "email", "spring & more")
ADDED = "utm_source=news&utm_medium=email&utm_campaign=spring%20%26%20more"


def html(href: str) -> str:
    return tagged(Words("a@b.example", html=f'<p><a href="{href}">x</a></p>'), TAGS).html or ""


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("https://shop.example", f"https://shop.example?{ADDED}"),
        ("https://shop.example/a?b=1#top", f"https://shop.example/a?b=1&{ADDED}#top"),
        ("https://shop.example/#/route?x=1", f"https://shop.example/?{ADDED}#/route?x=1"),
        ("https://shop.example/?", f"https://shop.example/?{ADDED}"),
        (
            "https://shop.example/?utm_source=mine&UTM_Medium=x",
            "https://shop.example/?utm_source=mine&UTM_Medium=x&utm_campaign=spring%20%26%20more",
        ),
    ],
)
def test_links_get_what_they_lack(link: str, becomes: str) -> None:
    expected = becomes.replace("&", "&amp;")

    assert html(link.replace("&", "&amp;")) == f'<p><a href="{expected}">x</a></p>'
    words = tagged(Words("a@b.example", text=f"See {link}, or {link}."), TAGS)
    assert words.text == f"See {becomes}, or {becomes}." or link.endswith("?")


@pytest.mark.parametrize(
    "link",
    [
        "mailto:a@b.example",
        "#top",
        "/relative",
        "https://shop.example/?id={{ id }}",
        "{{{RESEND_UNSUBSCRIBE_URL}}}",
        "https://shop.example/unsubscribe?x=1",
        "https://files.example/a?X-Amz-Signature=abc&amp;x=1",
        "https://files.example/a?sig=abc",
        "https://[half",
    ],
)
def test_others_stay_whole(link: str) -> None:
    assert html(link) == f'<p><a href="{link}">x</a></p>'


def test_images_comments_and_links_that_forbid_tracking_are_not_touched() -> None:
    source = (
        '<img src="https://cdn.example/a.png"><!-- <a href="https://shop.example">x</a> -->'
        '<a href="https://shop.example" data-no-track>x</a>'
    )

    assert tagged(Words("a@b.example", html=source), TAGS).html == source


def test_an_experiment_is_told_apart() -> None:
    assert TAGS.of_variant(0, 1).content == ""
    assert TAGS.of_variant(1, 2).content == "variant-1"
    assert Utm("a", content="own").of_variant(1, 2).content == "own"
    assert not Utm().of_variant(1, 2)


@pytest.mark.parametrize("given", [{"term": "x"}, {"source": 1}, {"source": "a\nb"}, {"source": "x" * 101}])
def test_what_is_no_tag_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(Refused, match="utm"):
        from_json(given)


@settings(max_examples=50)
@given(st.from_regex(r"https://shop\.example(/[a-z]*(%20)?)?(\?[a-z&=]*)?(#[a-z/?=]*)?", fullmatch=True))
def test_a_link_leads_where_it_led(link: str) -> None:
    words = tagged(Words("a@b.example", html=f"<a href='{link}'>x</a>"), Utm("news"))
    before = urlsplit(link)
    after = urlsplit((words.html or "").split("'")[1].replace("&amp;", "&"))

    assert (after.netloc, after.path, after.fragment) == (before.netloc, before.path, before.fragment)
    asked = parse_qsl(before.query, keep_blank_values=True)
    assert parse_qsl(after.query, keep_blank_values=True) == [*asked, ("utm_source", "news")]
