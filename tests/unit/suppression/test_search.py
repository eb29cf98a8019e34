"""From what a person types to a search."""

import pytest

from core.refusal import Refused
from suppression.query import Search
from suppression.reasons import Reason, SuppressionScope
from suppression.search import search_for


@pytest.mark.parametrize(
    ("typed", "search"),
    [
        ("", Search()),
        ("  ", Search()),
        ("Ann", Search(prefix="ann")),
        ("Ann@Exam", Search(prefix="ann@exam")),
        ("Ann@München.example", Search(prefix="ann@xn--mnchen-3ya.example")),
        ("@Example.com", Search(domain="example.com")),
        ("@münchen.example", Search(domain="xn--mnchen-3ya.example")),
        ("50%_off", Search(prefix="50%_off")),
    ],
)
def test_typed_text(typed: str, search: Search) -> None:
    assert search_for(typed) == search


def test_filters_are_kept() -> None:
    search = search_for("a", [Reason.MANUAL], [SuppressionScope.ALL])
    assert (search.reasons, search.scopes) == ((Reason.MANUAL,), (SuppressionScope.ALL,))


@pytest.mark.parametrize("typed", ["@", "@localhost", "@exam ple.com", "a\x00", "\ud800", "x" * 321])
def test_what_cannot_be_searched_is_refused(typed: str) -> None:
    with pytest.raises(Refused):
        search_for(typed)
