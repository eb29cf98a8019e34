"""What is said of a content before it is sent, and whether it was sent before."""

import pytest

from templates.build import Built, Kind, Source, build, compiled
from templates.checks import ALIKE, MAX_WEIGHT, likeness, remarks_on, shingles

LINK = '<a href="{{{UNSUBSCRIBE_URL}}}">Unsubscribe</a>'
GOOD_TEXT = "Hello, unsubscribe: {{{UNSUBSCRIBE_URL}}}"


def checks(html: str, text: str = GOOD_TEXT, subject: str = "Hi") -> list[str]:
    found = remarks_on(subject, html, text)
    assert all(one.message.endswith(".") and one.advice.endswith((".", "}}", "}}.")) for one in found)
    return [one.check for one in found]


def test_a_good_mail_has_no_remarks() -> None:
    html = f'<p>Hello</p><img src="https://x.example/a.png" alt=""><a href="mailto:a@x.example">x</a>{LINK}'

    assert checks(html) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>Hello</p>", ["unsubscribe"]),
        ("<p>{{{UNSUBSCRIBE_URL}}}</p>", ["unsubscribe"]),
        (f'<div style="display:none"><p>{LINK}</p></div>', ["unsubscribe"]),
        (f'<div style="display: none"><div></div>{LINK}</div>', ["unsubscribe"]),
        ('<a style="font-size:0" href="{{{RESEND_UNSUBSCRIBE_URL}}}">x</a>', ["unsubscribe"]),
        (f'<div style="font-size:0px">{LINK}</div>', ["unsubscribe"]),
        (f'<div style="font-size:0px"><p style="color:red;font-size: 13px;">{LINK}</p></div>', []),
        (f'<div style="font-size:1px"><p>unclosed</div>{LINK}', []),
        (f'<div style="display:none"><p style="font-size:13px">{LINK}</p></div>', ["unsubscribe"]),
        (LINK + "x" * MAX_WEIGHT, ["weight"]),
        (f'{LINK}<img src="https://x.example/a.png">', ["alt"]),
        (f'{LINK}<img src="a.png" alt="x"><img alt="y">', ["images"]),
        (f'{LINK}<img src="https://www.mailjet.com/images/theme/v1/icons/x.png" alt="x">', ["icons"]),
        (f"{LINK}<p>Your company,\n street and city</p>", ["unwritten"]),
        (f"{LINK}<p>Write here. And so they did.</p><a href='https://x.example'>Have a look</a>", []),
        (f'{LINK}<a href="">x</a>', ["links"]),
        (f'{LINK}<a href="javascript:alert(1)">x</a>', ["links"]),
        (f'{LINK}<a href="shop.example">x</a>', ["links"]),
        (f'{LINK}<a href="https://">x</a>', ["links"]),
        (f'{LINK}<a href="#">x</a>', ["links"]),
        (f'{LINK}<a name="x">x</a><a href="#x">x</a>', []),
    ],
)
def test_what_is_wrong_is_found(html: str, found: list[str]) -> None:
    assert checks(html) == found


def test_what_mjml_makes_can_be_seen() -> None:
    source = (
        f"<mjml><mj-body><mj-section><mj-column><mj-text>{LINK}</mj-text></mj-column></mj-section></mj-body></mjml>"
    )

    assert checks(build(Source(Kind.MJML, source)).html) == []


def test_texts_and_subjects_are_looked_at() -> None:
    assert checks(LINK, text=" ") == ["text"]
    assert checks(LINK, text="Hello") == ["unsubscribe_text"]
    assert checks(LINK, subject=" ") == ["subject"]


def test_placeholders_that_nobody_has_are_named() -> None:
    content = compiled(Built("{{ frist_name }}", '{{ first_name }} {{ contact.city }} {{ x | default("y") }}', ""))

    found = remarks_on("Hi", LINK, GOOD_TEXT, content, {"first_name", "contact"})

    assert [one.message for one in found] == ["Nobody has frist_name."]


def test_one_link_is_not_several() -> None:
    (one,) = remarks_on("Hi", f'{LINK}<a href="#">x</a>', GOOD_TEXT)
    (two,) = remarks_on("Hi", f'{LINK}<a href="#">x</a><a href="https://">y</a>', GOOD_TEXT)

    assert one.message == "1 link leads nowhere: `#`."
    assert two.message == "2 links lead nowhere, such as `#`."


def test_the_same_content_is_known_again() -> None:
    sentences = [f"Our offer number {name} is cheaper than ever, come and see it soon" for name in "abcdefghijklmnop"]
    first = shingles("Hello {{ first_name }}. " + ". ".join(sentences))
    again = shingles("Hello Ann. " + ". ".join(sentences) + ". Only 17.50 today")
    other = shingles("Something else entirely stands in this mail about gardens and the spring that comes " * 3)

    assert likeness(first, first) == 1.0
    assert likeness(first, again) > ALIKE
    assert likeness(first, other) == 0.0
    assert likeness(first, frozenset()) == 0.0
    assert shingles("") == frozenset()
    assert all(0 <= one < 2**63 for one in first)


def test_a_large_content_has_a_sample_of_its_words() -> None:
    words = [f"word{n}x" for n in range(5_000)]
    whole, half = shingles(" ".join(words)), shingles(" ".join(words[2_500:]))

    assert len(whole) == 400
    assert 0.4 < likeness(whole, half) < 0.6
