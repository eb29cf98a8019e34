"""How high a mail is in its frame: near enough that nothing is cut off and no page of white follows."""

import time

import pytest

from console.frames import height_of

LINE = "<p style='margin:0 0 16px'>Some words of a sentence that goes on for about sixty letters.</p>"


@pytest.mark.parametrize(
    ("html", "least", "most"),
    [
        ("", 160, 160),
        ("<p>Hello</p>", 160, 160),
        (LINE * 10, 380, 560),
        ("<style>p { margin: 400px }</style><div style='display:none'>" + LINE * 40 + "</div>", 160, 160),
        ("<img height='400' src='data:'>", 440, 520),
        ("<table><tr><td style='padding:100px 0 50px'>x</td></tr></table>", 200, 280),
        (LINE * 1000, 2_400, 2_400),
        ("<![x]><![if !mso]>a<![endif]>", 160, 160),
        (f"<img height='{'9' * 400}'><img height='²'><p style='padding:{'9' * 400}px 1..2px'>", 160, 160),
    ],
)
def test_it_is_about_as_high_as_what_it_shows(html: str, least: int, most: int) -> None:
    assert least <= height_of(html) <= most


def test_a_mail_that_means_harm_takes_no_time() -> None:
    started = time.process_time()
    for html in (
        "<b>" * 1_000_000,
        "<div>" * 20_000 + "</p>" * 500_000,
        "<p style='" + "a:b;" * 500_000 + "'>",
        "<" * 10**6,
    ):
        assert 160 <= height_of(html) <= 2_400
    assert time.process_time() - started < 1
