"""How figures and times read."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from console import shown
from console.charts import Column, lines, scale, share, stacked
from console.guard import local
from console.shown import labelled

NOW = datetime(2026, 11, 28, 17, 40, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (9_999, "9,999"), (12_000, "12 k"), (1_234_567, "1.2 M"), (2e9, "2 bn"), (None, "—")],
)
def test_large_numbers_are_short(value: float | None, text: str) -> None:
    assert shown.short(value) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(0.0, "0 %"), (0.004, "0.40 %"), (0.0005, "0.050 %"), (0.12, "12.0 %"), (1.0, "100 %"), (None, "—")],
)
def test_a_rate_never_rounds_to_nothing(part: float | None, text: str) -> None:
    assert shown.percent(part) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.039, "39 ms"), (1.24, "1.2 s"), (59.9, "59 s"), (80, "1 min 20 s"), (3599, "59 min"), (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"), (None, "—"),
    ],
)  # fmt: skip
def test_times_are_as_exact_as_they_matter(seconds: float | None, text: str) -> None:
    assert shown.lasting(seconds) == text


def test_a_time_is_relative_to_now_and_exact_in_the_zone() -> None:
    assert shown.relative(NOW - timedelta(hours=2, minutes=5), NOW) == "2 h 5 min ago"
    assert shown.relative(NOW + timedelta(seconds=30), NOW) == "in 30 s"
    assert shown.relative(NOW - timedelta(seconds=500), NOW) == "8 min ago"
    assert shown.relative(NOW, NOW) == "just now"
    assert shown.exact(NOW, ZoneInfo("Europe/Vienna")) == "2026-11-28 18:40:12 CET"


def test_what_hides_in_an_address_is_shown_and_escaped() -> None:
    assert str(shown.breakable("a@b.example")) == "a@<wbr>b.<wbr>example"
    assert "<script>" not in str(shown.breakable("<script>@x"))
    assert "\\u202e" in str(shown.breakable("a\u202eb"))


def test_a_line_of_one_hour_can_be_seen() -> None:
    drawn = lines(["9h", "10h"], [("delivered", "Sent", [None, 5.0])])
    assert drawn.lines[0].points == ["62.50,16.67 87.50,16.67"]


def test_columns_stand_on_zero_and_fill_the_drawing() -> None:
    chart = stacked(
        [Column("a", {"delivered": 60, "bounced": 20}), Column("b", {})], [("delivered", "D"), ("bounced", "B")]
    )

    assert [(bar.tone, bar.y, bar.height) for bar in chart.stacks[0].bars] == [
        ("delivered", 40, 60),
        ("bounced", 20, 20),
    ]
    assert chart.stacks[1].bars == []
    assert chart.totals == {"delivered": 60, "bounced": 20}
    assert not chart.empty
    assert stacked([Column("a", {})], [("delivered", "D")]).empty


def test_an_axis_has_round_numbers() -> None:
    assert [tick.text for tick in scale(2001)[1]] == ["1,000", "2,000", "3,000"]
    assert [tick.text for tick in scale(2)[1]] == ["1", "2"]
    assert scale(0) == (1.0, [])
    assert [tick.text for tick in scale(0.003, percent=True)[1]] == ["0.1 %", "0.2 %", "0.3 %"]


def test_a_gap_parts_a_line() -> None:
    found = lines(["a", "b", "c"], [("delivered", "D", [1.0, None, 2.0])], [(2.0, "most")])

    assert len(found.lines[0].points) == 2
    assert found.limits == [(0.0, "most")]


def test_a_bar_is_never_fuller_than_full() -> None:
    assert [share(1, 4), share(5, 4), share(-1, 4), share(1, 0)] == [25.0, 100.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("path", "led"),
    [
        ("/messages?q=a", "/messages?q=a"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("", "/"),
        ("https://evil.example", "/"), ("/a\\b", "/"), ("/\tevil", "/"), ("javascript:alert(1)", "/"),
        ("/sign-in?next=/", "/"),
    ],
)  # fmt: skip
def test_a_sign_in_leads_to_pages_of_ours_only(path: str, led: str) -> None:
    assert local(path) == led


def test_what_is_typed_is_set_as_code() -> None:
    assert shown.coded("Look at `a <b>`, then go.") == "Look at <code>a &lt;b&gt;</code>, then go."
    assert shown.coded("one ` alone <") == "one ` alone &lt;"


def test_cells_of_a_list_say_what_they_are_once_its_headings_are_gone() -> None:
    rows = '<tr class="to"><th scope="row">a</th><td class="narrow-off">b</td><td class="right">c</td><td>d</td></tr>'
    assert labelled(rows + "<tr><td>e</td></tr>", ["Name", ("Lane", "narrow-off"), ("Accepted", "right"), "State"]) == (
        '<tr class="to"><th scope="row">a</th><td class="narrow-off">b</td><td class="right" data-h="Accepted">c</td>'
        "<td>d</td></tr><tr><td>e</td></tr>"
    )
    assert 'data-h="&lt;b&gt;"' in labelled("<tr><td>a</td><td>b</td></tr>", ["A", "<b>"])
