"""Which name a clicked link has in a report."""

import pytest

from campaigns.links import written
from messages.links import linked

HTML = """<body><a href="https://shop.example/?who={{ email }}&amp;x=ü">a</a><a href="{{ page }}">b</a>
<a href="https://shop.example/all?x=1&amp;y=2">c</a>
<a href="https://shop.example/{{ email }}/{{{plan|free}}}">d</a></body>"""


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://shop.example/all?x=1&y=2", "https://shop.example/all?x=1&y=2"),
        ("https://shop.example/?who=ann@one.example&x=%C3%BC", "https://shop.example/?who={{ email }}&x=ü"),
        ("https://SHOP.example/ann@one.example/pro", "https://shop.example/{{ email }}/{{{plan|free}}}"),
        ("https://elsewhere.example/ann", "{{ page }}"),
    ],
)
def test_a_link_with_a_placeholder_is_called_as_it_is_written(url: str, name: str) -> None:
    assert written([HTML]).name_of(url) == name


def test_what_the_campaign_does_not_say_stays_what_it_is() -> None:
    assert written([]).name_of("https://shop.example/") == "https://shop.example/"
    assert linked("<p>none</p>") == (frozenset(), frozenset())
